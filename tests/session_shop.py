"""The drawn shop with a session pair in its version, as reindex puts it there."""

from __future__ import annotations

import numpy as np
from fake_shop import LAYOUT, drawn_products, publish
from session_pairs import make_pair

from vision_rec.fusion import AspectLayout
from vision_rec.sessions.pair import CONFIG, MODEL, behaviour_aspect, read_table

PRODUCTS, ROWS = drawn_products()
VIEWED = [product.id for product in PRODUCTS if product.id.startswith("blue")]
VIEWS = ["red-mug-plain-M", "blue-lamp-plain-M", "blue-chair-striped-M"]


def pair_of(folder, seed=0):
    """Write a pair for the drawn shop: the blue products were viewed."""
    make_pair(folder, VIEWED, LAYOUT.aspects, seed=seed)
    return read_table(folder)


def publish_with(root, folder, seed=0, *, with_model=True):
    """Publish the drawn shop with the pair in `folder`, as reindex does."""
    table = pair_of(folder, seed)
    rows = np.hstack([ROWS, table.blocks([product.id for product in PRODUCTS])])
    session = root / ".building-test" / "session"
    if with_model:
        session.mkdir(parents=True)
        for name in (CONFIG, MODEL):
            (session / name).write_bytes((folder / name).read_bytes())
    layout = AspectLayout((*LAYOUT.aspects, behaviour_aspect(table.vectors)))
    fingerprints = {"image": "img1", "text": "txt1", "session": table.fingerprint}
    return publish(root, PRODUCTS, rows, layout=layout, fingerprints=fingerprints)


def ids(answer):
    return [item.product.id for item in answer]
