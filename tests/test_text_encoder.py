"""Words to unit blocks: the packaged model, models of one's own, and what may go wrong with either."""

from __future__ import annotations

import json
import logging
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from tiny_bert import write_tiny_bert

from vision_rec.encoders import TextBlocks
from vision_rec.encoders.reference_texts import reference_texts
from vision_rec.encoders.sentences import SentenceModel
from vision_rec.encoders.text import TextEncoder
from vision_rec.encoders.text_fit import random_cosines
from vision_rec.encoders.text_models import FIT_NAME, PACKAGED, find_model
from vision_rec.errors import InputError, IntegrityError, UnavailableError
from vision_rec.types import Review, Sample

GOOD = Review("I love it, the quality is excellent and it fits perfectly.", 5.0)
BAD = Review("Terrible quality, it fell apart after one wash and I returned it.", 1.0)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return TextEncoder.load(threads=1, cache=tmp_path_factory.mktemp("cache"))


# ── the packaged model ──────────────────────────────────────────────────────────────────────────────


def test_aspects_and_fingerprint_load_nothing_heavy():
    script = (
        "import sys, json; from vision_rec.encoders.text import TextEncoder; e = TextEncoder.load();"
        "aspects = [[a.name, a.dim, a.gain] for a in e.aspects];"
        "print(json.dumps([aspects, e.fingerprint, sorted(sys.modules)]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    aspects, fingerprint, modules = json.loads(done.stdout)
    assert [name for name, _, _ in aspects] == ["text", "reviews"]
    assert sum(dim for _, dim, _ in aspects) <= 304 and all(0.3 < gain < 1 for _, _, gain in aspects)
    assert len(fingerprint) == 64
    heavy = {
        "torch",
        "transformers",
        "sentence_transformers",
        "openvino",
        "onnxruntime",
        "tokenizers",
        "scipy",
    }
    assert not heavy & set(modules)


def test_it_is_what_the_protocol_asks_for(encoder):
    assert isinstance(encoder, TextBlocks)
    blocks = encoder.encode([Sample(text="red mug", reviews=(GOOD,)), Sample(), Sample(text="blue lamp")])
    assert set(blocks) == {aspect.name for aspect in encoder.aspects}
    for aspect in encoder.aspects:
        assert blocks[aspect.name].shape == (3, aspect.dim) and blocks[aspect.name].dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(blocks["text"], axis=1), [1, 0, 1], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(blocks["reviews"], axis=1), [1, 0, 0], atol=1e-5)


def test_like_things_score_high_and_unlike_things_about_zero(encoder):
    rows = encoder.encode_texts(
        ["running shoes for men", "trainers for jogging", "table lamp with glass shade", "reading light"]
    )
    scores = rows @ rows.T
    assert scores[0, 1] > 0.4 and scores[2, 3] > 0.3
    assert scores[:2, 2:].max() < 0.2


def test_random_pairs_of_products_score_about_zero_and_so_do_short_queries(encoder):
    rows = encoder.encode_texts(reference_texts(variants=1, seed=99))
    assert abs(float(random_cosines(rows).mean())) < 0.1
    queries = encoder.encode_texts(["red mug", "running shoes", "dark blue wool coat", "gift for a gardener"])
    assert abs(float((queries @ rows.T).mean())) < 0.1


def test_a_batch_answers_as_one_by_one(encoder):
    texts = ["mug", "a very long description of a lamp " * 12, "blue jeans", "x", "Schöne Vase aus Glas"] * 3
    batch = encoder.encode_texts([f"{text} {i}" for i, text in enumerate(texts)])
    fresh = TextEncoder(encoder._folder, SentenceModel(encoder._sentences._open))
    single = np.concatenate([fresh.encode_texts([f"{text} {i}"]) for i, text in enumerate(texts)])
    assert (batch * single).sum(1).min() > (0.999 if "bf16" in encoder.runtime else 0.99999)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000,
        "word " * 20_000,
        "\x00\x01 lamp",
        "\ud800 broken",
        "日本の陶器のカップ",
        "نعال",
        "e\u0301" * 500,
        "🦊 fox",
    ],
)
def test_any_unicode_and_any_length_is_safe(encoder, text):
    rows = encoder.encode_texts([text])
    assert np.isfinite(rows).all() and np.linalg.norm(rows[0]) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "!!!", "—", "🦊", "\x00"])
def test_no_words_give_a_zero_row(encoder, text):
    assert not encoder.encode_texts([text, "mug"])[0].any()
    assert not encoder.encode_reviews([(Review(text),)]).any()


def test_no_texts_at_all_give_no_rows(encoder):
    assert encoder.encode_texts([]).shape == (0, encoder.aspects[0].dim)
    assert encoder.encode_reviews([]).shape == (0, encoder.aspects[1].dim)


def test_calls_from_threads_do_not_mix(encoder):
    texts = [f"product number {i} in {colour}" for i, colour in enumerate(["red", "blue", "green"] * 8)]
    expected = encoder.encode_texts(texts)
    with ThreadPoolExecutor(4) as pool:
        rows = np.concatenate(list(pool.map(lambda text: encoder.encode_texts([text]), texts)))
    assert (rows * expected).sum(1).min() > 0.999


# ── reviews ─────────────────────────────────────────────────────────────────────────────────────────


def test_products_with_like_reviews_are_near(encoder):
    rows = encoder.encode_reviews(
        [
            (Review("Runs small, order a size up."), Review("Too tight across the shoulders.")),
            (Review("Sizing is off, I needed a larger one."), Review("Tight in the arms.")),
            (Review("The battery lasts for days."), Review("Charges fast.")),
        ]
    )
    assert rows[0] @ rows[1] > 0.3 > rows[0] @ rows[2] + 0.1


def test_helpful_and_recent_reviews_draw_the_block_to_themselves(encoder):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    tight, warm = "Too tight across the shoulders.", "Wonderfully warm in winter."
    (only,) = encoder.encode_reviews([(Review(tight),)])
    even, helpful, recent = encoder.encode_reviews(
        [
            (Review(tight, at=now), Review(warm, at=now)),
            (Review(tight, at=now, helpful=40), Review(warm, at=now)),
            (Review(tight, at=now), Review(warm, at=now - timedelta(days=1_000))),
        ]
    )
    assert helpful @ only > even @ only + 0.05 and recent @ only > even @ only + 0.05


def test_review_order_does_not_matter(encoder):
    reviews = (GOOD, BAD, Review("Colour as shown."))
    first, second = encoder.encode_reviews([reviews, reviews[::-1]])
    assert first @ second > 0.999


def test_a_summary_of_reviews(encoder):
    pleased, angry, mixed, silent, nothing = encoder.review_summaries(
        [(GOOD, GOOD), (BAD,), (GOOD, BAD), (Review("", 4.0),), ()]
    )
    assert (pleased.rating, pleased.count) == (5.0, 2) and (mixed.rating, mixed.count) == (3.0, 2)
    assert pleased.sentiment > 0.8 and angry.sentiment < 0.2 and 0.3 < mixed.sentiment < 0.7
    assert (silent.rating, silent.count, silent.sentiment) == (4.0, 1, None)
    assert (nothing.rating, nothing.count, nothing.sentiment) == (None, 0, None)
    assert encoder.review_summary([BAD]) == angry


@pytest.mark.parametrize(
    ("text", "pleased"),
    [
        ("Great value, the battery lasts all day and it works perfectly.", True),
        ("My kids adore this puzzle, beautiful pictures.", True),
        ("Stopped working after two weeks. Waste of money.", False),
        ("The shelf arrived scratched and wobbles, very disappointed.", False),
    ],
)
def test_sentiment_carries_over_to_other_departments(encoder, text, pleased):
    assert (encoder.review_summary([Review(text)]).sentiment > 0.5) is pleased


# ── damage and change ───────────────────────────────────────────────────────────────────────────────


def test_a_changed_packaged_model_is_refused_with_both_hashes(tmp_path, monkeypatch):
    real = find_model(PACKAGED)
    for path in real.path.rglob("*"):
        copy = tmp_path / "model" / path.relative_to(real.path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            copy.symlink_to(path)
    (tmp_path / "model" / "config.json").unlink()
    (tmp_path / "model" / "config.json").write_text((real.path / "config.json").read_text() + " ")
    changed = type(real)(PACKAGED, tmp_path / "model")
    monkeypatch.setattr("vision_rec.encoders.text.find_model", lambda name: changed)
    broken = TextEncoder.load()
    assert len(broken.fingerprint) == 64
    with pytest.raises(IntegrityError, match=f"{changed.sha256}.*expected {real.sha256}.*pip install"):
        broken.encode_texts(["mug"])


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr("vision_rec.encoders.text_models.find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match="pip install"):
        TextEncoder.load()


def test_the_fingerprint_tells_of_every_version(encoder, monkeypatch):
    before = encoder.fingerprint
    for name in ("DESCRIBE_VERSION", "REVIEWS_VERSION", "_CODE_VERSION"):
        with monkeypatch.context() as changed:
            changed.setattr(f"vision_rec.encoders.text.{name}", 99)
            assert encoder.fingerprint != before
    assert encoder.fingerprint == before


# ── other models ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny_bert(tmp_path_factory.mktemp("models") / "tiny")


def load_tiny(folder, cache=None, runtime="torch"):
    return TextEncoder.load(str(folder), runtime=runtime, device="cpu", threads=1, cache=cache)


def test_a_folder_is_fitted_once_and_kept(tiny, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    first = load_tiny(tiny, tmp_path)
    assert [aspect.dim for aspect in first.aspects] == [16, 16]
    rows = first.encode_texts(["red mug", "blue lamp"])
    assert "fitting the text model" in caplog.text
    caplog.clear()
    again = load_tiny(tiny, tmp_path)
    np.testing.assert_allclose(again.encode_texts(["red mug", "blue lamp"]), rows, atol=1e-6)
    assert again.fingerprint == first.fingerprint and not caplog.text
    assert again.review_summary([GOOD]).sentiment is None and again.review_summary([GOOD]).rating == 5.0


def test_another_model_has_another_fingerprint(tiny, tmp_path, encoder):
    other = write_tiny_bert(tmp_path / "other", seed=1)
    prints = {load_tiny(folder, tmp_path / "cache").fingerprint for folder in (tiny, other)}
    assert len(prints | {encoder.fingerprint}) == 3


def test_a_fit_in_the_model_s_folder_is_used_and_must_belong_to_it(tiny, tmp_path):
    own = write_tiny_bert(tmp_path / "own")
    generic = load_tiny(own)
    generic._fitted()[0].save(own / FIT_NAME)
    assert [aspect.dim for aspect in load_tiny(own).aspects] == [16, 16]
    (write_tiny_bert(tmp_path / "wrong", seed=2) / FIT_NAME).write_bytes((own / FIT_NAME).read_bytes())
    with pytest.raises(IntegrityError, match="was fitted for a model with SHA-256"):
        _ = load_tiny(tmp_path / "wrong").aspects


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_runtimes_agree_on_a_folder(tiny, tmp_path, runtime):
    texts = ["red mug", "a much longer text about a lamp", "x"]
    expected = load_tiny(tiny, tmp_path).encode_texts(texts)
    got = load_tiny(tiny, tmp_path, runtime=runtime)
    assert (got.encode_texts(texts) * expected).sum(1).min() > 0.99
    assert got.runtime.startswith(runtime)


def test_what_our_bert_cannot_run_says_so(tmp_path):
    folder = write_tiny_bert(tmp_path / "cls", pooling="cls")
    assert not find_model(str(folder)).is_plain_bert
    with pytest.raises(UnavailableError, match="runs in torch only"):
        load_tiny(folder, runtime="openvino")


@pytest.mark.parametrize("damage", ["cut", "other-shape", "tokenizer", "config"])
def test_a_damaged_folder_is_one_clear_error(tmp_path, damage):
    folder = write_tiny_bert(tmp_path / "broken")
    if damage == "cut":
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "tokenizer":
        (folder / "tokenizer.json").write_text("{}")
    else:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(
            "{" if damage == "config" else json.dumps(config | {"intermediate_size": 33})
        )
    with pytest.raises(UnavailableError, match="broken"):
        load_tiny(folder).encode_texts(["mug"])


class Bomb:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_pickle_is_never_run(tmp_path, name):
    folder = write_tiny_bert(tmp_path / "hostile")
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Bomb(tmp_path / "owned")))
    with pytest.raises(UnavailableError):
        load_tiny(folder).encode_texts(["mug"])
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", ["", "no-such-model", "./nowhere", "/nowhere/at/all", "a/b/c", "../x/y"])
def test_unknown_names_are_refused_without_a_download(name, monkeypatch):
    monkeypatch.setattr(
        "vision_rec.encoders.text_models._from_hub", lambda name: pytest.fail("asked the hub")
    )
    with pytest.raises(UnavailableError):
        TextEncoder.load(name)


def test_a_hub_name_is_looked_up_locally_first(monkeypatch, tiny):
    asked = []

    def snapshot(name, **options):
        asked.append((name, options.get("local_files_only", False)))
        return str(tiny)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert find_model("owner/tiny").path == tiny
    assert asked == [("owner/tiny", True)]


def test_wrong_runtime_and_device_are_input_errors(tiny, tmp_path):
    with pytest.raises(InputError, match="allowed are"):
        load_tiny(tiny, tmp_path, runtime="tensorrt").encode_texts(["mug"])


@pytest.mark.slow
def test_the_fast_way_agrees_with_sentence_transformers(encoder):
    from vision_rec.encoders.sentences import _open_any

    _, original = _open_any(find_model(PACKAGED), "cpu", 1, 8, None)
    texts = ["red mug", "a table lamp with a glass shade, 40 cm, for reading", "Größe 42", "a " * 400]
    ours = encoder._sentences.encode(texts)
    assert (ours * original(texts)).sum(1).min() > 0.999
