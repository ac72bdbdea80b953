"""Draw the whole sample shop into a folder: feed, pictures, reviews, views, truth."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from PIL import Image

from vision_rec.errors import InputError
from vision_rec.sample.plan import Planned, plan_shop
from vision_rec.sample.render import render
from vision_rec.sample.reviews import draw_reviews
from vision_rec.sample.spec import ProductSpec, Scene
from vision_rec.sample.tables import (
    FEED_COLUMNS,
    TRUTH_COLUMNS,
    customer_row,
    feed_row,
    review_row,
    truth_row,
    view_row,
    write_table,
    write_whole,
)
from vision_rec.sample.views import draw_customers, draw_views

EDITION = 1  # raise it when the same seed would draw something else
MARKER = "shop.json"
QUALITY = 88
CHUNK = 24  # pictures one process draws at a time
ALONE = 60  # so few pictures are drawn without further processes
Progress = Callable[[int, int], None]  # pictures drawn, pictures in all


@dataclass(frozen=True, slots=True)
class SampleShop:
    """Where the parts of a drawn shop lie, and what it was drawn from."""

    folder: Path
    count: int
    seed: int
    side: int  # of every picture, pixels

    @property
    def feed(self) -> Path:
        """Return the product feed, columns as in Google Merchant Center."""
        return self.folder / "products.csv"

    @property
    def images(self) -> Path:
        """Return the folder of the pictures."""
        return self.folder / "images"

    @property
    def reviews(self) -> Path:
        """Return the reviews: product_id, rating, title, text, at, helpful."""
        return self.folder / "reviews.csv"

    @property
    def views(self) -> Path:
        """Return the sessions: session_id, user_id, product_id, type, at."""
        return self.folder / "views.csv"

    @property
    def customers(self) -> Path:
        """Return who the customers are and what they love: user_id, taste, loves."""
        return self.folder / "customers.csv"

    @property
    def truth(self) -> Path:
        """Return every factor that was drawn, by product id."""
        return self.folder / "truth.csv"

    @property
    def tables(self) -> tuple[Path, ...]:
        """Return all files beside the pictures."""
        return (self.feed, self.reviews, self.views, self.customers, self.truth)


def draw_shop(
    folder: Path,
    *,
    count: int = 1000,
    seed: int = 7,
    side: int = 320,
    progress: Progress | None = None,
    workers: int | None = None,
) -> SampleShop:
    """Draw the sample shop into `folder`, or return at once when just this shop is there.

    The same `count`, `seed` and `side` give the same bytes. An interrupted draw is recognised and done again.
    Many pictures are drawn in fresh processes, so a script that calls this needs the usual main guard.
    Raises InputError for impossible numbers and for a folder with files of somebody else's.
    """
    shop = _checked(SampleShop(Path(folder), count, seed, side))
    if _is_there(shop):
        return shop
    _refuse_foreign(shop)
    shop.images.mkdir(parents=True, exist_ok=True)
    _mark(shop, complete=False)
    products = plan_shop(count, seed)
    jobs = [
        _Job(str(shop.images / product.picture_name(i)), product.spec, scene)
        for product in products
        for i, scene in enumerate(product.scenes)
    ]
    wanted = {os.path.basename(job.path) for job in jobs}
    for old in shop.images.glob("*.jpg"):
        if old.name not in wanted:
            old.unlink()
    for done in _draw_all(jobs, side, workers or _cores()):
        if progress is not None:
            progress(done, len(jobs))
    _write_tables(shop, products)
    _mark(shop, complete=True)
    return shop


@dataclass(frozen=True, slots=True)
class _Job:
    path: str
    spec: ProductSpec
    scene: Scene


def _draw_all(jobs: list[_Job], side: int, workers: int) -> Iterator[int]:
    """Draw all pictures, telling how many are done so far."""
    chunks = [jobs[i : i + CHUNK] for i in range(0, len(jobs), CHUNK)]
    done = 0
    if workers < 2 or len(jobs) <= ALONE:
        for chunk in chunks:
            done += _draw_chunk(chunk, side)
            yield done
        return
    pool = ProcessPoolExecutor(min(workers, len(chunks)), mp_context=get_context("spawn"))
    try:
        pending = {pool.submit(_draw_chunk, chunk, side) for chunk in chunks}
        while pending:
            finished, pending = wait(pending, return_when=FIRST_COMPLETED)
            done += sum(future.result() for future in finished)
            yield done
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _cores() -> int:
    """Count the cores this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # not there on macOS and Windows
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _draw_chunk(jobs: list[_Job], side: int) -> int:
    for job in jobs:
        picture = render(job.spec, job.scene, side).picture
        Image.fromarray(picture).save(job.path, quality=QUALITY)
    return len(jobs)


def _write_tables(shop: SampleShop, products: list[Planned]) -> None:
    customers = draw_customers(products, shop.seed)
    reviews = draw_reviews(products, shop.seed)
    views = sorted(draw_views(products, customers, shop.seed), key=lambda view: (view.at, view.session_id))
    write_table(
        shop.reviews, ("product_id", "rating", "title", "text", "at", "helpful"), map(review_row, reviews)
    )
    write_table(shop.views, ("session_id", "user_id", "product_id", "type", "at"), map(view_row, views))
    write_table(shop.customers, ("user_id", "taste", "loves"), map(customer_row, customers))
    write_table(shop.truth, TRUTH_COLUMNS, map(truth_row, products))
    write_table(shop.feed, FEED_COLUMNS, map(feed_row, products))


def _checked(shop: SampleShop) -> SampleShop:
    if not 1 <= shop.count <= 20_000:
        raise InputError(f"the sample shop cannot have {shop.count} products; choose 1 to 20000")
    if not 32 <= shop.side <= 1024:
        raise InputError(f"pictures of {shop.side} pixels cannot be drawn; choose a side of 32 to 1024")
    if shop.seed < 0:
        raise InputError(f"the seed is {shop.seed}; it must be 0 or more")
    if shop.folder.exists() and not shop.folder.is_dir():
        raise InputError(f"{shop.folder} is a file; name a folder to draw the sample shop into")
    return shop


def _mark(shop: SampleShop, *, complete: bool) -> None:
    """Write down what the folder holds, and whether all of it is there."""
    mark: dict[str, object] = {
        "edition": EDITION, "count": shop.count, "seed": shop.seed, "side": shop.side, "complete": complete
    }  # fmt: skip
    if complete:
        mark["files"] = {path.name: path.stat().st_size for path in shop.tables}
        mark["pictures"] = sum(1 for _ in shop.images.glob("*.jpg"))
    write_whole(shop.folder / MARKER, (json.dumps(mark, indent=2) + "\n").encode())


def _is_there(shop: SampleShop) -> bool:
    """Tell whether the folder holds exactly this shop, whole."""
    try:
        mark = json.loads((shop.folder / MARKER).read_bytes())
        same = (mark["edition"], mark["count"], mark["seed"], mark["side"], mark["complete"]) == (
            EDITION, shop.count, shop.seed, shop.side, True
        )  # fmt: skip
        whole = all(path.stat().st_size == mark["files"][path.name] for path in shop.tables)
        return bool(same and whole and sum(1 for _ in shop.images.glob("*.jpg")) == mark["pictures"])
    except (OSError, ValueError, KeyError, TypeError):  # no marker, or not one of ours: not there
        return False


def _refuse_foreign(shop: SampleShop) -> None:
    """Never write over a shop that was not drawn here."""
    if (shop.folder / MARKER).exists():
        return
    for path in (shop.images, *shop.tables):
        if path.exists():
            raise InputError(
                f"{path} was not drawn by the sample shop; name an empty folder, or move that file away first"
            )
