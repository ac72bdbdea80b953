"""How a session model is trained: every number of the recipe, read from TOML."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_rec.errors import InputError

KINDS = ("attention", "gru", "auto")
ROW_DIM = 640  # the whole row
_BOUNDS: tuple[tuple[str, str, Callable[[float], bool]], ...] = (
    (
        "dropout input_dropout cold hold smoothing projected_share",
        "0 up to, not with, 1",
        lambda value: 0 <= value < 1,
    ),
    (
        "width layers heads length graph_window graph_folds projected_window batch epochs "
        "continue_epochs trial_epochs patience validated min_views max_products",
        "1 or more",
        lambda value: value >= 1,
    ),
    ("scale start rate continue_rate clip", "above 0", lambda value: value > 0),
    (
        "debias graph projected projected_half_life dim negatives warmup decay table_decay seed",
        "0 or more",
        lambda value: value >= 0,
    ),
)
BESIDE_CONTENT, ALONE = 48, 128  # widths of the behaviour block


@dataclass(frozen=True, slots=True)
class SessionRecipe:
    """The recipe; the defaults were chosen on validation data only, `train session --recipe` reads others."""

    kind: str = "auto"  # attention, gru; auto: whichever does better in a short trial, or the recency mean
    dim: int = 0  # of the behaviour block; 0: 48 beside content, 128 alone
    width: int = 64
    layers: int = 2
    heads: int = 2
    length: int = 50  # views that are looked at
    dropout: float = 0.5
    input_dropout: float = 0.3  # of the values of the rows viewed
    cold: float = 0.4  # share of products that a step takes for new, without behaviour; beside content only
    hold: float = 0.35  # share of an answer that is the mean of the views; beside content only
    event_types: bool = True  # whether what was done and how long ago is looked at
    scale: float = 16.0  # logit of a row hit exactly; beside content it is where learning begins
    learn_scale: bool = False  # without content too
    negatives: int = 2048  # drawn anew for each step; 0: all products
    smoothing: float = 0.0
    debias: float = 0.5  # share of popularity that answers leave out: 0 predicts best, 1 is taste alone
    graph: float = 8.0  # how much products viewed near each other share their vectors; 0: not
    graph_window: int = 3  # how many acts apart is near
    graph_folds: int = 1  # of visitors; a batch of one fold learns with the graph of the others
    projected: int = 0  # further values of the block, of the graph itself; not learned
    projected_share: float = 0.4  # of a vector's squared length
    projected_window: int = 10  # how many acts apart is near in these
    projected_half_life: float = 0.3  # share of all acts after which one counts half in these; 0: all alike
    start: float = 0.02  # spread of untrained behaviour vectors
    rate: float = 2e-3
    decay: float = 0.0  # weight decay of the network's matrices
    table_decay: float = 0.0  # of the behaviour vectors
    batch: int = 256  # visitors
    epochs: int = 24
    continue_epochs: int = 5  # with --continue
    continue_rate: float = 3e-4
    trial_epochs: int = 4  # of each kind, with auto
    warmup: int = 200  # steps
    clip: float = 1.0
    bf16: bool = True
    patience: int = 6  # epochs without a better validation
    validation: float = 0.1  # share of the acts, the last ones, that is held out
    validated: int = 10_000  # acts predicted at most to validate
    drop_seen: bool = True  # what a visitor has seen is not ranked, and predicting it does not count
    min_views: int = 2  # visitors that a product needs for a behaviour vector
    min_length: int = 2  # acts that a visitor needs
    max_products: int = 200_000  # more are drawn from those without views
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"kind is {self.kind!r}; allowed are {', '.join(KINDS)}")
        for names, said, is_good in _BOUNDS:
            for name in names.split():
                if not is_good(value := getattr(self, name)):
                    raise InputError(f"{name} is {value}; allowed is {said}")
        if self.projected and not self.graph:
            raise InputError(f"projected is {self.projected} with graph 0; give a graph, or projected 0")
        if self.min_length < 2 or not 0 < self.validation < 1:
            raise InputError(
                f"min_length and validation are {self.min_length} and {self.validation}; allowed are 2 or "
                "more, and above 0 and below 1"
            )

    def behaviour_dim(self, content: int) -> int:
        """Return the learned width of the behaviour block beside `content` values of other blocks."""
        room = ROW_DIM - content - self.projected
        if room < 1:
            raise InputError(
                f"rows have {content} values already, and {self.projected} are for projected; "
                f"a row has at most {ROW_DIM}"
            )
        return min(self.dim or (BESIDE_CONTENT if content else ALONE), room)

    def candidates(self, products: int) -> int:
        """Return how many negatives a step draws among `products`; 0 stands for all products."""
        return self.negatives if self.negatives < products else 0


def read_session_recipe(file: Path | None, base: SessionRecipe | None = None) -> SessionRecipe:
    """Read a recipe from TOML over `base`; names and kinds of values that no recipe has are an InputError."""
    base = base or SessionRecipe()
    if file is None:
        return base
    if not file.is_file():
        raise InputError(f"no training recipe {file}; give an existing TOML file")
    try:
        given: dict[str, Any] = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"training recipe {file} is not valid TOML: {error}") from error
    known = dataclasses.asdict(base)
    if unknown := sorted(set(given) - set(known)):
        raise InputError(f"training recipe {file} has unknown fields {unknown}; known are {sorted(known)}")
    for name, value in given.items():
        wanted = type(known[name])
        if wanted is float and type(value) is int:
            given[name] = float(value)
        elif type(value) is not wanted:
            raise InputError(f"{name} in {file} is {value!r}; allowed is a value such as {known[name]!r}")
    return dataclasses.replace(base, **given)
