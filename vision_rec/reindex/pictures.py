"""Which pictures the products have: references to files and content hashes, and placeholders found out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from itertools import chain, groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from vision_rec.errors import FetchError, ImageError, UrlNotAllowedError
from vision_rec.failpoints import failpoint
from vision_rec.images import resolve_ref
from vision_rec.reindex.cache import PictureCache
from vision_rec.reindex.report import Journal, Placeholder, Progress
from vision_rec.reindex.staging import Staging, digest
from vision_rec.settings import ImageSettings

if TYPE_CHECKING:
    from vision_rec.fetch import Fetcher

PLACEHOLDER_SHARE, PLACEHOLDER_PRODUCTS = 0.005, 20
_BATCH = 500

Located = dict[str, Path | str]  # reference → file, or the reason why there is none


def is_url(ref: str) -> bool:
    """Return whether a picture reference names the network."""
    return ref[:8].lower().startswith(("http://", "https://"))


class PictureFinder:
    """Fills the table `picture`: for each reference a file and its content hash, or the reason why not."""

    def __init__(
        self,
        root: Path,
        fetcher: Callable[[], Fetcher],
        cache: PictureCache,
        *,
        limits: ImageSettings,
        refresh: bool,
    ) -> None:
        self._root, self._fetcher, self._cache = root, fetcher, cache
        self._limits, self._refresh = limits, refresh

    def find(self, staging: Staging, journal: Journal, progress: Progress, *, gone_too: bool) -> None:
        """Look up every picture of the products in the feed (`gone_too`: and of those gone from it)."""
        staging.db.create_function("host_of", 1, _host, deterministic=True)
        staging.db.execute(
            "INSERT INTO picture (ref, host) SELECT DISTINCT value, host_of(value) "
            f"FROM product, json_each(product.refs) {'' if gone_too else 'WHERE NOT gone'}"
        )
        total = int(staging.one("SELECT count(*) FROM picture"))
        told = 0
        with journal.stage("pictures") as done:
            for located in chain(self._local(staging), self._remote(staging)):
                self._look_up(located, staging)
                told += len(located)
                progress("pictures", told, total)
            done.append(total)

    def _local(self, staging: Staging) -> Iterator[Located]:
        """Yield the files of local references, or the reasons why there are none, in batches."""
        for refs in _pages(staging, remote=False):
            yield {ref: self._resolve(ref) for ref in refs}

    def _resolve(self, ref: str) -> Path | str:
        try:
            return resolve_ref(ref, self._root)
        except ImageError as error:
            return error.reason

    def _remote(self, staging: Staging) -> Iterator[Located]:
        """Yield the fetched files of URLs, or the reasons why there are none, in batches."""
        urls = chain.from_iterable(_pages(staging, remote=True))
        first = next(urls, None)
        if first is None:
            return
        with self._fetcher() as fetcher:
            found = fetcher.fetch_all(chain([first], urls), refresh=self._refresh)
            while batch := {url: _located(outcome) for url, outcome in islice(found, _BATCH)}:
                yield batch

    def _look_up(self, located: Located, staging: Staging) -> None:
        """Hash the files of one batch, unless their size and time say that they are known."""
        states = {ref: _state(path, self._limits) for ref, path in located.items() if isinstance(path, Path)}
        files = [(str(located[ref]), *state) for ref, state in states.items() if not isinstance(state, str)]
        hashes = self._cache.hashes(files)
        fresh: list[tuple[str, int, int, str]] = []
        for path, size, mtime in files:
            if path not in hashes and (sha := _sha256(path)) is not None:
                hashes[path] = sha
                fresh.append((path, size, mtime, sha))
        self._cache.remember(fresh)
        failpoint("reindex.pictures-hashed")
        lines: list[tuple[str | None, str | None, str | None, str]] = []
        for ref, path_or_reason in located.items():
            reason = path_or_reason if isinstance(path_or_reason, str) else states[ref]
            sha = hashes.get(str(path_or_reason))
            if isinstance(reason, str) or sha is None:
                lines.append((None, None, reason if isinstance(reason, str) else "unreadable", ref))
            else:
                lines.append((str(path_or_reason), sha, None, ref))
        staging.fill("UPDATE picture SET path = ?, sha = ?, reason = ? WHERE ref = ?", lines)


def _pages(staging: Staging, *, remote: bool) -> Iterator[list[str]]:
    """Yield the references to files, or to URLs, in batches, while the table is written to."""
    after = ""
    while page := [
        ref
        for (ref,) in staging.db.execute(
            "SELECT ref FROM picture WHERE (host <> '') = ? AND ref > ? ORDER BY ref LIMIT ?",
            (remote, after, _BATCH),
        )
    ]:
        yield page
        after = page[-1]


def _host(ref: str) -> str:
    """Return the host of a URL, '' for a local reference."""
    if not is_url(ref):
        return ""
    try:
        return urlsplit(ref).hostname or "?"
    except ValueError:
        return "?"


def _located(outcome: Path | FetchError | UrlNotAllowedError) -> Path | str:
    if isinstance(outcome, Path):
        return outcome
    return outcome.reason if isinstance(outcome, FetchError) else "url-not-allowed"


def _state(path: Path, limits: ImageSettings) -> tuple[int, int] | str:
    """Return size and time of a file, or the reason why it cannot be a picture.

    The time is that of the last change of content or inode: archives and copies may keep the former.
    """
    try:
        state = os.stat(path)
    except OSError:
        return "missing"
    if state.st_size == 0:
        return "empty"
    if state.st_size > limits.max_bytes:
        return "too-large"
    return state.st_size, max(state.st_mtime_ns, state.st_ctime_ns)


def _sha256(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def find_placeholders(staging: Staging, journal: Journal) -> None:
    """Exclude pictures that more than 0.5 % of the catalogue share (20 or more); variants count as one."""
    live = int(staging.one("SELECT count(*) FROM product WHERE NOT gone"))
    found = staging.db.execute(
        "SELECT min(ref), sha, count(DISTINCT product.key), count(DISTINCT family) AS families "
        "FROM product, json_each(product.refs) JOIN picture ON ref = value "
        "WHERE NOT gone AND sha IS NOT NULL GROUP BY sha HAVING families >= ? AND families > ?",
        (PLACEHOLDER_PRODUCTS, PLACEHOLDER_SHARE * live),
    ).fetchall()
    staging.fill("UPDATE picture SET reason = 'placeholder' WHERE sha = ?", [(sha,) for _, sha, *_ in found])
    journal.placeholders = tuple(Placeholder(ref, products) for ref, _, products, _ in found)


def set_image_hashes(staging: Staging) -> None:
    """Hash per product what its pictures are: their contents in order, or why they are left out."""
    found = staging.db.execute(
        "SELECT product.key, coalesce(reason, ''), coalesce(sha, '') "
        "FROM product, json_each(product.refs) AS j JOIN picture ON ref = value ORDER BY product.rowid, j.key"
    )
    staging.fill(
        "INSERT INTO image_state VALUES (?, ?)",
        (
            (key, digest(*(part for _, *parts in group for part in parts)))
            for key, group in groupby(found, key=lambda line: line[0])
        ),
    )
