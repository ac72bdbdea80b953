"""Recognise columns: which column of a feed fills which of our fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from vision_rec.errors import FeedError
from vision_rec.feeds.rows import MAX_COLUMNS

# our field (a Merchant Center name) → the names it goes by, best first
PRODUCT_FIELDS: Mapping[str, tuple[str, ...]] = {
    name: (name, *words.split())
    for name, words in {
        "id": "product_id item_id offer_id article_id article_number sku asin uniq_id variant_id code",
        "title": "product_title name product_name item_name product_display_name display_name article_name",
        "description": """product_description long_description body_html body desc short_description summary
            content""",
        "link": "product_link url product_url canonical_link",
        "image_link": """image image_url image_src image_path image_file main_image main_image_url
            primary_image picture picture_url img img_url photo thumbnail filename file_name""",
        "additional_image_link": """additional_image_links additional_images additional_image images
            image_urls image_links other_images gallery pictures photos""",
        "price": "regular_price list_price unit_price price_amount",
        "sale_price": "special_price discount_price discounted_price offer_price",
        "currency": "price_currency currency_code",
        "availability": """stock_status is_available available in_stock is_in_stock stock inventory quantity
            qty""",
        "brand": "brand_name manufacturer vendor maker designer",
        "product_type": "category categories category_path product_category type",
        "google_product_category": "google_category",
        "color": "colour colors colours color_name colour_name base_colour base_color",
        "material": "materials fabric",
        "pattern": "patterns print",
        "size": "sizes",
        "gender": "target_gender sex",
        "item_group_id": "group_id variant_group parent_id parent_sku parent_asin",
        "locale": "language content_language lang",
    }.items()
}
ATTRIBUTE_FIELDS = ("color", "material", "pattern", "size", "gender")
PICTURE_FIELD = "additional_image_link"  # several columns may fill it
_NUMBERED = re.compile(r"^(?P<stem>.*?)_?\d{1,3}$")
_PRODUCT_NAMES = frozenset(name for names in PRODUCT_FIELDS.values() for name in names)


@lru_cache(maxsize=4096)
def normalise(name: str) -> str:
    """Return a column name as snake case: 'Image Link', 'imageLink' and 'g:image_link' are the same."""
    name = re.sub(r"^[gc]:", "", name.strip())
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[\W_]+", "_", name.lower()).strip("_")


def is_known(name: str) -> bool:
    """Tell whether a column name is one that products go by."""
    return normalise(name) in _PRODUCT_NAMES


class Columns:
    """Which column fills which field; the columns left over are attributes.

    `mapping` (our field → the feed's column) wins over recognition. Columns seen later (JSON Lines, XML)
    are added by `extend` and fill only fields that are still free.
    """

    def __init__(
        self,
        names: Iterable[str],
        mapping: Mapping[str, str] | None = None,
        fields: Mapping[str, tuple[str, ...]] = PRODUCT_FIELDS,
    ) -> None:
        self._fields = fields
        self._mapped = {_our_name(ours, fields): theirs for ours, theirs in (mapping or {}).items()}
        self._seen: dict[str, None] = {}  # in the order of the feed
        self.column_of: dict[str, str] = {}
        self.pictures: list[str] = []
        self.attributes: dict[str, str] = {}  # column → attribute
        self._names: set[str] = set()  # attributes that are taken
        self.extend(names, limit=20 * MAX_COLUMNS)

    def extend(self, names: Iterable[str], limit: int = MAX_COLUMNS) -> bool:
        """Give the columns not seen before to the fields that are still free, or to the attributes.

        Return False, and change nothing, where that would make more than `limit` columns.
        """
        fresh = [name for name in dict.fromkeys(names) if name not in self._seen]
        if not fresh or len(self._seen) + len(fresh) > limit:
            return not fresh
        self._seen.update(dict.fromkeys(fresh))
        for name in self._bind_mapped(fresh):
            fresh.remove(name)
        by_name: dict[str, str] = {}
        for name in fresh:
            by_name.setdefault(normalise(name), name)
        for field, synonyms in self._fields.items():
            found = next((by_name[word] for word in synonyms if word in by_name), None)
            if found is not None and field not in self.column_of:
                self.column_of[field] = found
                fresh.remove(found)
                del by_name[normalise(found)]
        for name in fresh:
            self._leave_over(name)
        return True

    def _bind_mapped(self, names: Sequence[str]) -> set[str]:
        bound: set[str] = set()
        for ours, theirs in self._mapped.items():
            exact = theirs if theirs in names else None
            found = exact or next((name for name in names if normalise(name) == normalise(theirs)), None)
            if found is None:
                continue
            bound.add(found)
            if ours in self._fields:
                self.column_of[ours] = found
            else:
                self.attributes[found] = ours
                self._names.add(ours)
        return bound

    def _leave_over(self, name: str) -> None:
        plain = normalise(name)
        match = _NUMBERED.match(plain)
        taken = plain in self._mapped or plain in self._names or plain in ATTRIBUTE_FIELDS
        is_picture = plain in self._fields.get(PICTURE_FIELD, ()) or (
            match and match["stem"] in _PICTURE_STEMS
        )
        if is_picture and PICTURE_FIELD in self._fields:
            self.pictures.append(name)
        elif plain and not taken:
            self.attributes[name] = plain
            self._names.add(plain)

    def require(self, wanted: Iterable[str], path: Path) -> None:
        """Raise FeedError naming the columns found unless every field of `wanted` has its column."""
        missing = [field for field in wanted if field not in self.column_of]
        if missing:
            raise FeedError(
                f"{path}: no column for {' and '.join(missing)}; columns found: {_listing(self._seen)}; "
                f"name it with --map {missing[0]}=COLUMN"
            )

    def require_mapped(self, path: Path) -> None:
        """Raise FeedError where the mapping names a column that the feed does not have."""
        known = {normalise(name) for name in self._seen}
        for ours, theirs in self._mapped.items():
            if theirs not in self._seen and normalise(theirs) not in known:
                raise FeedError(
                    f"{path}: --map {ours}={theirs} names a column that is not there; "
                    f"columns found: {_listing(self._seen)}"
                )

    def label(self, field: str) -> str:
        """Return the feed's own name of a field, for messages."""
        return self.column_of.get(field, field)


_PICTURE_STEMS = frozenset((*PRODUCT_FIELDS["image_link"], *PRODUCT_FIELDS[PICTURE_FIELD]))


def _our_name(name: str, fields: Mapping[str, tuple[str, ...]]) -> str:
    plain = normalise(name)
    return next((field for field, synonyms in fields.items() if plain in synonyms), plain)


def _listing(names: Iterable[str]) -> str:
    shown = [name if len(name) <= 40 else name[:39] + "…" for name in names if name]
    return ", ".join(shown[:40]) + (f" and {len(shown) - 40} more" if len(shown) > 40 else "") or "none"
