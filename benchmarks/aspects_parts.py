"""The encoder's figures, each part a function from pictures to lines of a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from aspects_peer import Peer, blocks_of, swatch_histogram
from aspects_pictures import (
    PHOTO_ARTICLES,
    ROBUSTNESS,
    Shop,
    decoded,
    drawn_shop,
    encoded,
    encoded_changed,
    fashion_test,
    hue_hsv,
    hue_yiq,
    mirrored_crop,
    photos_test,
)

from vision_rec.aspects import (
    Precision,
    aspect_table,
    averaged,
    fused,
    like_this_but,
    nearest,
    overlap,
    same_label_precision,
)
from vision_rec.aspects.catalogue import swatches
from vision_rec.encoders.colour import parse_colour
from vision_rec.encoders.image import ImageEncoder
from vision_rec.types import Array, Blocks, Picture

VISUAL = ("colour", "shape", "style")


@dataclass(frozen=True)
class Line:
    """One figure: what, measured how, and beside it the baseline and the goal; texts as they are shown."""

    block: str
    measure: str
    ours: str
    baseline: str = "–"
    goal: str = ""
    queries: int = 0


@dataclass
class Bench:
    """What the parts share: the encoder, the packs, and pictures decoded and encoded once."""

    encoder: ImageEncoder
    packs: Path
    scratch: Path
    peer: Peer | None
    _kept: dict[str, object] = field(default_factory=dict)

    def once(self, name: str, make):
        """Return what `make` gives, made at the first call under this name."""
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    @property
    def shop(self) -> Shop:
        return self.once("shop", lambda: fashion_test(self.packs))

    @property
    def pictures(self) -> list[Picture]:
        return self.once("pictures", lambda: decoded(self.shop.files))

    @property
    def blocks(self) -> Blocks:
        return self.once("blocks", lambda: encoded(self.encoder, self.shop.files))

    @property
    def peers(self) -> Blocks | None:
        make = lambda: blocks_of(self.peer, self.pictures, self.scratch / "peer-fashion.npz")  # noqa: E731
        return self.once("peers", make)

    @property
    def gains(self) -> dict[str, float]:
        """What equal weights make of the picture aspects."""
        return {aspect.name: aspect.gain for aspect in self.encoder.aspects}

    @property
    def defaults(self) -> dict[str, float]:
        """What the default weights make of the picture aspects."""
        return {aspect.name: aspect.gain * aspect.default_weight for aspect in self.encoder.aspects}


def both(found: Precision) -> str:
    """Write a precision as micro / macro."""
    return f"{found.micro:.3f} / {found.macro:.3f}"


def knowledge(bench: Bench) -> list[Line]:
    """Part a: what each block knows alone, what it should not know, and all three together."""
    goals = {
        ("shape", "article", ""): "≥ 0.85 / 0.78",
        ("colour", "colour", ""): "≥ 0.65 / 0.50",
        ("colour", "colour", "other articles"): "≥ 0.60 / 0.45",
        ("style", "pattern", ""): "macro ≥ 0.80",
        ("style", "pattern", "other articles"): "macro ≥ 0.62",
        ("style", "usage", "other articles"): "≥ 0.75 / 0.50",
        ("colour", "article", "leak"): "≤ 0.22",
        ("shape", "colour", "leak"): "≤ 0.22",
        ("style", "article", "leak"): "≤ 0.45",
        ("all", "article and colour", ""): "≥ 0.58",
    }
    labels, peers = bench.shop.labels, bench.peers
    theirs = {}
    if peers is not None:
        # The network stands for shape and style; fused, it counts once, as anyone would do it.
        table = aspect_table({**peers, "style": peers["shape"]}, labels)
        theirs = {(line.block, line.label, line.condition): both(line.precision) for line in table}
        pairs = [
            f"{a} · {c}" if a and c else "" for a, c in zip(labels["article"], labels["colour"], strict=True)
        ]
        found = same_label_precision(fused(peers), pairs, known_only=True)
        theirs["all", "article and colour", ""] = both(found)
    lines = []
    for line in aspect_table(bench.blocks, labels, gains=bench.gains):
        key = (line.block, line.label, line.condition)
        if key in goals:
            measure = f"{line.label} P@10" + (f", {line.condition}" if line.condition else "")
            measure += f" (chance {line.chance:.3f})"
            lines.append(
                Line(
                    line.block,
                    measure,
                    both(line.precision),
                    theirs.get(key, "–"),
                    goals[key],
                    line.precision.queries,
                )
            )
    return lines


def tops(queries: Blocks, gallery: Blocks, name: str) -> Array:
    """Return the ten nearest rows (n, 10) by one block; the query's own row is no answer."""
    return nearest(queries[name], gallery[name], itself=np.arange(len(gallery[name])))


def invariance(bench: Bench) -> list[Line]:
    """Part b: how much of the top 10 stays when the query's picture changes in what a block must not see."""
    lines = []
    cases = (
        ("shape", "hue turned by 120° in HSV", hue_hsv, "≥ 0.85"),
        ("shape", "hue turned by 120° in YIQ (luma stays)", hue_yiq, "≥ 0.85"),
        ("colour", "mirrored, middle 80 % of each side", mirrored_crop, "≥ 0.80"),
    )
    for name, what, change, goal in cases:
        changed = encoded_changed(bench.encoder, bench.pictures, change)
        share = overlap(tops(bench.blocks, bench.blocks, name), tops(changed, bench.blocks, name))
        lines.append(Line(name, f"overlap of top 10, {what}", f"{share:.3f}", "–", goal, len(bench.shop)))
    return lines


def article_shares(queries: Array, gallery: Array, names: Sequence[str], articles: Sequence[str]) -> Array:
    """Return the share of the first 10 (q,) that are an article which the photo's label `names` may be."""
    found = nearest(queries, gallery)
    return np.array(
        [
            np.mean([row >= 0 and articles[row] in PHOTO_ARTICLES[name] for row in rows])
            for name, rows in zip(names, found, strict=True)
        ]
    )


def photo_to_shop(bench: Bench) -> list[Line]:
    """Part c: a customer's photo finds its article among the shop's pictures."""
    files, names = photos_test(bench.packs)
    photos, articles = encoded(bench.encoder, files), bench.shop.labels["article"]
    theirs = None
    if bench.peer is not None and bench.peers is not None:
        there = blocks_of(bench.peer, decoded(files), bench.scratch / "peer-photos.npz")
        theirs = article_shares(there["shape"], bench.peers["shape"], names, articles)
    every = fused(photos, bench.defaults), fused(bench.blocks, bench.defaults)
    shares = {
        "shape": article_shares(photos["shape"], bench.blocks["shape"], names, articles),
        "all": article_shares(*every, names, articles),
    }
    members = np.array([sum(article in PHOTO_ARTICLES[name] for article in articles) for name in names])
    most, chance = np.minimum(members / 10, 1).mean(), members.mean() / len(articles)
    known, goal = "–", ""
    if theirs is not None:
        peer = averaged(theirs, names)
        known, goal = both(peer), f"≥ {peer.micro + 0.15:.3f} / {peer.macro + 0.15:.3f}"
    lines = []
    for name, share in shares.items():
        what = f"article P@10{'' if name == 'shape' else ', default picture weights'}"
        what += f" (chance {chance:.3f}, at most {most:.3f})"
        lines.append(Line(name, what, both(averaged(share, names)), known, goal, len(names)))
    for label in sorted(set(names)):
        rows = np.flatnonzero(np.array(names) == label)
        what = f"{label} (at most {min(members[rows[0]] / 10, 1):.1f})"
        other = "–" if theirs is None else f"{theirs[rows].mean():.3f}"
        lines.append(Line("shape", what, f"{shares['shape'][rows].mean():.3f}", other, "", len(rows)))
    return lines


def named_histograms(names: Sequence[str]) -> dict[str, Array]:
    """Return the baseline's colour vector of each known colour name, most frequent first."""
    known = []
    for name, _ in Counter(name for name in names if name).most_common():
        try:
            known.append((name, parse_colour(name)))
        except ValueError:
            continue
    return {name: swatch_histogram(rgb) for name, rgb in known}


def like_this_but_x(bench: Bench) -> list[Line]:
    """Part d: the product's article in another colour, which replaces the colour block."""
    labels = bench.shop.labels
    ours = like_this_but(
        bench.blocks, labels, swatches(bench.encoder, labels["colour"]), gains=bench.defaults
    )
    theirs = "–"
    if bench.peers is not None:
        theirs = both(like_this_but(bench.peers, labels, named_histograms(labels["colour"])).precision)
    measure = f'"like this but X": article and colour X right, P@10 (chance {ours.chance:.3f})'
    return [Line("all", measure, both(ours.precision), theirs, "≥ 0.60", ours.precision.queries)]


def robustness(bench: Bench) -> list[Line]:
    """Part e: points of P@10 that each block loses of its own label when the query's picture is bad."""
    labels, blocks = bench.shop.labels, bench.blocks
    own = (("shape", "article"), ("colour", "colour"), ("style", "pattern"), ("style", "usage"))
    lines = []
    for what, change in ROBUSTNESS.items():
        changed = encoded_changed(bench.encoder, bench.pictures, change)
        for name, label in own:
            clean = same_label_precision(blocks[name], labels[label], known_only=True)
            found = same_label_precision(blocks[name], labels[label], changed=changed[name], known_only=True)
            lost = 100 * (clean.micro - found.micro)
            share = overlap(tops(blocks, blocks, name), tops(changed, blocks, name))
            measure = f"{what}: points of {label} P@10 lost (top-10 overlap)"
            lines.append(Line(name, measure, f"{lost:.1f} ({share:.2f})", "–", "≤ 15", found.queries))
    return lines


def half_precision(bench: Bench) -> list[Line]:
    """Part f: what the bf16 runtime changes against torch in float32."""
    exact = ImageEncoder(bench.encoder.folder, kind="torch", device="cpu")
    blocks = encoded(exact, bench.shop.files)
    lines = []
    for name in VISUAL:
        share = overlap(tops(blocks, blocks, name), tops(bench.blocks, bench.blocks, name))
        measure = f"top-10 overlap of {bench.encoder.runtime} with {exact.runtime} float32"
        lines.append(Line(name, measure, f"{share:.4f}", "–", "≥ 0.97", len(bench.shop)))
    return lines


def other_shop(bench: Bench) -> list[Line]:
    """Part h: a shop of another kind, drawn: labels across articles, siblings in other colours."""
    shop = drawn_shop(bench.scratch / "drawn")
    blocks = encoded(bench.encoder, shop.files)
    names = swatches(bench.encoder, shop.labels["colour"])
    found = {"ours": generality(shop, blocks, names, bench.defaults)}
    if bench.peer is not None:
        theirs = blocks_of(bench.peer, decoded(shop.files), bench.scratch / "peer-drawn.npz")
        assert theirs is not None
        spread = {name: 1.0 / np.std(block @ block.T) for name, block in theirs.items()}
        found["peer"] = generality(shop, theirs, named_histograms(shop.labels["colour"]), spread)
    lines = []
    for key, (value, queries) in found["ours"].items():
        peer = f"{found['peer'][key][0]:.3f}" if "peer" in found else "–"
        block, _, measure = key.partition(": ")
        lines.append(Line(block, f"drawn shop: {measure}", f"{value:.3f}", peer, "", queries))
    return lines


def generality(
    shop: Shop, blocks: Blocks, named: Mapping[str, Array], gains: Mapping[str, float]
) -> dict[str, tuple[float, int]]:
    """Return the four measures of a shop with variants in several colours, and how many queries each has."""
    labels = shop.labels
    colour = same_label_precision(blocks["colour"], labels["colour"], unlike=labels["article"])
    kind = same_label_precision(blocks["shape"], labels["category"], unlike=labels["article"])
    article = same_label_precision(blocks["shape"], labels["article"])
    return {
        "colour: colour name P@10 across articles": (colour.micro, colour.queries),
        "shape: category P@10 across articles": (kind.micro, kind.queries),
        "shape: article P@10": (article.micro, article.queries),
        **siblings(shop, blocks, named, gains),
    }


def siblings(
    shop: Shop, blocks: Blocks, named: Mapping[str, Array], gains: Mapping[str, float]
) -> dict[str, tuple[float, int]]:
    """Measure how well the same article is found in its other colours, and in one that is asked for."""
    groups, colours = np.array(shop.groups, object), np.array(shop.labels["colour"], object)
    rest = fused({name: block for name, block in blocks.items() if name != "colour"}, dict(gains))
    weight = np.float32(np.sqrt(gains["colour"]))
    gallery = np.concatenate([rest, blocks["colour"] * weight], axis=1)
    same = (groups[:, None] == groups[None]) & ~np.eye(len(groups), dtype=bool)
    other = same & (colours[:, None] != colours[None])
    asked = np.flatnonzero(other.any(axis=1))
    found = nearest(rest[asked], rest, itself=asked)
    recalls = [
        other[row, top].sum() / min(other[row].sum(), 10) for row, top in zip(asked, found, strict=True)
    ]
    pairs = [
        (row, sibling) for row in asked for sibling in np.flatnonzero(other[row]) if colours[sibling] in named
    ]
    rows = np.array([row for row, _ in pairs])
    tints = np.stack([named[colours[sibling]] for _, sibling in pairs]) * weight
    edited = nearest(np.concatenate([rest[rows], tints], axis=1), gallery, itself=rows)
    # A group may have several of the asked colour: any of them is right.
    hits = np.array(
        [
            same[row, top] & (colours[top] == colours[sibling])
            for (row, sibling), top in zip(pairs, edited, strict=True)
        ]
    )
    return {
        "shape + style: the article in its other colours, recall@10": (float(np.mean(recalls)), len(asked)),
        'all: "like this but X" has the exact sibling first': (float(hits[:, 0].mean()), len(pairs)),
        'all: "like this but X" has the exact sibling in the top 10': (
            float(hits.any(axis=1).mean()),
            len(pairs),
        ),
    }
