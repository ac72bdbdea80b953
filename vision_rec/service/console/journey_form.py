"""What the address of the journeys screen says: who was viewed in which order, and back into an address."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from vision_rec.recommend.journey import MAX_STEPS

TYPES = {"view": "Viewed", "add_to_cart": "In cart", "purchase": "Bought"}
MODELS = {"auto": "Sequence model", "recency": "Recency mean"}


@dataclass(frozen=True, slots=True)
class Viewed:
    """One step: a product, and what was done with it."""

    ident: str
    type: str = "view"


@dataclass(frozen=True, slots=True)
class JourneyForm:
    """The steps, oldest first; the words that look for one more; which model reads them."""

    steps: tuple[Viewed, ...] = ()
    q: str = ""
    model: str = ""

    @classmethod
    def read(cls, pairs: Iterable[tuple[str, str]]) -> JourneyForm:
        """Read a query string: `v` is a product, `t` behind it what was done; unknown names do nothing."""
        steps: list[Viewed] = []
        once = {"q": "", "model": ""}
        for name, value in pairs:
            value = value.strip()[:512]
            if name == "v" and value:
                steps.append(Viewed(value))
            elif name == "t" and value in TYPES and steps:
                steps[-1] = Viewed(steps[-1].ident, value)
            elif name in once:
                once[name] = value
        model = once["model"] if once["model"] in MODELS else ""
        return cls(tuple(steps[:MAX_STEPS]), once["q"], model)

    @property
    def is_full(self) -> bool:
        """Whether no step can be added."""
        return len(self.steps) >= MAX_STEPS

    def pairs(self) -> list[tuple[str, str]]:
        """Return the steps and the model as fields, without the words."""
        out = []
        for step in self.steps:
            out.append(("v", step.ident))
            if step.type != "view":
                out.append(("t", step.type))
        return [*out, *([("model", self.model)] if self.model else [])]

    def address(self) -> str:
        """Return the shortest address that says the same."""
        said = [*self.pairs(), *([("q", self.q)] if self.q else [])]
        return f"/journeys?{urlencode(said)}" if said else "/journeys"

    def plus(self, ident: str) -> JourneyForm:
        """Return the journey with one more product viewed at its end."""
        return replace(self, steps=(*self.steps, Viewed(ident)), q="")

    def without(self, place: int) -> JourneyForm:
        """Return the journey without the step at `place`."""
        return replace(self, steps=(*self.steps[:place], *self.steps[place + 1 :]), q="")

    def swapped(self, place: int) -> JourneyForm:
        """Return the journey with the steps at `place` and behind it in the other order."""
        steps = list(self.steps)
        steps[place : place + 2] = reversed(steps[place : place + 2])
        return replace(self, steps=tuple(steps), q="")

    def typed(self, place: int, kind: str) -> JourneyForm:
        """Return the journey with something else done at `place`."""
        steps = list(self.steps)
        steps[place] = Viewed(steps[place].ident, kind)
        return replace(self, steps=tuple(steps), q="")

    def body(self, k: int) -> dict[str, Any]:
        """Return the journey as the body of POST /v1/journeys."""
        body: dict[str, Any] = {"recent": [step.ident for step in self.steps], "k": k}
        if any(step.type != "view" for step in self.steps):
            body["recent_types"] = [step.type for step in self.steps]
        if self.model:
            body["session_model"] = self.model
        return body
