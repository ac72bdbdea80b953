"""Options that say what a search asks for; each carries the name of its field in POST /v1/search."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from vision_rec.errors import InputError

ProductId = Annotated[str, typer.Argument(metavar="PRODUCT_ID", help="A product of the catalogue.")]
K = Annotated[int, typer.Option("-k", "--k", help="How many products to answer with, at most 200.")]
Weights = Annotated[
    str | None,
    typer.Option(metavar="NAME=W,…", help="Weight per aspect, as colour=2,shape=1; others weigh 0."),
]
Preset = Annotated[str | None, typer.Option(metavar="NAME", help="Weights by name, from the settings.")]
Filter = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="CONDITION",
        help="Such as 'price<=50', 'category=Shoes|Bags', 'brand!=Acme', 'in_stock=true', "
        "'attributes.material=wool', 'price_ratio=0.5..1.5'; repeat it for more, all must hold.",
    ),
]
Exclude = Annotated[
    list[str] | None, typer.Option(metavar="ID,…", help="Products to leave out; may be repeated.")
]
Recent = Annotated[
    list[str] | None, typer.Option(metavar="ID,…", help="Products viewed, oldest first; may be repeated.")
]
Offset = Annotated[int, typer.Option(metavar="N", help="Skip the first N results.")]
MinScore = Annotated[float | None, typer.Option(metavar="S", help="Leave out what scores less, −1 to 1.")]
Diversity = Annotated[float, typer.Option(metavar="D", help="0 = most similar first, 1 = most different.")]
MaxPerGroup = Annotated[int, typer.Option(metavar="N", help="Products per variant group; 0 = no limit.")]
ExcludeOwnGroup = Annotated[
    bool, typer.Option(help="Leave out variants of the query product; --max-per-group 0 turns it off.")
]
SessionShare = Annotated[
    float | None,
    typer.Option(metavar="S", help="Share of what was viewed beside other sources, 0 to 1 [0.3]."),
]
SessionModel = Annotated[
    str | None,
    typer.Option(metavar="auto|recency", help="The trained model, or the mean of the views [auto]."),
]
UserId = Annotated[str | None, typer.Option(metavar="ID", help="For this user, by their stored events.")]
SessionId = Annotated[str | None, typer.Option(metavar="ID", help="For this session, by its stored events.")]
Facets = Annotated[
    list[str] | None, typer.Option(metavar="NAME,…", help="Count values, as brand,attributes.color.")
]
ByProduct = Annotated[str | None, typer.Option(metavar="ID", help="Like this product.")]
ByImage = Annotated[Path | None, typer.Option(metavar="FILE", help="Like this picture.")]
ByText = Annotated[str | None, typer.Option(metavar="TEXT", help="Described by these words.")]
ByColour = Annotated[
    str | None,
    typer.Option(metavar="NAME|#HEX", help="In this colour; beside --product: like it, but in this."),
]
Examples = Annotated[
    str | None,
    typer.Option(metavar="JSON", help='More or less like these: [{"product_id": "A", "weight": -0.5}].'),
]
Crop = Annotated[str | None, typer.Option(metavar="X,Y,W,H", help="Part of --image, in 0–1.")]
Batch = Annotated[
    Path | None, typer.Option(metavar="QUERIES.jsonl", help="Answer a file of queries, one a line.")
]
Output = Annotated[Path | None, typer.Option(metavar="RESULTS.jsonl", help="Where --batch writes [stdout].")]
RatingBoost = Annotated[float, typer.Option(metavar="R", help="How much good ratings lift, 0 to 1.")]


def search_fields(
    plain: Mapping[str, Any],
    lists: Mapping[str, Sequence[str] | None],
    *,
    weights: str | None,
    crop: str | None = None,
    examples: str | None = None,
) -> dict[str, Any]:
    """Return the body of POST /v1/search that the options say; what was not given is left out.

    The options of `plain` need no reading, those of `lists` hold names separated by commas.
    """
    fields = {
        **plain,
        **{name: listed(values) for name, values in lists.items()},
        "weights": None if weights is None else read_weights(weights),
        "crop": None if crop is None else _numbers("--crop", crop),
        "examples": None if examples is None else _json("--examples", examples),
    }
    return {name: value for name, value in fields.items() if value is not None}


def read_weights(text: str) -> dict[str, float]:
    """Read `colour=2,shape=1`; raise InputError."""
    weights: dict[str, float] = {}
    for entry in text.split(","):
        name, sign, number = entry.replace(":", "=").partition("=")
        name = name.strip()
        if not (sign and name):
            raise InputError(f"--weights is {text!r}; write NAME=NUMBER,…, for example colour=2,shape=1")
        if name in weights:
            raise InputError(f"--weights names {name!r} twice; name each aspect once")
        weights[name] = _number("--weights", number)
    return weights


def read_mapping(entries: Sequence[str] | None) -> dict[str, str] | None:
    """Read `color=colour_name` of a repeated `--map`; raise InputError."""
    if not entries:
        return None
    pairs = [entry.partition("=") for entry in entries]
    for (name, sign, column), entry in zip(pairs, entries, strict=True):
        if not (name.strip() and sign and column.strip()):
            raise InputError(f"--map is {entry!r}; write FIELD=COLUMN, for example color=colour_name")
    return {name.strip(): column.strip() for name, _, column in pairs}


def listed(values: Sequence[str] | None) -> list[str] | None:
    """Return the ids or names in `values`: separated by commas, or a JSON list where they hold commas."""
    if values is None:
        return None
    out: list[str] = []
    for value in values:
        if value.lstrip().startswith("["):
            out += [str(entry) for entry in _json("the list", value)]
        else:
            out += [entry.strip() for entry in value.split(",") if entry.strip()]
    return out


def refuse_beside(option: str, fields: Sequence[str]) -> None:
    """Raise InputError where options of these fields are given, which say nothing beside `option`."""
    names = {"product_id": "product"}
    if fields:
        named = ", ".join(f"--{names.get(name, name).replace('_', '-')}" for name in sorted(fields))
        raise InputError(f"{named} cannot stand beside {option}; each line of its file says its own")


def _numbers(option: str, text: str) -> list[float]:
    return [_number(option, entry) for entry in text.split(",")]


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{option} needs numbers; got {text.strip()[:40]!r}") from error


def _json(option: str, text: str) -> list[Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{option} is {text[:80]!r}, which is not valid JSON: {error}") from error
    if not isinstance(value, list):
        raise InputError(f"{option} must be a JSON list; got {text[:80]!r}")
    return value
