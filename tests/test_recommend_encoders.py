"""Encoders that do not fit the version, or are not there."""

from __future__ import annotations

import subprocess
import sys

import pytest
from fake_shop import (
    COLOURS,
    LAYOUT,
    FakeEncoders,
    picture,
    publish,
    row_of,
)
from known_shop import ALL, ALL_ROWS, ids, publish_known

from vision_rec import Recommender
from vision_rec.errors import IncompatibleError, InputError, UnavailableError
from vision_rec.types import Query


@pytest.fixture(scope="module")
def indexes(tmp_path_factory):
    return publish_known(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def rec(indexes):
    return Recommender.open(indexes, encoders=FakeEncoders())


def test_other_encoders_than_those_that_wrote_the_version_are_refused(indexes):
    rec = Recommender.open(indexes, encoders=FakeEncoders(text="txt2"))
    with pytest.raises(IncompatibleError, match="text encoder txt1, this is txt2; run `vision-rec reindex`"):
        rec.search(text="mug")
    assert rec.search(image=picture("red", "mug", "plain"))
    assert rec.similar("red-mug-plain-M")


class WithoutText(FakeEncoders):
    @property
    def text(self):
        raise UnavailableError("no text model; install it")


def test_a_missing_text_model_degrades_or_is_told(indexes):
    rec = Recommender.open(indexes, encoders=WithoutText())
    answer = rec.search(product_id="red-mug-plain-M", text="striped")
    assert answer.degraded == ("the text encoder is not available",)
    assert len(answer) == 10
    with pytest.raises(UnavailableError, match="no text model"):
        rec.search(text="striped")
    assert rec.similar("red-mug-plain-M").degraded == ()
    results = rec.answer_many([Query(text="x"), Query(product_id="red-mug-plain-M")])
    assert isinstance(results[0], UnavailableError)
    assert results[1].degraded == ()


def test_an_index_without_text_says_so(tmp_path):
    from vision_rec.fusion import AspectLayout

    layout = AspectLayout(LAYOUT.aspects[:3])
    publish(tmp_path, ALL, ALL_ROWS[:, : layout.dim], layout=layout)
    rec = Recommender.open(tmp_path, encoders=FakeEncoders())
    with pytest.raises(InputError, match="no aspect 'text'; it has colour, shape, style"):
        rec.search(text="mug")
    assert ids(rec.search(image=picture("green", "bag", "plain"), k=1))[0].startswith("green-bag-plain")


def test_there_must_be_a_version(tmp_path):
    with pytest.raises(UnavailableError, match="vision-rec reindex"):
        Recommender.open(tmp_path / "nothing")


def test_colours_of_the_shop_are_known():
    assert len({tuple(row_of(colour)) for colour in COLOURS}) == len(COLOURS)


def test_a_similar_list_imports_no_network_library(indexes):
    heavy = ("torch", "openvino", "onnxruntime", "bm25s", "faiss", "pandas")
    code = (
        "import sys; from vision_rec import Recommender; "
        f"answer = Recommender.open({str(indexes)!r}).similar('red-mug-plain-M'); assert len(answer) == 10; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
