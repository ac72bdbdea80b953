"""`vision-rec train image --catalog`: a feed in, an encoder fitted to it out, measured before and after."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from vision_rec.encoders import bundled_folder
from vision_rec.encoders.backbones import DEFAULT, Backbone, open_backbone
from vision_rec.encoders.image import WEIGHTS, ImageEncoder
from vision_rec.encoders.trunk_spec import BUNDLED
from vision_rec.encoders.trunk_weights import load_into, read_tensors
from vision_rec.errors import InputError
from vision_rec.training.catalog import NAME, Catalogue, load_catalogue
from vision_rec.training.data import SIDE
from vision_rec.training.publish import publish_encoder
from vision_rec.training.report import CatalogueTraining, compare
from vision_rec.training.run_image import CHECKPOINTS, read_recipe, reference_pictures
from vision_rec.training.train_image import ImageTraining, Trainer
from vision_rec.training.two_views import AnchoredPalette, CatalogObjective, PairedBatches, WatchedNetwork

if TYPE_CHECKING:
    from vision_rec.settings import Settings

RUN, REPORT = "run.json", "report.json"
SIDES = (32, 512)  # of the pictures a network sees
Log = Callable[[str], None]
Start = Literal["fine-tune", "heads", "random"]
# How often each picture is seen, the fewest and most steps, and the rate, by what the run begins with.
EFFORT: dict[Start, tuple[int, int, int, float]] = {
    "fine-tune": (20, 150, 3000, 5e-4),
    "heads": (20, 150, 3000, 1e-3),
    "random": (60, 400, 10_000, 2e-3),
}


@dataclass(frozen=True)
class CatalogueOptions:
    """What a run may be told beside feed and folder; None is the default that fits the backbone."""

    images: Path | None = None
    backbone: str = BUNDLED
    weights: str | None = None  # a file, or DEFAULT: the published ones, downloaded
    freeze: bool | None = None  # leave the trunk as it is and fit the heads only
    side: int | None = None
    steps: int | None = None
    recipe: Path | None = None


def train_catalogue(
    feed: Path,
    out: Path,
    *,
    settings: Settings,
    options: CatalogueOptions | None = None,
    cache: Path | None = None,
    log: Log = lambda line: None,
) -> CatalogueTraining:
    """Fit an image encoder to the catalogue `feed` and write it to `out`, with report.json beside it.

    Labels are used where the feed has them; two views of each product, and what the bundled encoder sees
    in it, teach the rest. A run begun in `out` goes on from its last checkpoint. Raises InputError for an
    unknown backbone, weights that do not fit and too few pictures, UnavailableError where weights cannot be
    downloaded.
    """
    options = options or CatalogueOptions()
    recipe = read_recipe(options.recipe, ImageTraining(sides=()))
    torch.manual_seed(recipe.seed)
    network, backbone, start = start_network(options)
    side = _side(options, recipe, backbone)
    bundled = _encoder(bundled_folder(), settings)
    catalogue = load_catalogue(
        feed,
        settings=settings,
        encoder=bundled,
        side=max(side, SIDE),
        cache=cache or out / "cache",
        images=options.images,
        progress=_told(log),
    )
    for line in _said(catalogue):
        log(line)
    trained = int((catalogue.source.split > 0).sum())
    recipe = read_recipe(options.recipe, default_recipe(trained, start, side))
    if options.steps is not None:
        if options.steps < 1:
            raise InputError(f"steps is {options.steps}; give 1 or more")
        recipe = dataclasses.replace(recipe, steps=options.steps)
    recipe = dataclasses.replace(recipe, shares={NAME: 1.0})
    same = {"backbone": backbone.spec.name, "weights": options.weights, "start": start}
    _same_run(out / CHECKPOINTS, {**same, "side": side, "catalogue": catalogue.digest})
    trainer = _trainer(recipe, catalogue, network, out / CHECKPOINTS, bundled)
    if trainer.resume():
        log(f"continuing from step {trainer.step} of {recipe.steps}")
    began = time.monotonic()
    objective = trainer.run(
        lambda losses: log(" ".join(f"{name} {value:.3g}" for name, value in losses.items()))
    )
    facts: dict[str, Any] = {
        **same,
        "side": side,
        "steps": recipe.steps,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "trained_on": trained,
        "labels": catalogue.labels,
    }
    reference = reference_pictures([catalogue.source])
    notes = {**facts, "recipe": json.loads(json.dumps(dataclasses.asdict(recipe)))}
    publish_encoder(objective, reference, out, notes, side=side, backbone=backbone.spec)
    after = _encoder(out, settings)
    report = compare(feed, catalogue, settings=settings, images=options.images, before=bundled, after=after)
    report = dataclasses.replace(report, facts=facts)
    (out / REPORT).write_text(json.dumps(report.to_fields(), indent=2) + "\n", encoding="utf-8")
    return report


def start_network(options: CatalogueOptions) -> tuple[WatchedNetwork, Backbone, Start]:
    """Return the network that training begins with, its backbone, and what is left to learn.

    The bundled backbone brings its heads and is fine-tuned; others with weights get new heads on a frozen
    trunk, those without weights learn from random ones. `freeze` overrides that.
    """
    given = options.weights
    if options.backbone != BUNDLED:
        weights = given if given in (None, DEFAULT) else Path(str(given))
        backbone = open_backbone(options.backbone, weights)
        frozen = options.freeze if options.freeze is not None else given is not None
        if frozen and given is None:
            raise InputError("a frozen trunk needs weights: give --weights DEFAULT or a file, or --no-freeze")
        start: Start = "heads" if frozen else "fine-tune" if given is not None else "random"
        return WatchedNetwork(backbone.trunk, frozen=frozen), backbone, start
    if given == DEFAULT:
        raise InputError("the bundled backbone begins with its own weights; leave --weights away")
    backbone = open_backbone(BUNDLED)
    network = WatchedNetwork(backbone.trunk, frozen=bool(options.freeze))
    file = Path(given) if given else bundled_folder() / WEIGHTS
    own = network.state_dict()
    found = {
        name.removeprefix("network."): value
        for name, value in read_tensors(file).items()
        if name.startswith("network.")
    }
    load_into(own, set(own), found, str(file))
    return network, backbone, "heads" if options.freeze else "fine-tune"


def default_recipe(pictures: int, start: Start, side: int) -> ImageTraining:
    """Return a recipe for so many training pictures: how long, how fast, in batches of which size."""
    views, least, most, rate = EFFORT[start]
    batch = min(64, max(8, pictures // 4 * 2))
    steps = min(max(views * pictures * 2 // batch, least), most)
    return ImageTraining(
        steps=steps,
        batch=batch,
        sides=((0.0, side),),
        rate=rate,
        warmup=0.05,
        average=0.995 if steps > 1000 else 0.98,
        save_every=max(25, steps // 10),
    )


def _side(options: CatalogueOptions, recipe: ImageTraining, backbone: Backbone) -> int:
    """Return the side of the pictures that the finished encoder sees."""
    side = recipe.sides[-1][1] if recipe.sides else backbone.side
    if options.side is not None:
        side = options.side
    every = {side, *(size for _, size in recipe.sides)}
    if any(size % 4 or not SIDES[0] <= size <= SIDES[1] for size in every):
        raise InputError(
            f"the side of pictures is {', '.join(map(str, sorted(every)))}; allowed are multiples of 4 from "
            f"{SIDES[0]} to {SIDES[1]}"
        )
    return side


def _encoder(folder: Path, settings: Settings) -> ImageEncoder:
    given = settings.encoders
    return ImageEncoder(
        folder,
        kind=given.runtime,
        device=given.device,
        threads=given.threads,
        batch_size=given.batch_size,
        cache=settings.paths.data / "cache",
    )


def _same_run(folder: Path, facts: dict[str, Any]) -> None:
    """Write down what a run is of; raises InputError where `folder` holds another."""
    file = folder / RUN
    if file.is_file():
        before = json.loads(file.read_text("utf-8"))
        for name, value in facts.items():
            if before.get(name) != value:
                raise InputError(
                    f"{folder.parent} holds a run with {name} {before.get(name)!r}, now it is {value!r}; "
                    "give the same again to go on, or another folder with --out"
                )
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _trainer(
    recipe: ImageTraining, catalogue: Catalogue, network: WatchedNetwork, folder: Path, bundled: ImageEncoder
) -> Trainer:
    trainer = Trainer(
        recipe,
        [catalogue.source],
        folder,
        {NAME: catalogue.teacher},
        network=network,
        objective=CatalogObjective,
        batches=PairedBatches,
    )
    for objective in (trainer.objective, trainer.averaged):
        if isinstance(objective, CatalogObjective) and isinstance(objective.palette, AnchoredPalette):
            objective.palette.begin(bundled.colour_map)
    return trainer


def _said(catalogue: Catalogue) -> list[str]:
    split = catalogue.source.split
    learned = ", ".join(catalogue.labels.values()) or "none: only views and the bundled encoder teach"
    held = int((split == 0).sum())
    return [
        *catalogue.notes,
        f"{len(split) - held} pictures train, {held} are held out; labels: {learned}",
    ]


def _told(log: Log) -> Callable[[str, int, int | None], None]:
    """Return a progress function that writes a line per tenth of the pictures."""
    last = -1

    def tell(stage: str, done: int, total: int | None) -> None:
        nonlocal last
        if stage == "pictures" and total and (tenth := done * 10 // total) != last:
            last = tenth
            log(f"pictures {done} of {total}")

    return tell
