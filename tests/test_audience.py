"""Segments of the audience: found, large enough, without ids, kept in a file, and used for newcomers."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from event_calls import settings_for, view
from fake_shop import COLOURS, LAYOUT, SHAPES, FakeEncoders, drawn_products, publish
from session_shop import publish_with

from vision_rec import Recommender
from vision_rec.audience import AudienceDesk, make_audience
from vision_rec.errors import InputError, IntegrityError
from vision_rec.events import EventLog
from vision_rec.fusion import Aspect, AspectLayout
from vision_rec.sessions.audience import Audience, AudienceFile, Segment, clusters, large_enough, load

PRODUCTS, ROWS = drawn_products()
TASTES = {"red": "striped", "blue": "plain", "green": "striped"}
SIZES = {"red": 12, "blue": 8, "green": 2}


@pytest.fixture(scope="module")
def indexes(tmp_path_factory):
    root = tmp_path_factory.mktemp("shop") / "indexes"
    publish(root, PRODUCTS, ROWS)
    return root


@pytest.fixture
def settings(indexes, tmp_path):
    made = settings_for(tmp_path / "var")
    weights = {"colour": 1, "style": 1, "shape": 0, "text": 0, "reviews": 0}
    return made.model_copy(
        update={
            "paths": made.paths.model_copy(update={"indexes": indexes}),
            "search": made.search.model_copy(update={"weights": weights}),
        }
    )


@pytest.fixture
def log(settings):
    made = EventLog(settings)
    yield made
    made.close()


@pytest.fixture
def rec(settings, log):
    indexes = settings.paths.indexes
    return Recommender.open(indexes, settings=settings, encoders=FakeEncoders(), history=log.history)


def visit(log):
    """Users of three tastes look at three articles each; those who like red never forget the bag."""
    number = 0
    for colour, style in TASTES.items():
        for user in range(SIZES[colour]):
            number += 1
            first = user % 3
            own = (SHAPES[first], SHAPES[first + 1], "bag")
            shapes = set(own if colour == "red" else SHAPES[first : first + 3])
            log.record(
                [
                    view(f"{colour}-{shape}-{style}-M", user_id=f"who-{colour}-{user}")
                    for shape in sorted(shapes)
                ]
            )


def segments(rec, log, settings, **options):
    return make_audience(rec.state, log, settings.sessions, **options).segments


def test_users_of_like_taste_are_a_segment_with_its_face(rec, log, settings):
    visit(log)
    found = segments(rec, log, settings, count=3, seed=1)
    assert [one.users for one in found] == [14, 8] and sum(one.share for one in found) == pytest.approx(1)
    assert all(ident.startswith("red-") and "striped" in ident for ident in found[0].face)
    assert len(found[0].face) == 5
    # Two are no segment of their own: they joined those who like stripes, too.
    most = next(iter(found[0].popular))
    assert most == "red-bag-striped-M" and found[0].popular[most] == 12
    assert all(count >= 3 for one in found for count in one.popular.values())


def test_the_same_seed_gives_the_same_segments(rec, log, settings):
    visit(log)
    once, again = (segments(rec, log, settings, count=4, seed=3) for _ in range(2))
    assert [one.users for one in once] == [one.users for one in again]
    for one, other in zip(once, again, strict=True):
        np.testing.assert_allclose(one.row, other.row, atol=1e-3)


def test_nobody_and_too_few_are_no_segments(rec, log, settings):
    assert segments(rec, log, settings) == ()
    log.record([view("red-mug-plain-M", user_id=f"u{i}") for i in range(4)])
    log.record([view("blue-mug-plain-M", session_id=f"s{i}") for i in range(20)])  # nobody's
    made = make_audience(rec.state, log, settings.sessions)
    assert made.segments == () and made.users == 4
    with pytest.raises(InputError, match="segments is 0"):
        make_audience(rec.state, log, settings.sessions, count=0)


def test_the_file_holds_no_ids_and_is_read_again_when_it_changes(rec, log, settings):
    visit(log)
    desk = AudienceDesk(settings)
    file = AudienceFile(settings.paths.data)
    assert file.current() is None and desk.show(rec.state)["segments"] == []
    made = desk.make(rec.state, log, count=3)
    text = file.path.read_text()
    names = log.vault.names
    for colour, size in SIZES.items():
        for user in range(size):
            assert f"who-{colour}" not in text and names.user(f"who-{colour}-{user}") not in text
    assert file.path.stat().st_mode & 0o077 == 0
    found = file.current()
    assert found is file.current() and found.users == made.users == 22
    np.testing.assert_allclose(found.segments[0].row, made.segments[0].row, atol=1e-4)
    desk.make(rec.state, log, count=1)
    assert len(file.current().segments) == 1
    file.path.write_text("{")
    assert file.current() is None
    with pytest.raises(IntegrityError, match="run `vision-rec audience` again"):
        load(file.path)


def test_a_newcomer_gets_what_is_popular_with_users_of_like_taste(rec, log, settings):
    visit(log)
    before = {item.product.id: item for item in rec.recommend(recent=["red-mug-striped-M"], k=20)}
    assert not any(item.boost for item in before.values())
    AudienceDesk(settings).make(rec.state, log, count=3)
    after = rec.recommend(recent=["red-mug-striped-M"], k=20)
    assert after[0].product.id == "red-bag-striped-M" and after[0].boost == pytest.approx(0.1)
    assert "12 visitors of like taste had it" in after[0].reasons
    for item in after:
        if item.product.id in before:
            assert item.score == before[item.product.id].score
        assert sum(item.parts.values()) == pytest.approx(item.score, abs=1e-5)
    # Who has shown more of a taste needs no others; of whom nothing is known, gets what all like.
    three = rec.recommend(recent=[f"red-{shape}-striped-M" for shape in ("mug", "lamp", "chair")], k=5)
    assert not any(item.boost for item in three)
    assert "popular" in rec.recommend(session_id="stranger")[0].reasons[0]


def test_segments_of_another_index_are_not_used(rec, log, settings):
    visit(log)
    desk = AudienceDesk(settings)
    desk.make(rec.state, log, count=3)
    path = desk.file.path
    body = json.loads(path.read_text())
    path.write_text(json.dumps({**body, "fingerprints": {"image": "another"}}))
    assert desk.show(rec.state)["fits"] is False
    assert not any(item.boost for item in rec.recommend(recent=["red-mug-striped-M"], k=20))


def test_segments_outlive_a_night_with_a_new_pair(tmp_path, settings):
    root = tmp_path / "nightly"
    publish_with(root, tmp_path / "one")
    paths = settings.paths.model_copy(update={"indexes": root})
    search = settings.search.model_copy(update={"weights": {**settings.search.weights, "behaviour": 1}})
    settings = settings.model_copy(update={"paths": paths, "search": search})
    log = EventLog(settings)
    rec = Recommender.open(root, settings=settings, encoders=FakeEncoders(), history=log.history)
    visit(log)
    desk = AudienceDesk(settings)
    desk.make(rec.state, log, count=3)
    asked = {"recent": ["red-mug-striped-M"], "k": 20}
    lifted = {item.product.id: item.boost for item in rec.recommend(**asked) if item.boost}
    assert lifted
    publish_with(root, tmp_path / "two", seed=1)
    assert rec.reload_if_changed() and desk.show(rec.state)["fits"] is True
    after = {item.product.id: item.boost for item in rec.recommend(**asked) if item.boost}
    assert after and set(after) & set(lifted)
    log.close()


def test_what_is_comparable_of_another_version():
    dims = {"colour": 2, "behaviour": 2, "text": 1}
    prints = {"image": "i", "text": "t", "session": "s"}
    rows = np.array([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]], np.float32)
    made = Audience(datetime.now(UTC), 9, dims, prints, tuple(Segment(row, 9, 0.5) for row in rows))
    layout = AspectLayout((Aspect("text", 1), Aspect("colour", 2), Aspect("behaviour", 2)))
    assert made.shared(layout, prints) == ("text", "colour", "behaviour")
    np.testing.assert_array_equal(made.rows(layout, layout.names), rows[:, [4, 0, 1, 2, 3]])
    others = ({**prints, "session": "newer"}, {"image": "i", "text": "t"})
    for other in others:
        assert made.shared(layout, other) == ("text", "colour")
    np.testing.assert_array_equal(made.rows(layout, ("text",)), [[5, 0, 0, 0, 0], [10, 0, 0, 0, 0]])
    wider = AspectLayout((Aspect("text", 1), Aspect("behaviour", 3)))  # an index without one of the blocks
    assert made.shared(wider, prints) == ("text",)
    for other in ({**prints, "image": "j"}, {"image": "i"}, {**prints, "more": "m"}):
        assert made.shared(layout, other) == ()


# ── the steps ────────────────────────────────────────────────────────────────────────────────────────


def test_clusters_find_groups_whatever_the_seed():
    rng = np.random.default_rng(0)
    centres = np.eye(8, dtype=np.float32)[:4]
    points = np.repeat(centres, 25, axis=0) + 0.1 * rng.normal(size=(100, 8)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    for seed in range(5):
        labels = clusters(points, np.ones(100, np.float32), 4, seed)
        assert sorted(len(set(labels[i : i + 25])) for i in range(0, 100, 25)) == [1] * 4
        assert len(set(labels)) == 4
    assert set(clusters(points[:1], np.ones(1, np.float32), 8, 0)) == {0}


def test_small_groups_join_the_nearest():
    points = np.eye(3, dtype=np.float32)[[0, 0, 0, 1, 1, 1, 2]]
    points[6] = (0.8, 0.0, 0.6)
    labels = large_enough(points, np.array([0, 0, 0, 1, 1, 1, 2]), [0, 1, 2, 3, 4, 5, 6], 2)
    assert list(labels) == [0, 0, 0, 1, 1, 1, 0]
    # Three interests of one user are one user.
    assert set(large_enough(points[:3], np.zeros(3, np.int64), [7, 7, 7], 2)) == {-1}


def test_all_aspects_of_the_shop_are_known_to_the_tests():
    assert set(TASTES) <= set(COLOURS) and LAYOUT.dim == len(ROWS[0])


# ── the doors ────────────────────────────────────────────────────────────────────────────────────────


def test_the_command_makes_and_shows_them(cli, settings, log, rec, tmp_path):
    visit(log)
    log.close()
    common = ["--indexes", settings.paths.indexes, "--data", settings.paths.data]
    ran = cli("audience", "--segments", "3", "--output", tmp_path / "out.json", *common)
    assert ran.code == 0 and "segments of 22 users" in ran.out and "nearest products" in ran.out
    shown = cli("audience", "--segments", "3", "--json", *common).json
    written = json.loads((tmp_path / "out.json").read_text())
    assert {**shown, "made_at": None} == {**written, "made_at": None}
    assert shown["fits"] and set(shown["segments"][0]) == {"segment", "users", "share", "face", "popular"}
    assert set(shown["segments"][0]["face"][0]) == {"id", "title"}
    assert cli("audience", "--segments", "0", *common).code == 2


def test_the_merchandiser_reads_them_over_http(settings, log, rec):
    from service_shop import BASE_URL
    from starlette.testclient import TestClient

    from vision_rec.service import create_app

    with TestClient(create_app(settings, rec), base_url=BASE_URL) as client:
        assert client.get("/v1/audience").json()["segments"] == []
        visit(log)
        made = AudienceDesk(settings).make(rec.state, log, count=3)
        body = client.get("/v1/audience").json()
        assert body["users"] == 22 and body["fits"] and len(body["segments"]) == len(made.segments)
        assert body["segments"][0]["popular"][0]["users"] == 12
