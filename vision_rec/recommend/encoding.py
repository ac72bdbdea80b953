"""Pictures, words and colours of queries → rows; encoders are loaded when the first one comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from vision_rec.encoders import PictureEncoder, TextBlocks
from vision_rec.errors import ImageError, IncompatibleError, InputError, UnavailableError, VisionRecError
from vision_rec.fusion import AspectLayout, fuse
from vision_rec.recommend.checks import words_of
from vision_rec.recommend.state import State
from vision_rec.types import Array, Picture, Query, Sample

Crop = tuple[float, float, float, float]
Key = tuple[Any, ...]
_BATCH = 32


class SizedPictureEncoder(PictureEncoder, Protocol):
    """A picture encoder that says how large its pictures should be."""

    @property
    def input_side(self) -> int:
        """Longest side of the pictures it sees."""
        ...


class QueryEncoders(Protocol):
    """What queries need of an EncoderSet."""

    @property
    def fingerprints(self) -> Mapping[str, str]:
        """Fingerprint by encoder name, known without loading a network."""
        ...

    @property
    def image(self) -> SizedPictureEncoder:
        """The encoder of pictures and colours."""
        ...

    @property
    def text(self) -> TextBlocks:
        """The encoder of words."""
        ...


@dataclass(frozen=True)
class Encoded:
    """Rows (D,) by what was encoded: a text, a picture's key or a colour; `failed` says what was not.

    `failed` also has the encoders, as `("text",)` or `("image",)`, that are not available.
    """

    rows: dict[Key, Array] = field(default_factory=dict)
    failed: dict[Key, VisionRecError] = field(default_factory=dict)

    def row(self, encoder: str, key: Key) -> Array | None:
        """Return the row of `key`, None where its encoder is not available; raise what was wrong with it."""
        if key in self.failed:
            raise self.failed[key]
        return None if (encoder,) in self.failed else self.rows[key]


class QueryEncoder:
    """Encodes what queries hold, many queries at once; safe to share between threads."""

    def __init__(self, load: Callable[[], QueryEncoders]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._set: QueryEncoders | None = None

    @property
    def encoders(self) -> QueryEncoders:
        """The encoder set, loaded at first use."""
        with self._lock:
            if self._set is None:
                self._set = self._load()
            return self._set

    def encode(self, state: State, queries: Sequence[Query]) -> Encoded:
        """Encode all texts, pictures and colours of `queries`; touches no encoder where there are none.

        An encoder that is not available is noted, so that other sources of a query can still answer.
        Raises IncompatibleError where `state` was written by other encoders.
        """
        out = Encoded()
        texts = list(dict.fromkeys(filter(None, map(words_of, queries))))
        pictures = {key: picture for query in queries for key, picture in pictures_of(query)}
        colours = {query.colour for query in queries if query.colour is not None}
        steps: tuple[tuple[str, Callable[[], None]], ...] = (
            ("text", lambda: self._encode_texts(state, texts, out)),
            ("image", lambda: self._encode_pictures(state, pictures, out)),
            ("image", lambda: self._encode_colours(state, colours, out)),
        )
        for encoder, encode in steps:
            try:
                encode()
            except UnavailableError as error:
                out.failed[(encoder,)] = error
        return out

    def _encode_texts(self, state: State, texts: Sequence[str], out: Encoded) -> None:
        if not texts:
            return
        _need_aspect(state.layout, "text")
        encoder = self._checked(state, "text").text
        for start in range(0, len(texts), _BATCH):
            chosen = texts[start : start + _BATCH]
            rows = fuse(state.layout, {"text": encoder.encode_texts(chosen)})
            out.rows.update(zip((("text", text) for text in chosen), rows, strict=True))

    def _encode_pictures(self, state: State, pictures: Mapping[Key, Picture], out: Encoded) -> None:
        if not pictures:
            return
        encoder = self._checked(state, "image").image
        keys = list(pictures)
        for start in range(0, len(keys), _BATCH):
            ready: dict[Key, Picture] = {}
            for key in keys[start : start + _BATCH]:
                try:
                    ready[key] = _prepare(pictures[key], key[2], encoder.input_side)
                except (ImageError, InputError) as error:
                    out.failed[key] = error
            if ready:
                blocks = encoder.encode([Sample(images=(picture,)) for picture in ready.values()])
                known = {name: block for name, block in blocks.items() if name in state.layout.names}
                out.rows.update(zip(ready, fuse(state.layout, known), strict=True))

    def _encode_colours(self, state: State, colours: Collection[str], out: Encoded) -> None:
        if not colours:
            return
        from vision_rec.encoders.colour import parse_colour

        _need_aspect(state.layout, "colour")
        encoder = self._checked(state, "image").image
        for colour in colours:
            try:
                block = encoder.encode_colour([parse_colour(colour)])
            except InputError as error:
                out.failed[("colour", colour)] = error
                continue
            out.rows[("colour", colour)] = fuse(state.layout, {"colour": block})[0]

    def _checked(self, state: State, name: str) -> QueryEncoders:
        """Return the encoders, once it is sure that they wrote this version."""
        encoders = self.encoders
        written, ours = state.fingerprints.get(name), encoders.fingerprints.get(name)
        if written != ours:
            raise IncompatibleError(
                f"version {state.version_id} was written by {name} encoder {written}, this is {ours}; "
                "run `vision-rec reindex`, or configure the encoder it was written with"
            )
        return encoders


def pictures_of(query: Query) -> list[tuple[Key, Picture]]:
    """Return the pictures of `query` under the keys that `Encoded.rows` has."""
    found: list[tuple[Key, Picture]] = []
    if query.image is not None:
        found.append((picture_key(query.image, query.crop), query.image))
    for example in query.examples:
        if example.image is not None and example.weight:
            found.append((picture_key(example.image), example.image))
    return found


def picture_key(picture: Picture, crop: Crop | None = None) -> Key:
    """Return the key of a picture, good as long as the picture lives."""
    return ("picture", id(picture), crop)


def _prepare(picture: Picture, box: Crop | None, side: int) -> Picture:
    """Crop, then bring `picture` to the size that encoders see products in."""
    from vision_rec.images import crop, shrink

    return shrink(picture if box is None else crop(picture, box), side)


def _need_aspect(layout: AspectLayout, name: str) -> None:
    if name not in layout.names:
        raise InputError(f"this index has no aspect {name!r}; it has {', '.join(layout.names)}")
