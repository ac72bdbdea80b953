"""The colour that the feed names against the colour of the pixels."""

from __future__ import annotations

import re

import numpy as np

from vision_rec.encoders.colour import parse_colour, shop_colours
from vision_rec.errors import InputError, VisionRecError
from vision_rec.health.facts import Facts
from vision_rec.health.model import MAX_LISTED, Finding, Row, Thresholds
from vision_rec.health.pictures import Tell
from vision_rec.recommend.encoding import QueryEncoders
from vision_rec.types import Array

CHUNK = 4096
_BETWEEN = re.compile(r"\s*(?:[/,;|&+]|\band\b|\bwith\b)\s*", re.IGNORECASE)
KIND = "colour_label"


def colour_labels(
    facts: Facts, limits: Thresholds, encoders: QueryEncoders | None, shared: set[int], tell: Tell
) -> Finding:
    """Return the products whose every named colour is far from their pixels, where another name is near.

    Names are compared as swatches in the form of the colour block, as explanations name colours. Rows in
    `shared` have a placeholder for a picture and are left out.
    """
    rows = facts.live[facts.colours[facts.live] >= 0]
    if "colour" not in facts.state.layout.names:
        return Finding(KIND, 0, (), 0, len(rows), "this index has no colours")
    rows = facts.without(rows[facts.has("colour", rows)], shared)
    reason = _unusable(facts, encoders)
    if encoders is None or reason:
        return Finding(KIND, 0, (), 0, len(rows), reason)
    try:
        names = tuple(shop_colours())
        known = _swatches(encoders, [[rgb] for rgb in shop_colours().values()])
        labels = [_parsed(label) for label in facts.colour_names]
        swatches = _swatches(encoders, [[rgb] for label in labels for rgb in label])
    except VisionRecError as error:
        return Finding(KIND, 0, (), 0, len(rows), f"colours cannot be compared: {error}")
    starts = np.cumsum([0, *map(len, labels)])
    rows = rows[np.asarray([len(labels[code]) > 0 for code in facts.colours[rows]], dtype=bool)]
    found = []
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        blocks = facts.block("colour", chunk)
        near, nearest = blocks @ known.T, blocks @ swatches.T if len(swatches) else np.zeros((len(chunk), 0))
        for at, row in enumerate(chunk):
            code = int(facts.colours[row])
            own = float(nearest[at, starts[code] : starts[code + 1]].max())
            best = int(near[at].argmax())
            if own < limits.colour_far and float(near[at, best]) - own >= limits.colour_gap:
                said = f"the feed says {facts.colour_names[code]}, the pixels look {names[best]}"
                found.append(Row(facts.id(int(row)), (), round(own, 4), said))
        tell(min(start + CHUNK, len(rows)), len(rows))
    found.sort(key=lambda entry: (entry.value, entry.product_id))
    total = int((facts.colours[facts.live] >= 0).sum())
    left = total - len(rows)
    note = f"{left:,} products have no picture of their own, or no colour's name" if left else ""
    return Finding(KIND, len(found), tuple(found[:MAX_LISTED]), len(rows), total, note)


def _unusable(facts: Facts, encoders: QueryEncoders | None) -> str:
    """Say why swatches cannot be compared with this version's blocks, '' where they can."""
    if encoders is None:
        return "the encoder of pictures cannot be loaded"
    if encoders.fingerprints.get("image") != facts.state.fingerprints.get("image"):
        return "another encoder wrote this version; reindex, then check again"
    return ""


def _swatches(encoders: QueryEncoders, colours: list[list[tuple[int, int, int]]]) -> Array:
    blocks = [encoders.image.encode_colour(colour) for colour in colours]
    return np.concatenate(blocks) if blocks else np.zeros((0, 0), np.float32)


def _parsed(label: str) -> list[tuple[int, int, int]]:
    """Return the colours that a label such as `navy/white` names; none where a part is no colour's name."""
    out = []
    for word in _BETWEEN.split(label):
        try:
            out.append(parse_colour(word))
        except InputError:
            return []  # "multicolour" says nothing to hold against the pixels
    return out
