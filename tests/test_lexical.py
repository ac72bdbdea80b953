"""Words: exact ids, brands and rare words are found, in any script, and scores are shares of the ideal."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from vision_rec.lexical import LexicalIndex, tokens

TEXTS = [
    "SKU-1001 Acme Blue running shoe Footwear",
    "SKU-1002 Acme Red running shoe Footwear",
    "AB/12.c Bolt Crème brûlée mug Home",
    "0042 Straße Lampe Home",
    "X 青い靴 ÜBER",
    "",
]


@pytest.fixture(scope="module")
def index():
    return LexicalIndex(TEXTS)


def test_nothing_is_said_in_a_notebook_without_widgets():
    kernel = "sys.modules['ipykernel.zmqshell'] = sys.modules['IPython'] = types.ModuleType('kernel'); "
    kernel += "sys.modules['IPython'].get_ipython = object; sys.modules['ipywidgets'] = None; "
    code = f"import sys, types; {kernel}from vision_rec.lexical import LexicalIndex; LexicalIndex(['a'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Blue Shoe", ["blue", "shoe"]),
        ("SKU-1001,", ["sku", "1001", "sku-1001"]),
        ("Crème BRÛLÉE", ["creme", "brulee"]),
        ("STRASSE straße", ["strasse", "strasse"]),
        ("snake_case", ["snake", "case", "snake_case"]),
        ("青い靴", ["青", "い", "靴"]),
        ("ﬁne", ["fine"]),
        ("…!? --", []),
        ("", []),
    ],
)
def test_tokens(text, expected):
    assert tokens(text) == expected


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("SKU-1001", 0),
        ("sku-1002", 1),
        ("ab/12.c", 2),
        ("0042", 3),
        ("bolt", 2),
        ("creme", 2),
        ("strasse", 3),
        ("靴", 4),
        ("über", 4),
        ("red shoe", 1),
    ],
)
def test_the_right_row_is_first(index, text, row):
    hits = index.search(text, 3)
    assert hits.rows[0] == row
    assert 0 < hits.scores[0] <= 1
    assert len(hits.rows) == 1 or hits.scores[0] > hits.scores[1]


def test_scores_are_bm25_over_the_ideal(index):
    documents = [tokens(text) for text in TEXTS]
    average = sum(map(len, documents)) / len(documents)

    def idf(word):
        frequency = sum(word in document for document in documents)
        return math.log(1 + (len(documents) - frequency + 0.5) / (frequency + 0.5))

    query = ["running", "acme", "unheard"]
    ideal = sum(idf(word) for word in query) / (1 + 1.2)
    for row, document in enumerate(documents):
        norm = 1.2 * (1 - 0.4 + 0.4 * len(document) / average)
        raw = sum(
            min(idf(w) * document.count(w) / (document.count(w) + norm), idf(w) / (1 + 1.2)) for w in query
        )
        assert index.score("running acme unheard")[row] == pytest.approx(raw / ideal, abs=1e-5)


def test_a_word_said_often_does_not_make_up_for_another():
    index = LexicalIndex(["shoe shoe shoe shoe black", "shoe blue", "mug", "lamp", "bag"])
    assert index.score("blue shoe").argmax() == 1
    assert index.score("shoe").max() <= 1.0


def test_all_words_found_is_near_one_and_half_is_less(index):
    assert index.score("SKU-1001").max() > 0.9
    assert index.score("bolt zzzz").max() < 0.6
    scores = index.score("running shoe")
    assert scores[2:].tolist() == [0, 0, 0, 0]
    assert scores.dtype == np.float32


def test_saying_a_word_twice_changes_nothing(index):
    np.testing.assert_array_equal(index.score("acme acme shoe"), index.score("acme shoe"))


def test_nothing_found_is_nothing(index):
    for text in ("", "   ", "zzzz", "!?"):
        assert not index.score(text).any()
        assert len(index.search(text, 5).rows) == 0


def test_empty_catalogues():
    for texts in ([], ["", " "]):
        index = LexicalIndex(texts)
        assert index.score("a").tolist() == [0.0] * len(texts)
        assert len(index.search("a", 3).rows) == 0


def test_search_gives_k_in_falling_order(index):
    hits = index.search("acme running shoe home", 2)
    assert len(hits.rows) == 2
    assert hits.scores[0] >= hits.scores[1]
