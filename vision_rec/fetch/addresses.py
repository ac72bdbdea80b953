"""Which URLs and which addresses may be fetched; names are resolved once and every answer is checked."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from vision_rec.errors import FetchError, UrlNotAllowedError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Sequence[str]]  # host name, port → addresses

_MOST_CHARS = 2000
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?")
# Ranges that `is_global` of Python 3.11 lets through although they are not the public internet.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; some clouds keep their metadata service there
        "168.63.129.16/32",  # a cloud's host agent behind a public number
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",
        "224.0.0.0/3",  # multicast, reserved, broadcast
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4: embeds any IPv4 address
        "3fff::/20",
    )
)
# Everything else in IPv6 (mapped, compatible, NAT64, local, multicast …) lies outside this one range.
_PUBLIC_IPV6 = ipaddress.ip_network("2000::/3")


@dataclass(frozen=True, slots=True)
class Target:
    """A checked URL in parts, as they go on the wire; nobody parses the text a second time."""

    scheme: str
    host: str
    port: int
    path: str  # with the query, percent-encoded

    @property
    def authority(self) -> str:
        """Return the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        """Show the URL without its query, which may hold a key."""
        return f"{self.scheme}://{self.authority}{self.path.partition('?')[0][:120]}"


def is_public(address: Address) -> bool:
    """Tell whether `address` belongs to the public internet; tunnels and embedded addresses do not."""
    if isinstance(address, ipaddress.IPv6Address) and (address.scope_id or address not in _PUBLIC_IPV6):
        return False
    return address.is_global and not any(
        address in network for network in _NOT_PUBLIC if network.version == address.version
    )


def check_url(url: str, hosts: Collection[str], ports: Collection[int] = (80, 443)) -> Target:
    """Split `url` and check scheme, host, port and form; raises UrlNotAllowedError.

    `hosts` are names as written or `*.example.com` for every name below example.com.
    """
    if len(url) > _MOST_CHARS:
        raise UrlNotAllowedError(f"the URL has {len(url):,} characters; {_MOST_CHARS:,} are allowed")
    if any(ord(char) <= 32 and char != " " or char in "\\\x7f" for char in url.strip(" ")):
        raise UrlNotAllowedError(f"URL {_shown(url)} has control characters, backslashes or line breaks")
    try:
        parts = urlsplit(url.strip(" "))
        port = parts.port
        host = _ascii_host(parts.hostname or "")
    except ValueError as error:
        raise UrlNotAllowedError(f"URL {_shown(url)} is malformed: {error}") from error
    if parts.scheme not in _DEFAULT_PORTS:
        raise UrlNotAllowedError(f"URL {_shown(url)} is not http or https")
    if "@" in parts.netloc:
        raise UrlNotAllowedError(f"URL of host {host!r} has a user name; give it without")
    if not _is_host(host):
        raise UrlNotAllowedError(f"URL {_shown(url)} has no valid host name")
    port = _DEFAULT_PORTS[parts.scheme] if port is None else port
    if port not in ports:
        allowed = ", ".join(map(str, sorted(ports)))
        raise UrlNotAllowedError(f"URL {_shown(url)} names port {port}; allowed are {allowed}")
    if not is_allowed(host, hosts):
        raise UrlNotAllowedError(
            f"host {host!r} is not allowed; add it to images.allowed_hosts in the settings if you trust it"
        )
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (
        "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~?") if parts.query else ""
    )
    return Target(parts.scheme, host, port, path)


def is_allowed(host: str, hosts: Collection[str]) -> bool:
    """Tell whether `host` (lower case, ASCII) is among `hosts`, names or `*.` patterns."""
    for pattern in hosts:
        wanted = pattern.strip().lower().rstrip(".")
        if wanted.startswith("*."):
            if host.endswith(wanted[1:]) and len(host) > len(wanted) - 1:
                return True
        elif host == _ascii_host(wanted.strip("[]")):
            return True
    return False


def resolve_checked(target: Target, resolve: Resolver, admits: Callable[[Address], bool]) -> tuple[str, ...]:
    """Resolve the host once and return its addresses; a single forbidden one forbids the URL."""
    try:
        answers = resolve(target.host, target.port)
        addresses = tuple(ipaddress.ip_address(answer) for answer in answers)
    except (OSError, UnicodeError) as error:
        raise FetchError(f"host {target.host!r} cannot be resolved: {error}", "dns") from error
    except ValueError as error:
        raise UrlNotAllowedError(f"host {target.host!r} resolves to no address: {error}") from error
    if not addresses:
        raise FetchError(f"host {target.host!r} has no address", "dns")
    for address in addresses:
        if not admits(address):
            raise UrlNotAllowedError(f"host {target.host!r} resolves to {address}, not a public address")
    return tuple(dict.fromkeys(map(str, addresses)))


def system_resolve(host: str, port: int) -> list[str]:
    """Ask the system's resolver for all addresses of `host`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


def _ascii_host(host: str) -> str:
    host = host.rstrip(".")
    return host.lower() if host.isascii() else host.encode("idna").decode("ascii").lower()


def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            return ipaddress.IPv6Address(host).scope_id is None
        except ValueError:
            return False
    return len(host) <= 253 and _HOST.fullmatch(host) is not None


def _shown(url: str) -> str:
    return ascii(url.partition("?")[0].rpartition("@")[2][:120])
