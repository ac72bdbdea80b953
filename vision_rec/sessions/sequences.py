"""What visitors did, as sequences of products: what session models learn from and are measured on."""

from __future__ import annotations

import unicodedata
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from vision_rec.errors import InputError
from vision_rec.sessions import EVENT_TYPES, VIEW, say_of
from vision_rec.types import Event

Ints = npt.NDArray[np.int64]
By = Literal["user", "session"]
_VIEW = EVENT_TYPES.index(VIEW)


@dataclass(frozen=True, slots=True)
class Sequences:
    """The acts of n visitors, one visitor after the other, each oldest first; T acts in all.

    `items` (T,) are numbers into `products`, `types` (T,) into `EVENT_TYPES`, `at` (T,) are Unix seconds, nan
    where unknown. Visitor i did `items[starts[i]:starts[i + 1]]`; `visitors` are empty texts where unknown.
    """

    products: tuple[str, ...]
    items: npt.NDArray[np.int32]
    types: npt.NDArray[np.int8]
    at: npt.NDArray[np.float64]
    starts: Ints  # (n + 1,)
    visitors: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> Ints:
        """How many acts each visitor has, (n,)."""
        return np.diff(self.starts)

    @property
    def owners(self) -> Ints:
        """The number of the visitor of each act, (T,)."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)

    @property
    def gaps(self) -> npt.NDArray[np.float64]:
        """Seconds since the act before, (T,); nan where unknown and for the first of each visitor."""
        gaps = np.diff(self.at, prepend=np.nan)
        gaps[self.starts[:-1][self.lengths > 0]] = np.nan
        return gaps

    def of(self, visitor: int) -> slice:
        """Return where the acts of one visitor lie."""
        return slice(int(self.starts[visitor]), int(self.starts[visitor + 1]))

    def counts(self) -> Ints:
        """Count the visitors of each product, (M,): who comes back counts once."""
        pairs = np.unique(self.owners * max(len(self.products), 1) + self.items)
        return np.bincount(pairs % max(len(self.products), 1), minlength=len(self.products))

    def select(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.integer] | Sequence[int]) -> Sequences:
        """Return the sequences of some visitors, by a mask (n,) or their numbers in the order wanted."""
        chosen = np.asarray(which)
        numbers = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen.astype(np.int64)
        return self._cut(numbers, self.starts[numbers], self.starts[numbers + 1])

    def first(self, acts: Ints) -> Sequences:
        """Return only the first `acts` (n,) of each visitor; a visitor may be left with none."""
        numbers = np.arange(len(self), dtype=np.int64)
        return self._cut(numbers, self.starts[:-1], self.starts[:-1] + np.clip(acts, 0, self.lengths))

    def until(self, moment: float) -> Sequences:
        """Return what was done before `moment` in Unix seconds, of those who had done something."""
        before = self._before(moment)
        kept = self.first(before)
        return kept.select(kept.lengths > 0)

    def split_by_time(self, share: float) -> tuple[Sequences, HeldOut]:
        """Hold out the last `share` of all acts: (what was done before, what is to be predicted).

        Of a visitor who came before and after, what was done before is known, and trained on; of new visitors
        the first act is known. Where no times are known the sequences count as in order of time and the last
        `share` of them is held out whole.
        """
        if not 0 < share < 1:
            raise InputError(f"share is {share!r}; allowed is above 0 and below 1")
        if len(self.items) == 0 or bool(np.isnan(self.at).any()):
            cut = len(self) - max(1, round(share * len(self))) if len(self) else 0
            numbers = np.arange(len(self))
            return self.select(numbers[:cut]), HeldOut.after_first(self.select(numbers[cut:]))
        moment = float(np.quantile(self.at, 1 - share, method="higher"))
        return self.until(moment), self.held_from(moment)

    def held_from(self, moment: float) -> HeldOut:
        """Hold out what was done from `moment` on, in Unix seconds; what each visitor did before is known."""
        known = np.maximum(self._before(moment), 1)
        later = np.flatnonzero(known < self.lengths)
        return HeldOut(self.select(later), known[later])

    def leave_one_out(self) -> tuple[Sequences, HeldOut, HeldOut]:
        """Hold out each visitor's last act but one for validation and the last for the test.

        Returns what is left to train on, validation and test. Who did fewer than three things is trained on
        and not measured.
        """
        lengths = self.lengths
        enough = np.flatnonzero(lengths >= 3)
        train = self.first(np.where(lengths >= 3, lengths - 2, lengths))
        test = self.select(enough)
        validation = test.first(test.lengths - 1)
        return (
            train,
            HeldOut(validation, validation.lengths - 1),
            HeldOut(test, test.lengths - 1),
        )

    def _before(self, moment: float) -> Ints:
        """Count each visitor's acts up to the first that is not before `moment`."""
        late = np.flatnonzero(~(self.at < moment))
        ends = self.starts[1:].copy()
        owners = self.owners[late]
        np.minimum.at(ends, owners, late)
        return ends - self.starts[:-1]

    def _cut(self, visitors: Ints, begin: Ints, end: Ints) -> Sequences:
        lengths = end - begin
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        places = np.arange(starts[-1]) - np.repeat(starts[:-1] - begin, lengths)
        return replace(
            self,
            items=self.items[places],
            types=self.types[places],
            at=self.at[places],
            starts=starts,
            visitors=tuple(self.visitors[number] for number in visitors.tolist()),
        )


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Sequences whose first `known` (n,) ≥ 1 acts are given; every later one is to be predicted.

    An act is predicted from all that came before it, the earlier ones of those to predict included.
    """

    sequences: Sequences
    known: Ints

    @classmethod
    def after_first(cls, sequences: Sequences) -> HeldOut:
        """Hold out all but the first act of each visitor who has two."""
        enough = sequences.select(sequences.lengths >= 2)
        return cls(enough, np.ones(len(enough), np.int64))

    def __len__(self) -> int:
        """How many acts are to be predicted."""
        return int((self.sequences.lengths - self.known).sum())

    @property
    def targets(self) -> Ints:
        """Where the acts to predict lie in `sequences.items`."""
        sequences = self.sequences
        within = np.arange(len(sequences.items)) - np.repeat(sequences.starts[:-1], sequences.lengths)
        return np.flatnonzero(within >= np.repeat(self.known, sequences.lengths))

    def sample(self, most: int, seed: int = 0) -> HeldOut:
        """Return at most about `most` acts to predict: those of visitors drawn at random."""
        if len(self) <= most:
            return self
        order = np.random.default_rng(seed).permutation(len(self.sequences))
        total = np.cumsum((self.sequences.lengths - self.known)[order])
        chosen = np.sort(order[: max(1, int(np.searchsorted(total, most, side="right")))])
        return HeldOut(self.sequences.select(chosen), self.known[chosen])


def from_events(events: Iterable[Event], *, by: By = "user", at_least: int = 2) -> Sequences:
    """Order what visitors did: what says nothing good, such as an impression or a bad rating, is left out.

    Events follow one another by when they were received, then by when they came. What has no user id goes by
    its session id, and the other way round; what has neither is left out. Acts on one product right after one
    another are one, as far as it went: a view and then a purchase is a purchase. Visitors with fewer than
    `at_least` acts are left out.
    """
    if by not in ("user", "session"):
        raise InputError(f"by is {by!r}; allowed are user and session")
    visitors: dict[tuple[bool, str], int] = {}
    products: dict[str, int] = {}
    kinds = {name: number for number, name in enumerate(EVENT_TYPES)}
    who, what, how, when = array("q"), array("q"), array("b"), array("d")
    for event in events:
        user, session = event.user_id, event.session_id
        ident = (user or session) if by == "user" else (session or user)
        if ident is None or not say_of(event) > 0:
            continue
        who.append(visitors.setdefault((ident == user, ident), len(visitors)))
        what.append(products.setdefault(_product(event.product_id), len(products)))
        how.append(kinds[event.type])
        when.append(event.received_at.timestamp())
    if not who:
        return from_lists(())
    owners, items = np.frombuffer(who, np.int64), np.frombuffer(what, np.int64)
    types, at = np.frombuffer(how, np.int8), np.frombuffer(when, np.float64)
    order = np.lexsort((at, owners))  # stable: equal times stay as they came
    owners, items, types, at = owners[order], items[order], types[order], at[order]
    begins = np.flatnonzero(np.diff(owners, prepend=-1) | np.diff(items, prepend=-1))
    ends = np.append(begins[1:], len(items)) - 1
    lengths = np.bincount(owners[begins], minlength=len(visitors))
    whole = Sequences(
        tuple(products),
        items[begins].astype(np.int32),
        np.maximum.reduceat(types, begins),
        at[ends],
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        tuple(ident for _, ident in visitors),
    )
    return whole.select(whole.lengths >= at_least)


def _product(ident: str) -> str:
    """Return the form in which product ids are compared, as reindex does."""
    return unicodedata.normalize("NFC", ident).strip()


def from_lists(
    lists: Iterable[Sequence[str]], *, at: Iterable[Sequence[float]] | None = None, at_least: int = 1
) -> Sequences:
    """Read views as lists of product ids, oldest first, as benchmarks have them; nothing is merged.

    `at` gives their Unix seconds in the same form.
    """
    products: dict[str, int] = {}
    kept = [list(ids) for ids in lists]
    times = [list(moments) for moments in at] if at is not None else [[np.nan] * len(ids) for ids in kept]
    if [len(ids) for ids in kept] != [len(moments) for moments in times]:
        raise InputError("at must give one time for every product of every list")
    items = [products.setdefault(product, len(products)) for ids in kept for product in ids]
    sequences = Sequences(
        tuple(products),
        np.asarray(items, np.int32),
        np.full(len(items), _VIEW, np.int8),
        np.asarray([moment for moments in times for moment in moments], np.float64),
        np.cumsum([0, *map(len, kept)]).astype(np.int64),
        ("",) * len(kept),
    )
    return sequences.select(sequences.lengths >= at_least)
