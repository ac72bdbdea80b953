"""RuleBook: the published rules as answers read them; which of them are for a list at this moment."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from vision_rec.rules.model import Rule, plain, utc_now

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class View:
    """What a list is about: the product viewed, its categories or that of the page, the words searched."""

    product_id: str | None = None
    categories: Collection[str] = ()
    text: str | None = None


class RuleBook:
    """Published rules, never changed; `number` is their version, 0 for none, `stamp` their file's.

    Rules outside their dates are left out by `clock`, so a book acts differently as time goes by.
    """

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        *,
        number: int = 0,
        stamp: object = None,
        problems: Sequence[str] = (),
        clock: Clock = utc_now,
    ) -> None:
        self.rules = tuple(sorted(rules, key=lambda rule: rule.precedence))
        self.number, self.stamp, self.problems, self.clock = number, stamp, tuple(problems), clock
        moments = {at for rule in rules for at in (rule.starts_at, rule.ends_at) if at is not None}
        self._moments = sorted(moments)
        self._active: tuple[int, Mapping[tuple[str, str], Sequence[int]]] = (-1, {})

    def __len__(self) -> int:
        return len(self.rules)

    def phase(self) -> int:
        """Return how many starts and ends have passed: answers stay the same as long as this does."""
        return bisect_right(self._moments, self.clock()) if self._moments else 0

    def matching(self, view: View) -> tuple[Rule, ...]:
        """Return the rules that act on the lists of `view` now, the first to act first."""
        if not self.rules:
            return ()
        active = self._by_scope()
        if not active:
            return ()
        keys = {("all", "")} | {("category", plain(name)) for name in view.categories}
        if view.product_id is not None:
            keys.add(("product", view.product_id))
        if view.text is not None:
            keys.add(("query", plain(view.text)))
        found = sorted(place for key in keys for place in active.get(key, ()))
        return tuple(self.rules[place] for place in found)

    def has_categories(self) -> bool:
        """Say whether any rule asks for a category, so that others need not be told them."""
        return any(kind == "category" for kind, _ in self._by_scope())

    def _by_scope(self) -> Mapping[tuple[str, str], Sequence[int]]:
        """Return the places of active rules by their scope; sorted anew when a start or an end passes."""
        now = self.clock()
        phase = bisect_right(self._moments, now)
        known, active = self._active  # one read: another thread may replace it meanwhile
        if known != phase:
            fresh: dict[tuple[str, str], list[int]] = {}
            for place, rule in enumerate(self.rules):
                if rule.state(now) == "active":
                    fresh.setdefault(rule.scope.key, []).append(place)
            self._active = (phase, fresh)
            return fresh
        return active


NO_RULES = RuleBook()
