"""The shop's articles: how each is drawn, what it is made of, how it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vision_rec.sample import silhouettes_bags as bags
from vision_rec.sample import silhouettes_home as home
from vision_rec.sample import silhouettes_shoes as shoes
from vision_rec.sample import silhouettes_tops as tops
from vision_rec.sample import silhouettes_worn as worn
from vision_rec.sample.parts import Part

Draw = Callable[[str, tuple[float, ...]], list[Part]]


@dataclass(frozen=True, slots=True)
class Article:
    """One kind of product: its drawing, its cuts, the textures it is made in."""

    name: str
    draw: Draw
    cuts: tuple[str, ...]
    textures: tuple[str, ...]
    stands: bool = False  # on the floor or a table, with a contact shadow; else laid flat
    folds: float = 0.0  # how much its cloth creases
    print_size: float = 1.0  # of its patterns, relative to others
    squeeze: float = 0.93  # narrowest it looks in a front view; 1 for what is round and looks the same


_ALL = (
    Article("t-shirt", tops.tshirt, ("crew neck", "V-neck", "boxy"), ("jersey", "linen"), folds=1.0),
    Article(
        "shirt",
        tops.shirt,
        ("classic", "short-sleeved", "band collar"),
        ("linen", "denim", "satin"),
        folds=1.0,
    ),
    Article("sweater", tops.sweater, ("crew neck", "turtleneck", "cardigan"), ("knit",), folds=0.7),
    Article(
        "jacket",
        tops.jacket,
        ("bomber", "blazer", "parka"),
        ("canvas", "denim", "leather", "corduroy"),
        folds=0.8,
    ),
    Article("dress", tops.dress, ("summer", "A-line", "shift"), ("jersey", "linen", "satin"), folds=1.0),
    Article(
        "trousers",
        worn.trousers,
        ("straight", "wide-leg", "tapered"),
        ("denim", "canvas", "corduroy", "linen"),
        folds=1.0,
    ),
    Article(
        "skirt",
        worn.skirt,
        ("A-line", "pleated", "pencil"),
        ("denim", "linen", "satin", "corduroy"),
        folds=0.8,
    ),
    Article(
        "cap",
        worn.cap,
        ("baseball cap", "beanie", "bucket hat"),
        ("canvas", "felt", "corduroy"),
        stands=True,
        print_size=0.8,
    ),
    Article(
        "sneaker",
        shoes.sneaker,
        ("low-top", "high-top", "runner"),
        ("canvas", "leather", "suede"),
        stands=True,
        print_size=0.75,
        squeeze=0.9,
    ),
    Article(
        "boot",
        shoes.boot,
        ("chelsea", "lace-up", "knee-high"),
        ("leather", "suede"),
        stands=True,
        print_size=0.85,
        squeeze=0.9,
    ),
    Article(
        "pump",
        shoes.pump,
        ("stiletto", "block heel", "ballet flat"),
        ("suede", "satin", "leather"),
        stands=True,
        print_size=0.65,
        squeeze=0.9,
    ),
    Article(
        "handbag",
        bags.handbag,
        ("tote", "satchel", "bucket bag"),
        ("leather", "canvas", "suede"),
        stands=True,
    ),
    Article(
        "backpack",
        bags.backpack,
        ("daypack", "rolltop", "school bag"),
        ("canvas", "leather", "denim"),
        stands=True,
    ),
    Article(
        "watch",
        worn.watch,
        ("round", "square", "chronograph"),
        ("leather", "canvas"),
        print_size=0.5,
        squeeze=0.95,
    ),
    Article(
        "lamp", home.lamp, ("drum", "cone", "dome"), ("linen", "felt", "ceramic"), stands=True, squeeze=1.0
    ),
    Article(
        "chair",
        home.chair,
        ("dining chair", "armchair", "shell chair"),
        ("felt", "leather", "woven"),
        stands=True,
    ),
    Article("mug", home.mug, ("straight", "round", "tall"), ("ceramic",), stands=True, squeeze=1.0),
    Article(
        "vase", home.vase, ("bottle", "amphora", "bulb", "cylinder"), ("ceramic",), stands=True, squeeze=1.0
    ),
    Article(
        "cushion",
        home.cushion,
        ("square", "lumbar", "round"),
        ("linen", "knit", "corduroy", "satin"),
        folds=0.5,
    ),
    Article(
        "umbrella", bags.umbrella, ("classic", "dome", "golf"), ("satin", "canvas"), folds=0.3, print_size=0.9
    ),
)
ARTICLES: dict[str, Article] = {article.name: article for article in _ALL}
