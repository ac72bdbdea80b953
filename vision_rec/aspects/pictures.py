"""The picture files of a catalogue's products, found as reindex finds them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vision_rec.errors import ImageError
from vision_rec.images.paths import resolve_ref
from vision_rec.types import Product

if TYPE_CHECKING:
    from vision_rec.settings import Settings

PLACEHOLDER_SHARE, PLACEHOLDER_PRODUCTS = 0.005, 20  # as in reindex: such a picture shows no product
Located = tuple[tuple[Path, ...], str]  # a product's files, main picture first, and the main one's hash


class PictureFiles:
    """Finds files for references: below `root`, or fetched where their hosts are allowed."""

    def __init__(self, root: Path, settings: Settings) -> None:
        self._root, self._settings = root, settings
        self._problems: Counter[str] = Counter()
        self._placeholders = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """Say which pictures could not be used."""
        out = [f"{count} pictures not used: {reason}" for reason, count in self._problems.most_common()]
        if self._placeholders:
            out.append(f"{self._placeholders} pictures shown for many products are taken for placeholders")
        return tuple(out)

    def locate(
        self, products: Sequence[Product], progress: Callable[[str, int, int | None], None]
    ) -> list[Located]:
        """Return each product's files; references without a file are counted by their reason."""
        found = self._find(list(dict.fromkeys(ref for product in products for ref in product.image_refs)))
        digests = {}
        for number, (ref, path) in enumerate(found.items(), start=1):
            digests[ref] = digest_of(path)
            progress("files", number, len(found))
        bad = self._find_placeholders(products, digests)
        out: list[Located] = []
        for product in products:
            refs = [ref for ref in product.image_refs if digests.get(ref) and digests[ref] not in bad]
            out.append((tuple(found[ref] for ref in refs), digests[refs[0]] if refs else ""))
        return out

    def _find(self, refs: Sequence[str]) -> dict[str, Path]:
        found: dict[str, Path] = {}
        urls = [ref for ref in refs if ref[:8].lower().startswith(("http://", "https://"))]
        remote = set(urls)
        for ref in refs:
            if ref not in remote:
                try:
                    found[ref] = resolve_ref(ref, self._root)
                except ImageError as error:
                    self._problems[error.reason] += 1
        if urls:
            found.update(self._fetch(urls))
        return found

    def _fetch(self, urls: Sequence[str]) -> dict[str, Path]:
        from vision_rec.fetch import Fetcher

        found = {}
        folder = self._settings.paths.data / "cache" / "images"  # what reindex fetched is there
        with Fetcher(self._settings.images, folder) as fetcher:
            for url, outcome in fetcher.fetch_all(urls):
                if isinstance(outcome, Path):
                    found[url] = outcome
                else:
                    self._problems[getattr(outcome, "reason", "url-not-allowed")] += 1
        return found

    def _find_placeholders(self, products: Sequence[Product], digests: dict[str, str]) -> set[str]:
        """Return the hashes of pictures that over 0.5 % of the catalogue share; variants count as one."""
        shown = {
            (digests.get(ref, ""), product.group_id or product.id)
            for product in products
            for ref in product.image_refs
        }
        counts = Counter(digest for digest, _ in shown if digest)
        least = max(PLACEHOLDER_PRODUCTS - 1, PLACEHOLDER_SHARE * len(products))
        bad = {digest for digest, count in counts.items() if count > least}
        self._placeholders = len(bad)
        return bad


def digest_of(path: Path) -> str:
    """Return a hash of a file's bytes, empty where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
