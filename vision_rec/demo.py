"""The sample shop's run: draw it, reindex it, say what to try."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vision_rec.errors import InputError, IntegrityError, VisionRecError
from vision_rec.settings import PathSettings, ServiceSettings, Settings

if TYPE_CHECKING:
    from vision_rec.encoders import EncoderSet
    from vision_rec.reindex import ReindexReport
    from vision_rec.sample import SampleShop

Progress = Callable[[str, int, "int | None"], None]


@dataclass(frozen=True, slots=True)
class Demo:
    """What was drawn and indexed, and three commands to try on it."""

    shop: SampleShop
    report: ReindexReport
    commands: tuple[str, str, str]


def prepare_demo(
    settings: Settings,
    *,
    products: int = 1000,
    seed: int = 7,
    side: int = 320,
    encoders: EncoderSet | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Demo:
    """Draw the sample shop where it is not there yet and reindex it, reviews included.

    Nothing is drawn or encoded twice. Raises InputError where the indexes hold another catalogue or the
    folder other files, and what `reindex` raises.
    """
    from vision_rec.reindex import reindex
    from vision_rec.sample import draw_shop
    from vision_rec.sample.shop import ALONE

    _refuse_other_catalogue(settings.paths)
    with _exported(settings) if encoders is None else nullcontext(lambda: None) as begin:

        def tell(done: int, total: int) -> None:
            if total > ALONE:
                begin()
            progress("draw", done, total)

        shop = draw_shop(settings.paths.catalog, count=products, seed=seed, side=side, progress=tell)
    report = reindex(
        shop.feed,
        settings=settings,
        images=shop.folder,
        reviews=shop.reviews,
        views=shop.views,
        allow_shrink=True,  # whoever asks for a smaller shop means it
        encoders=encoders,
        progress=progress,
    )
    return Demo(shop, report, _commands(settings.paths, shop))


@contextmanager
def _exported(settings: Settings) -> Iterator[Callable[[], None]]:
    """Give a function that begins to export the networks, in a process beside the drawing.

    That keeps one core busy for a while. What is exported when the block ends is taken from the cache.
    """
    work = get_context("spawn").Process(target=_export, args=(settings,), daemon=True)

    def begin() -> None:
        if work.pid is None:
            work.start()

    try:
        yield begin
        if work.pid is not None:
            work.join()
    finally:
        if work.pid is not None:
            work.kill()  # after Ctrl-C nobody waits for it


def _export(settings: Settings) -> None:
    from vision_rec.encoders import load_encoders

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who began this ends it
    logging.disable()
    with suppress(VisionRecError):  # reindex meets it again, and says it
        encoders = load_encoders(settings.encoders, settings.paths.data / "cache")
        encoders.image.encode_pictures([np.zeros((16, 16, 3), np.uint8)])
        encoders.text.encode_texts(["mug"])


def check_port(service: ServiceSettings) -> None:
    """Raise InputError where the port is taken."""
    family = socket.AF_INET6 if ":" in service.host else socket.AF_INET
    try:
        socket.create_server((service.host, service.port), family=family).close()
    except OSError as error:
        raise InputError(
            f"port {service.port} of {service.host} cannot be used: {os.strerror(error.errno or 0)}; "
            "stop what uses it, or choose another with --port"
        ) from error


def _refuse_other_catalogue(paths: PathSettings) -> None:
    """Never retire somebody's catalogue for the sample shop."""
    from vision_rec.index.version import VersionStore

    store = VersionStore(paths.indexes)
    if not store.ids():
        return
    try:
        with store.open() as version:
            feed = version.manifest.sources.get("feed", "")
    except IntegrityError:
        return  # reindex says what is wrong and what to do
    if feed and Path(feed).parent != paths.catalog.resolve():
        raise InputError(
            f"{paths.indexes} holds the catalogue of {feed}, which the demo would replace; "
            "choose another folder with --indexes DIR"
        )


def _commands(paths: PathSettings, shop: SampleShop) -> tuple[str, str, str]:
    first = _first_picture(shop)
    where = "" if paths.indexes == PathSettings().indexes else f" --indexes {shlex.quote(str(paths.indexes))}"
    return (
        f"vision-rec similar {shlex.quote(first.stem)}{where}",
        f"vision-rec search --text 'striped mug' --colour red{where}",
        f"vision-rec search --image {shlex.quote(str(first))} --weights colour=2,shape=1{where}",
    )


def _first_picture(shop: SampleShop) -> Path:
    import csv

    with shop.feed.open(newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    return shop.folder / row["image_link"]
