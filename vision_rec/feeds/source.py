"""Open a feed file as a stream of UTF-8 bytes: gzip unpacked within limits, UTF-16 converted."""

from __future__ import annotations

import codecs
import io
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from vision_rec.errors import FeedError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_RATIO = 200  # unpacked : packed
FREE_BYTES = 1 << 20  # unpacked bytes that need no ratio: tiny files may pack well
HEAD_BYTES = 1 << 16
CHUNK = 1 << 18
_GZIP = b"\x1f\x8b"


class Stream(Protocol):
    """The one thing readers do with a feed."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        ...


def check_file(path: Path) -> None:
    """Raise FeedError unless `path` is a readable, non-empty regular file."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
        raise FeedError(f"{path} {reason}; give the path of a file with rows") from error
    if stat.S_ISDIR(status.st_mode):
        raise FeedError(f"{path} is a directory; give the path of a file with rows")
    if not stat.S_ISREG(status.st_mode):
        raise FeedError(f"{path} is not a regular file; give the path of a file with rows")
    if status.st_size == 0:
        raise FeedError(f"{path} is empty; it needs at least one row")


@contextmanager
def open_feed(path: Path) -> Iterator[Stream]:
    """Open `path` as UTF-8 bytes; gzip and UTF-16 are seen in its first bytes."""
    check_file(path)
    try:
        file = path.open("rb")
    except OSError as error:
        raise FeedError(f"{path} cannot be read: {error}") from error
    with file:
        head = file.read(len(_GZIP))
        file.seek(0)
        plain = io.BufferedReader(Inflated(file, path), CHUNK) if head == _GZIP else file
        encoding = _utf16(plain.peek(HEAD_BYTES)[:HEAD_BYTES])
        if encoding is None:
            yield cast(Stream, plain)
        else:
            # surrogatepass writes what is no character as bytes that are no UTF-8: one row lost, not all
            yield cast(Stream, codecs.EncodedFile(plain, "utf-8", encoding, "surrogatepass"))


def read_head(path: Path) -> bytes:
    """Return the first 64 KiB of the feed as UTF-8 bytes, without the byte order mark."""
    with open_feed(path) as stream:
        parts, size = [], 0
        while size < HEAD_BYTES and (part := stream.read(HEAD_BYTES - size)):
            parts.append(part)
            size += len(part)
    return b"".join(parts).removeprefix(codecs.BOM_UTF8)


def is_gzip(path: Path) -> bool:
    """Tell whether the file is packed with gzip, whatever its name."""
    check_file(path)
    try:
        with path.open("rb") as file:
            return file.read(len(_GZIP)) == _GZIP
    except OSError as error:
        raise FeedError(f"{path} cannot be read: {error}") from error


def _utf16(head: bytes) -> str | None:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    sample = head[:200]
    evens, odds = sample[0::2].count(0), sample[1::2].count(0)
    if len(sample) >= 8 and max(evens, odds) > len(sample) * 0.4 and min(evens, odds) < len(sample) * 0.04:
        return "utf-16-be" if evens > odds else "utf-16-le"
    return None


class Inflated(io.RawIOBase):
    """A gzip stream that never unpacks more than `MAX_RATIO` times what it read."""

    def __init__(self, packed: io.BufferedReader, path: Path) -> None:
        self._packed, self._path = packed, path
        self._engine = zlib.decompressobj(wbits=31)
        self._in = self._out = 0

    def readable(self) -> bool:
        """Say that this stream can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill `buffer` with unpacked bytes; FeedError where the file is damaged, cut off or a bomb."""
        view = memoryview(buffer).cast("B")
        try:
            data = self._unpack(len(view))
        except zlib.error as error:
            raise FeedError(f"{self._path} is damaged: {error}; pack or download it again") from error
        view[: len(data)] = data
        self._out += len(data)
        if self._out > MAX_RATIO * self._in + FREE_BYTES:
            raise FeedError(
                f"{self._path} unpacks to more than {MAX_RATIO} times its size; "
                "unpack it yourself if you trust it"
            )
        return len(data)

    def _unpack(self, wanted: int) -> bytes:
        while True:
            if self._engine.eof:  # several members may follow each other, or padding
                rest = (self._engine.unused_data or self._pull()).lstrip(b"\0")
                if not rest:
                    return b""
                self._engine = zlib.decompressobj(wbits=31)
            else:
                rest = self._engine.unconsumed_tail or self._pull()
            data = self._engine.decompress(rest, wanted)
            if data:
                return data
            if not rest and not self._engine.eof:
                raise FeedError(f"{self._path} is cut off; download it again")

    def _pull(self) -> bytes:
        data = self._packed.read(1 << 16)
        self._in += len(data)
        return data
