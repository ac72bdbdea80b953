"""What rankers are asked: the acts before, oldest first, and what came next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vision_rec.errors import InputError
from vision_rec.evaluate_sessions.measures import Wanted
from vision_rec.evaluate_sessions.places import Numbers
from vision_rec.sessions.sequences import HeldOut, Sequences, from_lists


@dataclass(frozen=True, slots=True)
class Cases:
    """n questions over `sequences`: what was done is `items[begins:ends]`, what came next `items[ends]`.

    What else came later, up to `stops`, is wanted too by precision and recall. All of them are (n,).
    """

    sequences: Sequences
    begins: Numbers
    ends: Numbers
    stops: Numbers

    def __len__(self) -> int:
        return len(self.begins)

    @classmethod
    def of(cls, held: HeldOut) -> Cases:
        """Ask for every held-out act, each from all that came before it."""
        sequences, ends = held.sequences, held.targets
        visitors = np.repeat(np.arange(len(sequences)), sequences.lengths - held.known)
        return cls(sequences, sequences.starts[visitors], ends, sequences.starts[visitors + 1])

    @property
    def next(self) -> Numbers:
        """The products that came next, (n,)."""
        return self.sequences.items[self.ends].astype(np.int64)

    def part(self, which: slice | npt.NDArray[np.bool_]) -> Cases:
        """Return some of the cases."""
        return replace(self, begins=self.begins[which], ends=self.ends[which], stops=self.stops[which])

    def blocks(self, size: int) -> Iterator[Cases]:
        """Yield the cases in blocks of at most `size`."""
        for start in range(0, len(self), size):
            yield self.part(slice(start, start + size))

    def acts(self, begins: Numbers, ends: Numbers) -> tuple[Numbers, Numbers]:
        """Return (case, place in the sequences' arrays) of each act between `begins` and `ends` (n,)."""
        lengths = ends - begins
        cases = np.repeat(np.arange(len(begins)), lengths)
        firsts = np.concatenate([[0], np.cumsum(lengths)[:-1]]) if len(lengths) else lengths
        return cases, np.arange(len(cases)) + np.repeat(begins - firsts, lengths)

    def seen(self) -> tuple[Numbers, Numbers]:
        """Return (case, product) of every act before."""
        cases, places = self.acts(self.begins, self.ends)
        return cases, self.sequences.items[places].astype(np.int64)

    def recent(self, length: int) -> Recent:
        """Return at most the last `length` acts of each case, filled up at the end."""
        begins = np.maximum(self.begins, self.ends - length)
        lengths = self.ends - begins
        longest = int(lengths.max(initial=1))
        places = np.minimum(begins[:, None] + np.arange(longest), np.maximum(self.ends - 1, begins)[:, None])
        real = np.arange(longest) < lengths[:, None]
        sequences = self.sequences
        return Recent(
            np.where(real, sequences.items[places], -1).astype(np.int64),
            lengths,
            sequences.types[places],
            np.where(real, sequences.at[places], np.nan),
        )

    def wanted(self, *, new_only: bool) -> tuple[Cases, Wanted]:
        """Return the cases that count, and what is wanted in each, every product once.

        With `new_only` what was seen before is not wanted, and a case whose next product was seen is left
        out: it could not be answered.
        """
        kept = self.part(~self.is_repeat()) if new_only else self
        cases, places = kept.acts(kept.ends, kept.stops)
        count = max(len(self.sequences.products), 1)
        keys = np.unique(cases * count + self.sequences.items[places])
        if new_only:
            before, products = kept.seen()
            keys = keys[~np.isin(keys, before * count + products)]
        return kept, Wanted(kept.next, keys // count, keys % count)

    def is_repeat(self) -> npt.NDArray[np.bool_]:
        """Tell of each case (n,) whether its next product was seen before."""
        cases, products = self.seen()
        return np.bincount(cases, weights=products == self.next[cases], minlength=len(self)) > 0


@dataclass(frozen=True, slots=True)
class Recent:
    """The last acts of n cases, oldest first: products, types and Unix seconds, (n, L) each.

    Products are −1 and times nan behind the `lengths` (n,) that are real.
    """

    products: Numbers
    lengths: Numbers
    types: npt.NDArray[np.int8]
    at: npt.NDArray[np.float64]


def given(prefixes: Sequence[Sequence[str]], targets: Sequence[str], products: Sequence[str] = ()) -> Cases:
    """Ask for `targets` (n,) after `prefixes`, lists of product ids; `products` are numbered first.

    Products that stand nowhere else follow. Raises InputError where a prefix is empty.
    """
    if len(prefixes) != len(targets):
        raise InputError(f"there are {len(prefixes)} prefixes and {len(targets)} targets; needed are as many")
    if not all(prefixes):
        raise InputError("a prefix is empty; every case needs at least one product before its target")
    lists = [[*prefix, target] for prefix, target in zip(prefixes, targets, strict=True)]
    sequences = renumbered(from_lists(lists), products)
    return Cases.of(HeldOut(sequences, sequences.lengths - 1))


def renumbered(sequences: Sequences, products: Sequence[str], *, only: bool = False) -> Sequences:
    """Give products their numbers in `products`, others those behind; with `only`, drop acts on others.

    Two sets of sequences can be compared once their numbers agree. Sequences left without acts are dropped.
    """
    numbers = {product: number for number, product in enumerate(products)}
    if len(numbers) < len(products):
        raise InputError("product ids must differ")
    if not only:
        for product in sequences.products:
            numbers.setdefault(product, len(numbers))
    table = np.asarray([numbers.get(product, -1) for product in sequences.products], np.int32)
    items = table[sequences.items] if len(table) else sequences.items
    kept = items >= 0
    lengths = np.bincount(sequences.owners[kept], minlength=len(sequences))
    out = replace(
        sequences,
        products=tuple(numbers),
        items=items[kept],
        types=sequences.types[kept],
        at=sequences.at[kept],
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
    )
    return out.select(lengths > 0) if (lengths == 0).any() else out
