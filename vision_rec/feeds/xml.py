"""Google Merchant Center as RSS 2.0 or Atom: streamed, no DTDs, no entities, one bad item costs itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError
from xml.sax.saxutils import quoteattr

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from vision_rec.errors import FeedError, FeedRowError
from vision_rec.feeds.rows import MAX_COLUMNS, MAX_FIELD, MAX_NAME, WHOLE_ROW, Reject, Row
from vision_rec.feeds.source import Stream
from vision_rec.feeds.values import html_to_text

GOOGLE = ("http://base.google.com/ns/1.0", "http://base.google.com/cns/1.0")  # g: and c:
MAX_DEPTH = 100
MAX_TOKEN = 4 << 20  # bytes of one tag or comment, which the parser must hold as a whole
_CHUNK = 1 << 16
_ITEMS = ("item", "entry")
_MARKUP = ("description", "summary", "content")  # may hold HTML
_ITEM = re.compile(rb"<(?:item|entry)(?=[\s/>])")
_END = re.compile(rb"</(?:[\w.-]+:)?(?:rss|feed)\s*>\s*\Z")
_ENCODING = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]+)["']""")


class _BrokenItemError(Exception):
    """An item starts inside another, at byte `place`: the one before was not closed."""

    def __init__(self, message: str, place: int) -> None:
        super().__init__(message)
        self.place = place


class _Items:
    """The parser's target: collects finished items and holds no tree."""

    def __init__(self, first_line: int) -> None:
        self.done: list[Row | FeedRowError] = []
        self.namespaces: dict[str, str] = {}
        self.root, self.field, self.item_line, self.events = "", "", 0, 0
        self.expat: Any = None  # the parser that calls this target; it knows the line
        self._shift = first_line - 1
        self._depth = self._item_depth = 0

    @property
    def in_item(self) -> bool:
        return self._item_depth > 0

    @property
    def line(self) -> int:
        return int(self.expat.CurrentLineNumber) + self._shift

    def start_ns(self, prefix: str, uri: str) -> None:
        if not self.in_item and len(self.namespaces) < 100:
            self.namespaces[prefix or ""] = uri

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.events += 1
        name = tag.rpartition("}")[2]
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FeedError(f"line {self.line}: the XML is nested deeper than {MAX_DEPTH} levels")
        if not self.root:
            self.root = name
        elif not self.in_item and name in _ITEMS:
            self._item_depth, self.item_line, self._problem = self._depth, self.line, ""
            self._plain: dict[str, tuple[str, ...]] = {}
            self._google: dict[str, tuple[str, ...]] = {}
        elif self._depth == self._item_depth + 1 and self.in_item:
            if name in _ITEMS:
                raise _BrokenItemError(f"</{name}> is missing", self.expat.CurrentByteIndex)
            self.field, self._text, self._size = name, list[str](), 0
            self._href = (
                attributes.get("href", "") if attributes.get("rel", "alternate") == "alternate" else ""
            )

    def data(self, text: str) -> None:
        self.events += 1
        level = self._depth - self._item_depth
        if not self.in_item or level < 1 or (level > 1 and self.field not in _MARKUP):
            return
        self._size += len(text)
        if self._size > MAX_FIELD:
            self._problem = f"a value of more than {MAX_FIELD} characters"
        else:
            self._text.append(text)

    def end(self, tag: str) -> None:
        self.events += 1
        level = self._depth - self._item_depth
        if self.in_item and level == 0:
            self._finish()
        elif self.in_item and level == 1:
            space, _, name = tag.removeprefix("{").rpartition("}")
            self._keep(self._google if space in GOOGLE else self._plain, name)
        self._depth -= 1

    def _keep(self, fields: dict[str, tuple[str, ...]], name: str) -> None:
        value = "".join(self._text).strip() or self._href
        if "<![CDATA[" in value:
            self._problem = f"a CDATA section of {name} is not closed"
        if name in _MARKUP and "<" in value:
            value = html_to_text(value)
        if value and len(fields) < MAX_COLUMNS and len(name) <= MAX_NAME:
            fields[name] = (*fields.get(name, ()), value)

    def _finish(self) -> None:
        if self._problem:
            self.done.append(FeedRowError(self.item_line, self.field, self._problem))
        else:
            self.done.append(Row(self.item_line, {**self._plain, **self._google}))
        self._item_depth, self.field = 0, ""


def read_xml(stream: Stream, path: Path, reject: Reject) -> Iterator[Row]:
    """Yield the items of an RSS or Atom stream; FeedError for DTDs, entities and files cut off."""
    reader = _Reader(stream, path)
    for item in reader.items():
        if isinstance(item, FeedRowError):
            reject(item)
        else:
            yield item


class _Reader:
    """Feeds the parser and starts a new one at the next item where an item is not well-formed."""

    def __init__(self, stream: Stream, path: Path) -> None:
        self._stream, self._path = stream, path
        self._encoding = "utf-8"
        self._quiet = 0  # bytes since the parser last said something

    def items(self) -> Iterator[Row | FeedRowError]:
        """Yield rows and row errors in the order of the file."""
        chunk = self._stream.read(_CHUNK)
        if declared := _ENCODING.match(chunk.removeprefix(b"\xef\xbb\xbf")):
            # what open_feed converted from UTF-16 is UTF-8 now, whatever the declaration says
            name = declared[1].decode().lower()
            self._encoding = "utf-8" if name.startswith(("utf-16", "utf16")) else name
        self._begin(first_line=1)
        while chunk:
            if error := self._feed(chunk):
                yield from self._take()
                chunk, broken = self._resync(chunk, error)
                if broken is not None:
                    yield broken
                if not chunk:
                    return
            else:
                yield from self._take()
                chunk = self._stream.read(_CHUNK)
        self._close()

    def _begin(self, first_line: int, prologue: bytes = b"") -> None:
        self._target = _Items(first_line)
        try:
            self._parser = DefusedXMLParser(target=self._target, encoding=self._encoding, forbid_dtd=True)
        except (LookupError, ValueError) as error:
            raise FeedError(f"{self._path}: unknown XML encoding {self._encoding!r}; use UTF-8") from error
        self._target.expat = self._parser.parser
        self._fed = 0
        if prologue:
            self._feed(prologue)

    def _feed(self, chunk: bytes) -> Exception | None:
        """Give `chunk` to the parser; return what makes it stop, None where all went well."""
        before = self._target.events
        try:
            self._parser.feed(chunk)
        except DefusedXmlException as error:
            raise FeedError(
                f"{self._path}: DTDs and entities are not allowed in feeds; remove them"
            ) from error
        except (ParseError, _BrokenItemError) as error:
            return error
        except (LookupError, ValueError) as error:
            raise FeedError(
                f"{self._path}: cannot read XML in {self._encoding}: {error}; use UTF-8"
            ) from error
        self._fed += len(chunk)
        self._quiet = 0 if self._target.events > before else self._quiet + len(chunk)
        if self._quiet > MAX_TOKEN:
            raise FeedError(f"{self._path}: one tag or comment is longer than {MAX_TOKEN} bytes")
        return None

    def _take(self) -> list[Row | FeedRowError]:
        done, self._target.done = self._target.done, []
        return done

    def _resync(self, chunk: bytes, error: Exception) -> tuple[bytes, FeedRowError | None]:
        """Go to the next item; return the bytes from there on and the error of the item given up."""
        target, line = self._target, self._target.line
        place = error.place if isinstance(error, _BrokenItemError) else int(target.expat.CurrentByteIndex) + 1
        window = chunk[max(0, place - self._fed) :]
        shift = line
        while (found := _ITEM.search(window)) is None:
            more = self._stream.read(_CHUNK)
            if not more:
                if not _END.search(window):
                    raise FeedError(f"{self._path} breaks off at line {line}: {error}") from error
                return b"", self._refusal(error, line) if target.in_item else None
            shift += window[:-64].count(b"\n")
            window = window[-64:] + more
        shift += window[: found.start()].count(b"\n")
        self._begin(shift, self._prologue())
        self._target.namespaces = target.namespaces
        return window[found.start() :], self._refusal(error, line, target)

    def _refusal(self, error: Exception, line: int, target: _Items | None = None) -> FeedRowError:
        target = target or self._target
        reason = f"not well-formed XML at line {line}: {str(error).partition(': line')[0]}"
        return FeedRowError(target.item_line if target.in_item else line, target.field or WHOLE_ROW, reason)

    def _prologue(self) -> bytes:
        """Write a root with the namespaces of the file's own, so that prefixes stay bound."""
        declared = "".join(
            f" xmlns{':' if prefix else ''}{prefix}={quoteattr(uri)}"
            for prefix, uri in self._target.namespaces.items()
        )
        root = f"<feed{declared}>" if self._target.root == "feed" else f"<rss{declared}><channel>"
        return root.encode("ascii", "xmlcharrefreplace")

    def _close(self) -> None:
        try:
            self._parser.close()
        except ParseError as error:
            raise FeedError(f"{self._path} breaks off at line {self._target.line}: {error}") from error
