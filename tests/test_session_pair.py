"""Session pairs on disk: whole or not there, damage shown, one fingerprint; vectors from views."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from session_pairs import DIM, make_pair, network_of, vectors_of

from vision_rec.errors import IncompatibleError, InputError, IntegrityError
from vision_rec.fusion import Aspect, AspectLayout, unit
from vision_rec.sessions import covisits, pair
from vision_rec.sessions.pair import behaviour_aspect, read_config, read_table
from vision_rec.sessions.pair_store import PairStore

IDS = ["p1", "p2", "é", "p4", "p5"]
COLOUR = Aspect("colour", 4, gain=1.5)
PLAIN = AspectLayout((COLOUR, Aspect("behaviour", DIM)))


# ── one folder ───────────────────────────────────────────────────────────────────────────────────────


def test_what_is_written_is_read(tmp_path):
    fingerprint = make_pair(tmp_path / "deep" / "pair", IDS, [COLOUR], encoders={"image": "img1"})
    config, table = read_config(tmp_path / "deep" / "pair"), read_table(tmp_path / "deep" / "pair")
    assert config.fingerprint == table.fingerprint == fingerprint and len(fingerprint) == 64
    assert config.layout.names == ("colour", "behaviour") and config.layout.aspects[0] == COLOUR
    assert (config.space, config.notes, config.encoders) == ("space-1", {"views": 12}, {"image": "img1"})
    assert config.has_model and config.spec["dims"] == [4, DIM]
    assert table.ids == tuple(IDS)
    np.testing.assert_array_equal(table.vectors, vectors_of(5))
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".part"]


def test_blocks_go_by_product_and_strangers_have_none(tmp_path):
    make_pair(tmp_path / "pair", IDS, network=False)
    table = read_table(tmp_path / "pair")
    blocks = table.blocks(["p2", "nobody", "e\u0301 ", "p1", "p2"])
    vectors = vectors_of(5)
    np.testing.assert_array_equal(
        blocks, np.stack([vectors[1], 0 * vectors[0], vectors[2], vectors[0], vectors[1]])
    )
    assert blocks.dtype == np.float32 and table.blocks([]).shape == (0, DIM)
    assert not read_config(tmp_path / "pair").has_model


def test_the_fingerprint_is_that_of_all_content(tmp_path):
    base = make_pair(tmp_path / "a", IDS, [COLOUR])
    assert make_pair(tmp_path / "b", IDS, [COLOUR]) == base
    others = {
        make_pair(tmp_path / "c", IDS, [COLOUR], seed=1),
        make_pair(tmp_path / "d", IDS, [COLOUR], space="space-2"),
        make_pair(tmp_path / "e", IDS[::-1], [COLOUR]),
        make_pair(tmp_path / "f", IDS, [COLOUR], notes={}),
        make_pair(tmp_path / "g", IDS, [Aspect("colour", 4)]),
        make_pair(tmp_path / "h", IDS, [COLOUR], network=False),
    }
    assert len(others) == 6 and base not in others


@pytest.mark.parametrize("name", ["pair.json", "ids.json", "behaviour.safetensors"])
@pytest.mark.parametrize("how", ["cut", "flipped", "gone"])
def test_damage_is_told(tmp_path, name, how):
    make_pair(tmp_path / "pair", IDS, [COLOUR])
    path = tmp_path / "pair" / name
    data = bytearray(path.read_bytes())
    if how == "gone":
        path.unlink()
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data[: len(data) // 2] if how == "cut" else data)
    with pytest.raises(IntegrityError, match=name.replace(".", r"\.")):
        read_table(tmp_path / "pair")


def test_another_format_names_the_cure(tmp_path):
    make_pair(tmp_path / "pair", IDS)
    path = tmp_path / "pair" / "pair.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))
    with pytest.raises(IncompatibleError, match="train session"):
        read_config(tmp_path / "pair")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"vectors": vectors_of(4)}, "5 ids and vectors"),
        ({"vectors": 2 * vectors_of(5)}, "norm 1 or 0"),
        ({"vectors": np.full((5, DIM), np.nan, np.float32), "layout": PLAIN}, "norm 1 or 0"),
        ({"layout": AspectLayout((COLOUR,))}, "behaviour is None"),
        ({"network": network_of(AspectLayout((Aspect("colour", 5), Aspect("behaviour", DIM))))}, "dims"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path, change, word):
    with pytest.raises(InputError, match=word):
        make_pair(tmp_path / "pair", IDS, [COLOUR], **change)
    with pytest.raises(InputError, match="must differ"):
        make_pair(tmp_path / "pair", ["a", "a "], [COLOUR])
    assert not (tmp_path / "pair").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="something else"):
        make_pair(tmp_path / "mine", IDS)
    make_pair(tmp_path / "pair", IDS)
    second = make_pair(tmp_path / "pair", IDS, seed=2)  # a pair takes the place of a pair
    assert read_config(tmp_path / "pair").fingerprint == second


def test_a_disk_that_is_full_leaves_what_was_there(tmp_path, monkeypatch):
    from vision_rec import failpoints
    from vision_rec.errors import ResourceError

    first = make_pair(tmp_path / "pair", IDS)
    failpoints.arm("pair.file-written@2=raise:ENOSPC")
    try:
        with pytest.raises(ResourceError, match="ran full"):
            make_pair(tmp_path / "pair", IDS, seed=2)
    finally:
        failpoints.arm("")
    assert read_config(tmp_path / "pair").fingerprint == first
    assert [path.name for path in tmp_path.iterdir()] == ["pair"]


def test_the_gain_evens_out_the_spread():
    rng = np.random.default_rng(3)
    for dim in (8, 48):
        vectors = unit(rng.normal(size=(400, dim)).astype(np.float32))
        aspect = behaviour_aspect(vectors)
        assert aspect.gain == pytest.approx(0.1 * np.sqrt(dim), rel=0.1) and aspect.dim == dim
        assert behaviour_aspect(np.vstack([vectors, np.zeros((400, dim), np.float32)])).gain == pytest.approx(
            aspect.gain, rel=0.1
        )
    assert behaviour_aspect(np.zeros((3, 4), np.float32)).gain == 1.0


# ── the store ────────────────────────────────────────────────────────────────────────────────────────


def test_publishing_makes_a_pair_the_current_one(tmp_path):
    store = PairStore(tmp_path / "session")
    assert store.current() is None
    folders = []
    for seed in range(3):
        fingerprint = make_pair(tmp_path / "made", IDS, seed=seed)
        folders.append(store.publish(tmp_path / "made"))
        assert store.current() == folders[-1] and folders[-1].name.endswith(fingerprint[:8])
        assert not (tmp_path / "made").exists() and read_config(folders[-1]).fingerprint == fingerprint
    assert folders == sorted(folders) and len(set(folders)) == 3
    make_pair(tmp_path / "made", IDS, seed=2)
    assert store.publish(tmp_path / "made") == folders[-1]  # the same again is no news
    assert store.prune(keep=2) == (folders[0],) and folders[1].is_dir()
    assert store.prune(keep=2) == ()


def test_the_current_pair_is_never_pruned(tmp_path):
    store = PairStore(tmp_path)
    for seed in range(3):
        make_pair(tmp_path / "made", IDS, seed=seed)
        store.publish(tmp_path / "made")
    first = min(tmp_path.glob("2*"))
    (tmp_path / "CURRENT").write_text(first.name + "\n")
    store.prune(keep=1)
    assert store.current() == first


@pytest.mark.parametrize("text", ["", "nonsense", "../../etc", "2026-03-01T04-00-00Z-00000000"])
def test_a_current_that_names_no_pair_is_told(tmp_path, text):
    (tmp_path / "CURRENT").write_text(text)
    with pytest.raises(IntegrityError, match="sessions.model"):
        PairStore(tmp_path).current()
    make_pair(tmp_path / "made", IDS)
    assert PairStore(tmp_path).publish(tmp_path / "made").is_dir()  # a good pair takes its place


@pytest.mark.parametrize("place", ["pair.written", "pair.renamed", "pair.current-written"])
def test_killed_while_publishing_the_old_pair_stays(tmp_path, place):
    store = PairStore(tmp_path / "session")
    make_pair(tmp_path / "made", IDS)
    before = store.publish(tmp_path / "made")
    script = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from pathlib import Path\n"
        "from session_pairs import make_pair\n"
        "from vision_rec import failpoints\n"
        "from vision_rec.sessions.pair_store import PairStore\n"
        "root = Path(sys.argv[1])\n"
        f"failpoints.arm('{place}=kill')\n"
        f"make_pair(root / 'made', {IDS!r}, network=False)\n"
        "PairStore(root / 'session').publish(root / 'made')\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert done.returncode == -9
    assert store.current() == before and read_table(before).ids == tuple(IDS)
    make_pair(tmp_path / "made", IDS, seed=5)
    assert store.publish(tmp_path / "made") == store.current() != before


# ── vectors from views ───────────────────────────────────────────────────────────────────────────────


def sessions_of(lists):
    items = np.array([item for one in lists for item in one], np.int64)
    owners = np.repeat(np.arange(len(lists)), [len(one) for one in lists])
    return items, owners


def test_covisits_against_plain_loops():
    rng = np.random.default_rng(2)
    lists = [rng.integers(0, 7, size=rng.integers(1, 30)).tolist() for _ in range(40)]
    expected = np.zeros((7, 7))
    for one in lists:
        views = [view for i, view in enumerate(one) if not i or view != one[i - 1]]
        for i, view in enumerate(views):
            for other in views[i + 1 : i + 1 + covisits.WINDOW]:
                if other != view:
                    expected[view, other] += 1
                    expected[other, view] += 1
    np.testing.assert_array_equal(covisits.covisits(*sessions_of(lists), 7).toarray(), expected)


def test_a_robot_counts_with_its_last_views_only():
    items = np.arange(1000, dtype=np.int64)
    counts = covisits.covisits(items, np.zeros(1000, np.int64), 1000)
    seen = np.flatnonzero(np.asarray(counts.sum(axis=1)).ravel())
    assert seen.tolist() == list(range(1000 - covisits.MOST_VIEWS, 1000))


@pytest.mark.parametrize("count", [30, 400])
def test_products_of_one_taste_lie_near_each_other(count):
    rng = np.random.default_rng(4)
    taste = np.arange(count) % 5
    lists = []
    for _ in range(count * 12):
        mine = np.flatnonzero(taste == rng.integers(5))
        lists.append(
            [int(rng.choice(mine)) if rng.random() < 0.8 else int(rng.integers(count)) for _ in range(5)]
        )
    items, owners = sessions_of(lists)
    vectors = covisits.fit_behaviour(items, owners, count + 1)
    assert vectors.shape == (count + 1, min(covisits.DIM, vectors.shape[1])) and not vectors[count].any()
    np.testing.assert_allclose(np.linalg.norm(vectors[:count], axis=1), 1.0, atol=1e-5)
    near = vectors[:count] @ vectors[:count].T
    np.fill_diagonal(near, -1.0)
    top = np.argsort(-near, axis=1)[:, :3]
    assert (taste[top] == taste[:, None]).mean() > 0.85
    assert abs(near[~np.eye(count, dtype=bool)].mean()) < 0.1  # centred: strangers score about 0
    np.testing.assert_array_equal(vectors, covisits.fit_behaviour(items, owners, count + 1))


@pytest.mark.parametrize("lists", [[], [[0], [1]], [[0, 0, 0]]])
def test_nothing_viewed_together_gives_no_vectors(lists):
    assert covisits.fit_behaviour(*sessions_of(lists), 3).shape == (3, 0)


def test_two_products_are_enough():
    vectors = covisits.fit_behaviour(*sessions_of([[0, 1], [2]]), 3)
    assert vectors.shape[1] >= 1 and not vectors[2].any() and np.isfinite(vectors).all()


def test_the_names_of_the_files_stay():
    assert (pair.CONFIG, pair.VECTORS, pair.MODEL) == (
        "pair.json",
        "behaviour.safetensors",
        "model.safetensors",
    )
