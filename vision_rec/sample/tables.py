"""The shop's files as rows: feed, truth, reviews, views, customers."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from vision_rec.sample.plan import Planned
from vision_rec.sample.reviews import DrawnReview
from vision_rec.sample.texts import description_of, material_of, price_text, title_of
from vision_rec.sample.views import Customer, DrawnView
from vision_rec.sample.words import PATTERN_LABEL, WORDING

# fmt: off
FEED_COLUMNS = (
    "id", "title", "description", "link", "image_link", "additional_image_link", "price", "sale_price",
    "availability", "condition", "brand", "product_type", "color", "material", "pattern", "size",
    "gender", "age_group", "item_group_id",
)
TRUTH_COLUMNS = (
    "id", "group", "article", "cut", "colour", "pattern", "texture", "material", "brand", "gender",
    "comfort", "quality", "fit", "lab_l", "lab_a", "lab_b", "scheme", "second_l", "second_a", "second_b",
    "accent", "sole", "metal", "wood", "print_scale", "print_turn", "knobs", "views", "rotation", "scale",
    "shift_x", "shift_y", "squeeze", "flip", "light_angle", "light", "exposure", "warmth", "backdrop",
)
# fmt: on


def feed_row(product: Planned) -> list[str]:
    """Write a product's line of the feed."""
    spec, label = product.spec, product.label
    pictures = [f"images/{product.picture_name(i)}" for i in range(len(product.scenes))]
    return [
        product.id,
        title_of(spec, label),
        description_of(spec, label),
        f"https://shop.example/p/{product.id}",
        pictures[0],
        ",".join(pictures[1:]),
        price_text(label.price),
        price_text(product.sale_price) if product.sale_price is not None else "",
        product.availability,
        "new",
        label.brand,
        WORDING[spec.article].path,
        spec.colour,
        material_of(spec),
        PATTERN_LABEL[spec.pattern],
        label.size,
        label.gender,
        "adult" if label.gender else "",
        product.group,
    ]


def truth_row(product: Planned) -> list[str]:
    """Write every factor a product and its main picture were drawn from."""
    spec, scene, character = product.spec, product.scenes[0], product.character
    known = [
        product.id,
        product.group,
        spec.article,
        spec.cut,
        spec.colour,
        spec.pattern,
        spec.texture,
        material_of(spec),
        product.label.brand,
        product.label.gender,
    ]
    numbers = [character.comfort, character.quality, character.fit, *spec.lab]
    tastes = [spec.scheme, *(_number(v) for v in spec.second), spec.accent, spec.sole, spec.metal, spec.wood]
    print_of = [_number(spec.print_scale), _number(spec.print_turn), " ".join(map(_number, spec.knobs))]
    pose = [scene.rotation, scene.scale, scene.shift_x, scene.shift_y, scene.squeeze]
    light = [scene.light_angle, scene.light, scene.exposure, scene.warmth]
    return [
        *known,
        *map(_number, numbers),
        *tastes,
        *print_of,
        " ".join(s.view for s in product.scenes),
        *map(_number, pose),
        str(int(scene.flip)),
        *map(_number, light),
        scene.backdrop,
    ]


def review_row(review: DrawnReview) -> list[str]:
    """Write one line of the reviews file."""
    return [
        review.product_id,
        str(review.rating),
        review.title,
        review.text,
        review.at.isoformat(),
        str(review.helpful),
    ]


def view_row(view: DrawnView) -> list[str]:
    """Write one line of the views file."""
    return [view.session_id, view.user_id, view.product_id, view.type, view.at.isoformat(timespec="seconds")]


def customer_row(customer: Customer) -> list[str]:
    """Write one line of the customers file."""
    return [customer.user_id, customer.taste, customer.loves]


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV file whole or not at all."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode())


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file in one step, so that nobody ever reads half of it."""
    fresh = path.with_name(path.name + ".part")
    fresh.write_bytes(content)
    os.replace(fresh, path)


def _number(value: float) -> str:
    return f"{value:.4f}"
