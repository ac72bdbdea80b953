"""Rules on disk: a draft that is edited, published versions that never change, and the log of both.

var/rules/versions/000003.json   a published version; CURRENT names the one that applies
var/rules/draft.json             what is being edited; absent where it is what is published
var/rules/audit.jsonl            who, when, what

A change counts once its file is replaced. The file holds the change's line of the log, so that a writer
killed before it wrote the line leaves no gap: the next one writes it.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from vision_rec.errors import (
    ChangedError,
    IncompatibleError,
    InputError,
    IntegrityError,
    NotFoundError,
)
from vision_rec.failpoints import failpoint
from vision_rec.rules.audit import MAX_SAID, AuditLog, Entry
from vision_rec.rules.book import Clock, RuleBook
from vision_rec.rules.disk import disk_errors, only_writer, read_sealed, replace_file, write_sealed
from vision_rec.rules.model import Rule, iso, sentence, to_json, utc_now
from vision_rec.rules.parse import MAX_RULES, rule_from_json, rules_from_records
from vision_rec.rules.saved import Draft, Version, same_rules

MAX_NOTE = 500  # characters
_UNREADABLE = (IntegrityError, IncompatibleError)


class RuleStore:
    """The rules of one data folder; readers need no lock, writers wait for each other."""

    def __init__(self, folder: Path, *, clock: Clock = utc_now) -> None:
        self.folder, self._clock = Path(folder), clock
        self._draft_path = self.folder / "draft.json"
        self.log = AuditLog(self.folder / "audit.jsonl")

    # ── reading ───────────────────────────────────────────────────────────────────────────────────

    def stamp(self) -> object:
        """Return what changes whenever the published rules may have; costs two looks at the disk."""
        try:
            named = (self.folder / "CURRENT").read_bytes()[:40]
        except FileNotFoundError:
            return None
        except OSError as error:
            return str(error)
        try:
            status = self._path(int(named)).stat()
        except (OSError, ValueError):
            return named
        return named, status.st_mtime_ns, status.st_size, status.st_ino

    def book(self) -> RuleBook:
        """Return the published rules; where they are damaged the last good version, and what is wrong."""
        stamp = self.stamp()  # before reading: a publish in between is seen at the next look
        version, problems = self.current()
        if version is None:
            return RuleBook(stamp=stamp, problems=problems, clock=self._clock)
        return RuleBook(
            version.rules, number=version.number, stamp=stamp, problems=problems, clock=self._clock
        )

    def current(self) -> tuple[Version | None, tuple[str, ...]]:
        """Return the version that applies, None before the first, and what is wrong with what should."""
        try:
            named = self._named()
            if named is None:
                if not self._published():
                    return None, ()
                raise IntegrityError(f"{self.folder / 'CURRENT'} is missing")
            return self.version(named), ()
        except (*_UNREADABLE, NotFoundError) as error:
            problem, broken = str(error), self._named_or_none()
        for number in reversed(self.numbers()):
            if broken is not None and number >= broken:
                continue
            try:
                found = self.version(number)
            except _UNREADABLE:
                continue
            return found, (f"rules: {problem}; version {number} applies instead",)
        return None, (f"rules: {problem}; no rule applies",)

    def version(self, number: int) -> Version:
        """Return a published version; raises NotFoundError, IntegrityError."""
        try:
            body = read_sealed(self._path(number))
        except FileNotFoundError:
            raise NotFoundError(f"there is no version {number} of the rules") from None
        return Version.read(body, self._path(number))

    def numbers(self) -> tuple[int, ...]:
        """Return the numbers of all published versions, oldest first; those never finished are left out."""
        named = self._named_or_none()
        return tuple(number for number in self._files() if named is None or number <= named)

    def draft(self) -> Draft:
        """Return the draft; what is published where there is none or it is damaged."""
        problem = ""
        try:
            body = read_sealed(self._draft_path)
            entry, rules = Entry.read(body["entry"]), rules_from_records(body["rules"])
            return Draft(entry.seq, rules, True)
        except FileNotFoundError:
            pass
        except (*_UNREADABLE, KeyError) as error:
            problem = f"rules: the draft is lost, what is published stands in for it: {error}"
        version, _ = self.current()
        if version is None:
            return Draft(0, (), False, problem)
        return Draft(version.entry.seq, version.rules, False, problem)

    def problems(self) -> tuple[str, ...]:
        """Name everything in the folder that is not as it was written."""
        out = list(self.current()[1])
        for number in self.numbers():
            try:
                self.version(number)
            except _UNREADABLE as error:
                if not any(str(error) in told for told in out):
                    out.append(str(error))
        draft = self.draft()
        return (*out, *([draft.problem] if draft.problem else []), *self.log.problems())

    # ── editing the draft ─────────────────────────────────────────────────────────────────────────

    def create(self, body: Mapping[str, Any], who: str) -> Rule:
        """Add a rule to the draft; raises InputError."""
        with self._writing() as seq:
            rule = rule_from_json(body, rule_id=f"r-{secrets.token_hex(6)}")
            rules = self.draft().rules
            if len(rules) >= MAX_RULES:
                raise InputError(f"there are {len(rules)} rules; allowed are {MAX_RULES}, remove some first")
            rule = self._signed(rule, seq, who)
            entry = self._entry(seq, who, "created", rule=rule.id, after=sentence(rule))
            self._write_draft((*rules, rule), entry)
            return rule

    def change(self, rule_id: str, body: Mapping[str, Any], who: str, *, serial: int | None = None) -> Rule:
        """Replace a rule of the draft, if its serial is still `serial`; raises ChangedError where not."""
        with self._writing() as seq:
            draft = self.draft()
            before = _unchanged(draft.rule(rule_id), serial)
            rule = self._signed(rule_from_json(body, rule_id=rule_id), seq, who)
            entry = self._entry(
                seq, who, "changed", rule=rule_id, before=sentence(before), after=sentence(rule)
            )
            self._write_draft([rule if old.id == rule_id else old for old in draft.rules], entry)
            return rule

    def remove(self, rule_id: str, who: str, *, serial: int | None = None) -> Rule:
        """Take a rule out of the draft, if its serial is still `serial`; raises ChangedError where not."""
        with self._writing() as seq:
            draft = self.draft()
            rule = _unchanged(draft.rule(rule_id), serial)
            entry = self._entry(seq, who, "removed", rule=rule_id, before=sentence(rule))
            self._write_draft([old for old in draft.rules if old.id != rule_id], entry)
            return rule

    def discard(self, who: str, *, serial: int | None = None) -> bool:
        """Make the draft what is published, if its serial is still `serial`; False where it already is.

        Raises ChangedError where somebody changed the draft meanwhile.
        """
        with self._writing() as seq:
            draft = self.draft()
            if serial is not None and serial != draft.serial:
                raise ChangedError("the draft was changed meanwhile; look at it again, then discard it")
            version, _ = self.current()
            published = () if version is None else version.rules
            if same_rules(draft.rules, published):
                return False
            self._write_draft(published, self._entry(seq, who, "discarded"))
            return True

    # ── publishing ────────────────────────────────────────────────────────────────────────────────

    def publish(self, who: str, *, note: str = "", serial: int | None = None) -> Version | None:
        """Make the draft the version that applies, if its serial is still `serial`.

        None where it already is; raises ChangedError where somebody changed the draft meanwhile.
        """
        if len(note) > MAX_NOTE:
            raise InputError(f"the note has {len(note)} characters; allowed are {MAX_NOTE}")
        with self._writing() as seq:
            draft = self.draft()
            if serial is not None and serial != draft.serial:
                raise ChangedError("the draft was changed meanwhile; look at it again, then publish")
            version, problems = self.current()
            if same_rules(draft.rules, () if version is None else version.rules) and not problems:
                return None
            return self._publish(seq, who, "published", draft.rules, note=note)

    def restore(self, number: int, who: str, *, expected: int | None = None) -> Version:
        """Publish an older version once more, 0 for no rules; unpublished edits of the draft stay.

        Raises ChangedError where another version than `expected` applies by now.
        """
        with self._writing() as seq:
            applies = 0 if (now := self.current()[0]) is None else now.number
            if expected is not None and expected != applies:
                raise ChangedError(
                    f"version {applies} applies by now, not version {expected}; look at what it changed, "
                    "then take it back"
                )
            if number and number not in self.numbers():
                raise NotFoundError(f"there is no version {number} of the rules")
            rules = self.version(number).rules if number else ()
            draft, (before, _) = self.draft(), self.current()
            version = self._publish(
                seq, who, "restored", rules, note=f"back to version {number}", origin=number
            )
            self._rebase(draft, () if before is None else before.rules, version)
            return version

    def _publish(
        self, seq: int, who: str, what: str, rules: Sequence[Rule], *, note: str, origin: int | None = None
    ) -> Version:
        number = self._next_number()
        entry = self._entry(seq, who, what, version=number, after=note)
        body = {
            "number": number,
            "entry": entry.to_json(),
            "note": note,
            "restored_from": origin,
            "rules": [to_json(rule) for rule in rules],
        }
        (self.folder / "versions").mkdir(mode=0o700, exist_ok=True)
        write_sealed(self._path(number), body, "rules.version")
        failpoint("rules.before-current")
        replace_file(self.folder / "CURRENT", b"%d\n" % number, "rules.current")
        self.log.append(entry)
        return self.version(number)

    def _rebase(self, draft: Draft, before: Sequence[Rule], version: Version) -> None:
        """Carry the unpublished edits of `draft`, made on `before`, over to a restored version."""
        if not draft.saved:
            return
        old = {rule.id: rule for rule in before}
        mine, back = {rule.id: rule for rule in draft.rules}, {rule.id: rule for rule in version.rules}
        edited = {name for name in {*old, *mine} if old.get(name) != mine.get(name)}
        names = [*back, *(name for name in mine if name not in back)]
        chosen = [(mine if name in edited else back).get(name) for name in names]
        body = {
            "entry": version.entry.to_json(),
            "rules": [to_json(rule) for rule in chosen if rule is not None],
        }
        write_sealed(self._draft_path, body, "rules.draft")

    # ── steps ─────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _writing(self) -> Iterator[int]:
        """Hold the lock, finish what a killed writer began, and give the number of the next change."""
        with only_writer(self.folder), disk_errors(self.folder):
            version, draft = self._recovered()
            yield 1 + max(self.log.last(), draft.serial, 0 if version is None else version.entry.seq)

    def _recovered(self) -> tuple[Version | None, Draft]:
        named = self._named_or_none()
        for number in self._files():
            if (named is None or number > named) and not self._logged(number):
                os.remove(self._path(number))  # by a publish that was killed before it counted
        version, _ = self.current()
        draft = self.draft()
        if draft.problem:
            os.replace(self._draft_path, self.folder / "draft.damaged.json")
        restored = version is not None and version.restored_from is not None
        if version is not None and restored and draft.saved and draft.serial < version.entry.seq:
            parent = max((n for n in self.numbers() if n < version.number), default=None)
            self._rebase(draft, () if parent is None else self.version(parent).rules, version)
            draft = self.draft()
        for entry in sorted(self._owed(version, draft), key=lambda entry: entry.seq):
            if entry.seq > self.log.last():
                self.log.append(entry)
        return version, draft

    def _owed(self, version: Version | None, draft: Draft) -> Iterator[Entry]:
        """Yield the lines of the log that stored files hold."""
        if version is not None:
            yield version.entry
        if draft.saved:
            yield Entry.read(read_sealed(self._draft_path)["entry"])

    def _write_draft(self, rules: Sequence[Rule], entry: Entry) -> None:
        body = {"entry": entry.to_json(), "rules": [to_json(rule) for rule in rules]}
        write_sealed(self._draft_path, body, "rules.draft")
        self.log.append(entry)

    def _signed(self, rule: Rule, seq: int, who: str) -> Rule:
        return replace(rule, serial=seq, author=who, changed_at=self._clock())

    def _entry(
        self,
        seq: int,
        who: str,
        what: str,
        *,
        rule: str | None = None,
        version: int | None = None,
        before: str = "",
        after: str = "",
    ) -> Entry:
        at = iso(self._clock()) or ""
        return Entry(seq, at, who, what, rule, version, before[:MAX_SAID], after[:MAX_SAID])

    def _path(self, number: int) -> Path:
        return self.folder / "versions" / f"{number:06d}.json"

    def _files(self) -> list[int]:
        """Return the numbers of all version files, oldest first."""
        names = (path.name for path in (self.folder / "versions").glob("*.json"))
        return sorted(int(name[:6]) for name in names if re.fullmatch(r"\d{6}\.json", name))

    def _next_number(self) -> int:
        """Return a number that no version has, nor the one that CURRENT names where its file is lost."""
        last, named = max(self._files(), default=0), self._named_or_none() or 0
        return 1 + (named if named == last + 1 else last)

    def _logged(self, number: int) -> bool:
        """Say whether the log has the publishing of a version; not so where its writer was killed."""
        try:
            return self.version(number).entry.seq <= self.log.last()
        except (*_UNREADABLE, NotFoundError):
            return True  # damaged, so it was there before

    def _published(self) -> bool:
        return any(self._logged(number) for number in self._files())

    def _named(self) -> int | None:
        """Return the number CURRENT names, None where there is none; raises IntegrityError for garbage."""
        path = self.folder / "CURRENT"
        try:
            text = path.read_bytes()[:40].decode("ascii", "replace").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise IntegrityError(f"{path} cannot be read: {error.strerror}") from error
        if not re.fullmatch(r"[1-9]\d{0,5}", text, re.ASCII):
            raise IntegrityError(f"{path} holds {text!r}, which is no number of a version")
        return int(text)

    def _named_or_none(self) -> int | None:
        try:
            return self._named()
        except IntegrityError:
            return None


def _unchanged(rule: Rule, serial: int | None) -> Rule:
    if serial is not None and serial != rule.serial:
        raise ChangedError(
            f"rule {rule.id} was changed by {rule.author} at {iso(rule.changed_at)}; look at it again",
            current=to_json(rule),
        )
    return rule
