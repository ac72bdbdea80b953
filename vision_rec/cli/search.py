"""`similar` and `search`: from options to a query, from an answer to a table or JSON."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_rec.cli.common import AsJson, Common
from vision_rec.cli.exits import OK, SOME_REJECTED
from vision_rec.cli.options import (
    Batch,
    ByColour,
    ByImage,
    ByProduct,
    ByText,
    Crop,
    Diversity,
    Examples,
    Exclude,
    ExcludeOwnGroup,
    Facets,
    Filter,
    K,
    MaxPerGroup,
    MinScore,
    Offset,
    Output,
    Preset,
    ProductId,
    RatingBoost,
    Recent,
    SessionId,
    SessionModel,
    SessionShare,
    UserId,
    Weights,
    refuse_beside,
    search_fields,
)
from vision_rec.errors import ImageError, InputError

if TYPE_CHECKING:
    from vision_rec.recommend import Recommender
    from vision_rec.types import Picture

OpenPicture = Callable[[str], "Picture"]
_CROP_SIDE = 1024  # a picture to be cropped is opened larger than encoders see it
# The defaults of POST /v1/search, so that beside --batch only what was really given counts.
_DEFAULTS = {
    "k": 10,
    "offset": 0,
    "diversity": 0.0,
    "max_per_group": 1,
    "exclude_own_group": True,
    "rating_boost": 0.0,
}


def similar(
    common: Common,
    product_id: ProductId,
    k: K = 10,
    weights: Weights = None,
    preset: Preset = None,
    filter: Filter = None,
    exclude: Exclude = None,
    offset: Offset = 0,
    min_score: MinScore = None,
    diversity: Diversity = 0.0,
    max_per_group: MaxPerGroup = 1,
    exclude_own_group: ExcludeOwnGroup = True,
    facets: Facets = None,
    rating_boost: RatingBoost = 0.0,
    recent: Recent = None,
    user_id: UserId = None,
    session_id: SessionId = None,
    session_share: SessionShare = None,
    session_model: SessionModel = None,
    as_json: AsJson = False,
) -> None:
    """Show similar products, with the reasons."""
    plain = {
        "product_id": product_id,
        "k": k,
        "preset": preset,
        "offset": offset,
        "min_score": min_score,
        "diversity": diversity,
        "max_per_group": max_per_group,
        "exclude_own_group": exclude_own_group,
        "rating_boost": rating_boost,
        "user_id": user_id,
        "session_id": session_id,
        "session_share": session_share,
        "session_model": session_model,
    }
    lists = {"exclude": exclude, "recent": recent, "facets": facets}
    fields = search_fields(plain, lists, weights=weights)
    _answer(common, fields, filter or (), as_json)


def search(
    common: Common,
    product: ByProduct = None,
    image: ByImage = None,
    text: ByText = None,
    colour: ByColour = None,
    recent: Recent = None,
    user_id: UserId = None,
    session_id: SessionId = None,
    examples: Examples = None,
    crop: Crop = None,
    k: K = 10,
    weights: Weights = None,
    preset: Preset = None,
    filter: Filter = None,
    exclude: Exclude = None,
    offset: Offset = 0,
    min_score: MinScore = None,
    diversity: Diversity = 0.0,
    max_per_group: MaxPerGroup = 1,
    exclude_own_group: ExcludeOwnGroup = True,
    session_share: SessionShare = None,
    session_model: SessionModel = None,
    facets: Facets = None,
    rating_boost: RatingBoost = 0.0,
    batch: Batch = None,
    output: Output = None,
    as_json: AsJson = False,
) -> int:
    """Search by any mix of sources, or answer a file.

    Sources are a product, a picture, words, a colour, viewed products and examples; at least one is needed.
    """
    plain = {
        "product_id": product,
        "image": None if image is None else str(image),
        "text": text,
        "colour": colour,
        "user_id": user_id,
        "session_id": session_id,
        "k": k,
        "preset": preset,
        "offset": offset,
        "min_score": min_score,
        "diversity": diversity,
        "max_per_group": max_per_group,
        "exclude_own_group": exclude_own_group,
        "session_share": session_share,
        "session_model": session_model,
        "rating_boost": rating_boost,
    }
    lists = {"exclude": exclude, "recent": recent, "facets": facets}
    fields = search_fields(plain, lists, weights=weights, crop=crop, examples=examples)
    if batch is not None:
        return _batch(common, batch, output, as_json, beside={**fields, "filter": filter or None})
    if output is not None:
        raise InputError("--output says where --batch writes; give --batch QUERIES.jsonl too")
    _answer(common, fields, filter or (), as_json)
    return OK


def _answer(common: Common, fields: Mapping[str, Any], filters: Sequence[str], as_json: bool) -> None:
    from vision_rec.answers import answer_to_json
    from vision_rec.batch import query_from_json
    from vision_rec.cli.output import write_answer, write_json
    from vision_rec.filters import Filters

    conditions = Filters.parse(filters) if filters else None
    recommender = common.recommender()
    started = time.perf_counter()
    with query_pictures(recommender) as open_picture:
        opened = partial(open_picture, cropped="crop" in fields)
        query = replace(query_from_json(fields, open_picture=opened), filters=conditions)
    answer = recommender.answer(query)
    if as_json:
        took_ms = (time.perf_counter() - started) * 1000
        write_json(answer_to_json(answer, request_id=str(uuid.uuid4()), took_ms=took_ms))
    else:
        write_answer(common, answer)


def _batch(
    common: Common, queries: Path, output: Path | None, as_json: bool, *, beside: Mapping[str, Any]
) -> int:
    from vision_rec.batch import run_batch
    from vision_rec.cli.output import lines_of, output_lines, remark, write_json

    changed = [name for name, value in beside.items() if value != _DEFAULTS.get(name)]
    refuse_beside("--batch", changed)
    _check_output(queries, output, as_json)
    lines = lines_of(queries)
    recommender = common.recommender()
    total = failed = 0
    with query_pictures(recommender, folder=queries.parent) as open_picture, output_lines(output) as write:
        cropped = partial(open_picture, cropped=True)
        for result in run_batch(recommender, lines, open_picture=open_picture, open_cropped=cropped):
            write(result)
            total += 1
            failed += "error" in result
    if output is not None and as_json:
        write_json({"output": str(output), "queries": total, "failed": failed})
    remark(
        common, f"{total} queries answered, {failed} of them with an error" if failed else f"{total} queries"
    )
    return SOME_REJECTED if failed else OK


def _check_output(queries: Path, output: Path | None, as_json: bool) -> None:
    """Raise InputError where results would take the place of the queries, or be no one JSON document."""
    if output is None:
        if as_json:
            raise InputError("batch results are JSON Lines; leave --json away, or give --output FILE")
    elif output.is_file() and queries.is_file() and output.samefile(queries):
        raise InputError(f"--output {output} is the file of the queries; name another file for the results")


@contextmanager
def query_pictures(
    recommender: Recommender, *, folder: Path | None = None
) -> Iterator[Callable[..., Picture]]:
    """Give a function that opens the picture in a file, decoded in a process of its own.

    A relative path that does not exist here is looked for in `folder`. With `cropped=True` the function
    opens a picture larger than the encoders see it.
    """
    from vision_rec.pictures import QueryPictures

    limits = recommender.settings.images
    pictures = QueryPictures(limits, workers=1)  # its process starts with the first picture

    def open_picture(name: str, cropped: bool = False) -> Picture:
        path = Path(name)
        if folder is not None and not path.is_absolute() and not path.exists():
            path = folder / path
        data = read_picture(path, limits.max_query_bytes)
        side = _CROP_SIDE if cropped else recommender.encoders.image.input_side
        try:
            return pictures.open(data, max_side=side)
        except ImageError as error:
            error.args = (f"{path}: {error}", *error.args[1:])
            raise

    try:
        yield open_picture
    finally:
        pictures.close()


def read_picture(path: Path, most: int) -> bytes:
    """Read a picture file, one byte more than `most` at most; raise ImageError."""
    if not path.exists():
        raise ImageError(f"there is no picture {path}; give an existing file", "missing")
    if path.is_dir():
        raise ImageError(f"{path} is a folder; give a picture file", "not-an-image")
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}", "unreadable") from error
