"""What the bundled encoder knows of real products that it was not trained on."""

import os
from pathlib import Path

import numpy as np
import pytest

from vision_rec.aspects import same_label_precision
from vision_rec.encoders import bundled_folder
from vision_rec.encoders.image import ImageEncoder
from vision_rec.training.data import load_pack

PACKS = os.environ.get("VISION_REC_DATA", "")
pytestmark = pytest.mark.skipif(
    not (Path(PACKS) / "fashion").is_dir() or not PACKS,
    reason="the data packs are not here ($VISION_REC_DATA)",
)


@pytest.fixture(scope="module")
def test_products(tmp_path_factory):
    source = load_pack(Path(PACKS), "fashion", tmp_path_factory.mktemp("packed"))
    rows = np.flatnonzero(source.split == 0)
    encoder = ImageEncoder(bundled_folder(), cache=tmp_path_factory.mktemp("graphs"))
    blocks = encoder.encode_pictures([np.asarray(source.pixels[row]) for row in rows])
    return blocks, {task: [names[int(row)] for row in rows] for task, names in source.labels.items()}


@pytest.mark.parametrize(
    ("block", "label", "least"), [("shape", "article", 0.76), ("colour", "colour", 0.57)]
)
def test_each_block_knows_its_own(test_products, block, label, least):
    blocks, labels = test_products
    assert same_label_precision(blocks[block], labels[label]).micro >= least


def test_blocks_do_not_know_what_they_should_not(test_products):
    blocks, labels = test_products
    assert same_label_precision(blocks["colour"], labels["article"]).micro <= 0.30
    assert same_label_precision(blocks["shape"], labels["colour"]).micro <= 0.30
