"""What the files of rules hold: a published version, and the draft of the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_rec.errors import IntegrityError, NotFoundError
from vision_rec.rules.audit import Entry
from vision_rec.rules.model import Rule
from vision_rec.rules.parse import rules_from_records


@dataclass(frozen=True, slots=True)
class Version:
    """One published set of rules; `restored_from` is the older version it repeats."""

    number: int
    published_at: str
    author: str
    note: str
    restored_from: int | None
    rules: tuple[Rule, ...]
    entry: Entry

    @classmethod
    def read(cls, body: Mapping[str, Any], path: Path) -> Version:
        """Read the body of the file at `path`; raises IntegrityError."""
        try:
            entry, origin = Entry.read(body["entry"]), body["restored_from"]
            return cls(
                number=int(body["number"]),
                published_at=entry.at,
                author=entry.who,
                note=str(body["note"]),
                restored_from=None if origin is None else int(origin),
                rules=rules_from_records(body["rules"]),
                entry=entry,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(f"{path} is damaged: {error}") from error


@dataclass(frozen=True, slots=True)
class Draft:
    """What would be published; `serial` is that of its last change, `saved` whether it has a file."""

    serial: int
    rules: tuple[Rule, ...]
    saved: bool
    problem: str = ""

    def rule(self, rule_id: str) -> Rule:
        """Return a rule by id; raises NotFoundError."""
        for rule in self.rules:
            if rule.id == rule_id:
                return rule
        raise NotFoundError(f"there is no rule {rule_id[:50]!r} in the draft")


def same_rules(one: Sequence[Rule], other: Sequence[Rule]) -> bool:
    """Say whether two sets hold the same rules, in whatever order."""
    mine, theirs = {rule.id: rule for rule in one}, {rule.id: rule for rule in other}
    return mine.keys() == theirs.keys() and all(
        rule.says_the_same(theirs[name]) for name, rule in mine.items()
    )
