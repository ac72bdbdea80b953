"""RuleDesk: the one use case behind the console, HTTP and command line where rules are edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from vision_rec.errors import InputError, IntegrityError, NotFoundError
from vision_rec.merchandise.check import check_rules
from vision_rec.recommend.state import State
from vision_rec.rules import (
    Clock,
    Rule,
    RuleBook,
    RuleHits,
    RuleStore,
    Version,
    rule_from_json,
    same_rules,
    sentence,
    to_json,
    utc_now,
)
from vision_rec.settings import Settings

DRAFT, CURRENT = "draft", "current"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two sets of rules."""

    kind: Literal["added", "removed", "changed"]
    before: Rule | None
    after: Rule | None

    @property
    def rule(self) -> Rule:
        """The rule as it is afterwards, or was where it is gone."""
        rule = self.after or self.before
        assert rule is not None
        return rule

    def to_json(self) -> dict[str, Any]:
        """Return the change as JSON types."""
        return {
            "id": self.rule.id,
            "change": self.kind,
            "before": None if self.before is None else to_json(self.before),
            "after": None if self.after is None else to_json(self.after),
            "was": "" if self.before is None else sentence(self.before),
            "is": "" if self.after is None else sentence(self.after),
        }


class RuleDesk:
    """The rules of one data folder, and what a catalogue says about them."""

    def __init__(self, settings: Settings, *, clock: Clock = utc_now) -> None:
        self.store = RuleStore(settings.paths.data / "rules", clock=clock)
        self.hits = RuleHits(settings.paths.data / "rules" / "hits.sqlite", clock=clock)
        self.clock = clock

    # ── reading ───────────────────────────────────────────────────────────────────────────────────

    def overview(self, state: State | None = None) -> dict[str, Any]:
        """Return the draft with the state of every rule; with a catalogue also what is odd about each."""
        draft, (version, problems) = self.store.draft(), self.store.current()
        published = () if version is None else version.rules
        odd, hits = self.odd(state), self.hits.of_week()
        known = {rule.id: rule for rule in published}
        return {
            "version": 0 if version is None else version.number,
            "draft": draft.serial,
            "changed": not same_rules(draft.rules, published),
            "degraded": [*problems, *([draft.problem] if draft.problem else [])],
            "rules": [
                self.view(
                    rule,
                    published=known.get(rule.id),
                    odd=odd.get(rule.id, ()),
                    hits=hits.get(rule.id, 0),
                )
                for rule in sorted(draft.rules, key=lambda rule: rule.precedence)
            ],
        }

    def view(
        self, rule: Rule, *, published: Rule | None = None, odd: Sequence[str] = (), hits: int = 0
    ) -> dict[str, Any]:
        """Return a rule with what it says, whether it acts now and did, how it differs from the published."""
        unpublished = "added" if published is None else "changed"
        return {
            **to_json(rule),
            "sentence": sentence(rule),
            "state": rule.state(self.clock()),
            "unpublished": None if rule.says_the_same(published) else unpublished,
            "problems": list(odd),
            "hits_7_days": hits,
        }

    def one(self, rule_id: str, state: State | None = None) -> dict[str, Any]:
        """Return one rule of the draft as `overview` has it; raises NotFoundError."""
        draft, (version, _) = self.store.draft(), self.store.current()
        rule = draft.rule(rule_id)
        published = next((r for r in (() if version is None else version.rules) if r.id == rule_id), None)
        odd, hits = self.odd(state).get(rule_id, ()), self.hits.of_week().get(rule_id, 0)
        return self.view(rule, published=published, odd=odd, hits=hits)

    def conditions(self, rule_id: str) -> list[str]:
        """Return the filters of a rule of the draft as conditions such as `price<=50`."""
        condition = self.store.draft().rule(rule_id).condition
        return [] if condition is None else [clause.expression for clause in condition.clauses]

    def odd(self, state: State | None) -> dict[str, tuple[str, ...]]:
        """Return what is odd about the rules of the draft, by id; nothing without a catalogue."""
        return {} if state is None else check_rules(state, self.store.draft().rules, self.clock())

    def rules_of(self, name: str) -> tuple[Rule, ...]:
        """Return the rules of `draft`, `current` or a version's number; raises InputError, NotFoundError."""
        if name == DRAFT:
            return self.store.draft().rules
        if name == CURRENT:
            version, _ = self.store.current()
            return () if version is None else version.rules
        if name == "0":
            return ()  # before the first publish
        if not (name.isascii() and name.isdigit() and len(name) <= 6):
            raise InputError(f"{name[:50]!r} names no rules; allowed are draft, current or a number")
        if int(name) not in self.store.numbers():
            raise NotFoundError(f"there is no version {int(name)} of the rules")
        return self.store.version(int(name)).rules

    def diff(self, before: str = CURRENT, after: str = DRAFT) -> list[Change]:
        """Return what differs between two sets of rules, in the order rules act."""
        return changes(self.rules_of(before), self.rules_of(after))

    def number(self) -> int:
        """Return the number of the version that applies, 0 for none."""
        version, _ = self.store.current()
        return 0 if version is None else version.number

    @staticmethod
    def compare(before: Sequence[Rule], after: Sequence[Rule]) -> list[Change]:
        """Return what makes `after` of `before`, in the order rules act."""
        return changes(before, after)

    def versions(self, limit: int = 50) -> list[dict[str, Any]]:
        """Describe the newest published versions, newest first."""
        current, _ = self.store.current()
        numbers = list(reversed(self.store.numbers()))[:limit]
        return [self._version(self.store, number, current) for number in numbers]

    @staticmethod
    def _version(store: RuleStore, number: int, current: Version | None) -> dict[str, Any]:
        try:
            version = store.version(number)
        except IntegrityError as error:
            return {"number": number, "current": False, "state": "damaged", "detail": str(error)}
        return {
            "number": number,
            "current": current is not None and current.number == number,
            "state": "good",
            "published_at": version.published_at,
            "author": version.author,
            "note": version.note,
            "restored_from": version.restored_from,
            "count": len(version.rules),
        }

    # ── what would be ─────────────────────────────────────────────────────────────────────────────

    def book(self, rules: Sequence[Rule]) -> RuleBook:
        """Return `rules` as answers read them."""
        return RuleBook(rules, clock=self.clock)

    def draft_with(self, body: Mapping[str, Any] | None) -> tuple[Rule, ...]:
        """Return the draft with a rule that is not saved yet, which may replace the one of its `id`."""
        draft = self.store.draft()
        if body is None:
            return draft.rules
        rule_id = body.get("id")
        if rule_id is not None:
            draft.rule(str(rule_id))
        newest = max((rule.serial for rule in draft.rules), default=0) + 1
        rule = replace(
            rule_from_json(body, rule_id=str(rule_id or "r-000000000000")), serial=newest, enabled=True
        )
        return (*(old for old in draft.rules if old.id != rule.id), rule)

    # ── changing ──────────────────────────────────────────────────────────────────────────────────

    def move(self, rule_id: str, by: int, who: str, *, serial: int | None = None) -> Rule:
        """Move a pin of the draft by `by` places, not before the first; raises InputError for other rules."""
        rule = self.store.draft().rule(rule_id)
        if rule.effect != "pin":
            raise InputError(f"rule {rule_id} is a {rule.effect}; only pins have places")
        before = rule.position or 1
        place = max(1, before + by)
        if place == before:
            return rule
        body = {name: value for name, value in to_json(rule, own=False).items() if value is not None}
        serial = rule.serial if serial is None else serial
        return self.store.change(rule_id, {**body, "position": place}, who, serial=serial)

    def undo(self, who: str, *, expected: int | None = None) -> Version:
        """Publish the version before the current one again, none before the first; raises InputError.

        Raises ChangedError where another version than `expected` applies by now.
        """
        current, _ = self.store.current()
        if current is None:
            raise InputError("nothing is published yet, so there is nothing to undo")
        expected = current.number if expected is None else expected
        # Twice in a row goes back two steps: what was restored is looked through to where it came from.
        at, origin = current.number, current.restored_from
        while origin is not None:
            at, origin = origin, None if origin == 0 else self.store.version(origin).restored_from
        if at == 0:
            raise InputError("no rule applies, as before the first publish; there is nothing left to undo")
        before = [number for number in self.store.numbers() if number < at]
        return self.store.restore(before[-1] if before else 0, who, expected=expected)


def changes(before: Sequence[Rule], after: Sequence[Rule]) -> list[Change]:
    """Return what makes `after` of `before`, in the order rules act."""
    old, new = {rule.id: rule for rule in before}, {rule.id: rule for rule in after}
    out: list[Change] = []
    for rule_id in dict.fromkeys((*new, *old)):
        was, now = old.get(rule_id), new.get(rule_id)
        if was is None or now is None:
            out.append(Change("added" if was is None else "removed", was, now))
        elif not now.says_the_same(was):
            out.append(Change("changed", was, now))
    return sorted(out, key=lambda change: change.rule.precedence)
