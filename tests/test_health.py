"""Health of a catalogue: planted defects are found, and where nothing is wrong nothing is said."""

from __future__ import annotations

import csv
import json
import shutil
import threading
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from health_shop import EACH, Encoders, opened, plant, report_of, shelf, swatch

from vision_rec.errors import ChangedError, LockedError
from vision_rec.health import (
    KINDS,
    HealthDesk,
    HealthReport,
    Thresholds,
    check_health,
    lacking,
    neighbours,
    run_reports,
)
from vision_rec.health.reports import reason_kind, value_of
from vision_rec.settings import Settings


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    chosen = shelf()
    plant(chosen)
    return opened(tmp_path_factory.mktemp("planted"), chosen)


@pytest.fixture(scope="module")
def report(planted):
    return check_health(planted)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return opened(tmp_path_factory.mktemp("sound"), shelf())


def ids(finding):
    return [row.product_id for row in finding.rows]


# ── what is found ────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_said_of_a_sound_catalogue(sound):
    found = check_health(sound)
    assert [finding.kind for finding in found.findings] == list(KINDS)
    assert {finding.kind: ids(finding) for finding in found.findings if finding.rows} == {}
    assert all(finding.looked_at == finding.of == 4 * EACH for finding in found.findings)
    assert not any(finding.note for finding in found.findings)


def test_a_duplicate_is_found_once_and_variants_are_none(report):
    found = report.finding("near_duplicates")
    assert found.count == 1 and len(found.rows) == 1
    assert {found.rows[0].product_id, *found.rows[0].others} == {"mugs-0", "twin"}
    assert found.rows[0].value >= 0.999 and "style 1.000" in found.rows[0].detail


def test_variants_of_one_group_are_no_duplicates(tmp_path):
    chosen = shelf()
    for number in (3, 4):
        chosen.products[number] = replace(chosen.products[number], group_id="one")
    chosen.blocks[4] = {**chosen.blocks[3], "text": chosen.blocks[4]["text"]}
    assert check_health(opened(tmp_path, chosen)).finding("near_duplicates").count == 0


def test_a_colour_name_that_the_pixels_contradict(report):
    found = report.finding("colour_label")
    assert ids(found) == ["mislabelled"]
    assert found.rows[0].detail == "the feed says blue, the pixels look red"
    assert found.rows[0].value < 0.2


@pytest.mark.parametrize("label", ["blue/red", "Blue and Red", "multicolour", "", "see picture", "#d02030"])
def test_labels_that_can_be_right_are_left_alone(tmp_path, label):
    chosen = shelf()
    chosen.add("odd", "Mugs", "red", label=label)
    found = check_health(opened(tmp_path, chosen)).finding("colour_label")
    assert ids(found) == []


def test_colours_are_not_compared_across_encoders(planted, monkeypatch):
    monkeypatch.setattr(Encoders, "fingerprints", {"image": "another"})
    found = check_health(planted).finding("colour_label")
    assert (found.count, found.looked_at) == (0, 0) and "another encoder" in found.note


def test_a_picture_that_does_not_fit_the_words(report):
    found = report.finding("text_against_picture")
    assert ids(found) == ["stranger"]
    assert "not in Bags" in found.rows[0].detail and "in Chairs" in found.rows[0].detail
    assert len(found.rows[0].others) == 3 and found.rows[0].value >= 9


def test_a_placeholder_is_one_row_and_no_heap_of_duplicates(report):
    found = report.finding("placeholder_pictures")
    assert found.count == 1 and found.rows[0].value == 7
    assert {found.rows[0].product_id, *found.rows[0].others} == {f"blank-{number}" for number in range(7)}


def test_the_same_title_or_family_makes_no_placeholder(tmp_path):
    chosen = shelf()
    for number in range(7):
        same = chosen.add(f"size-{number}", "Chairs", "yellow", title="One chair", group_id="chair")
        same.update({name: chosen.blocks[-1 - number][name] for name in ("colour", "shape", "style")})
    assert check_health(opened(tmp_path, chosen)).finding("placeholder_pictures").count == 0


def test_what_no_list_shows_is_what_a_plain_count_says(report, planted):
    shown = Counter(name for entry in planted.similar_all(20, rules=False) for name in entry.ids)
    hidden = {name for name in planted.state.catalog.ids if not shown[name]}
    assert "hidden" in hidden
    found = report.finding("never_shown")
    assert set(ids(found)) == hidden and found.count == len(hidden)
    detail = next(row.detail for row in found.rows if row.product_id == "hidden")
    assert detail == "other products are always nearer"


def test_retired_products_are_not_looked_at(tmp_path):
    chosen = shelf()
    plant(chosen)
    chosen.retired |= {"twin", "mislabelled", "stranger", "hidden", *(f"blank-{n}" for n in range(6))}
    found = check_health(opened(tmp_path, chosen))
    assert {finding.kind: ids(finding) for finding in found.findings if finding.rows} == {}


def test_products_with_nothing_to_compare(tmp_path):
    chosen = shelf()
    empty = chosen.add("empty", "Mugs", "red")
    for name in list(empty):
        empty[name] = np.zeros_like(empty[name])
    wordless = chosen.add("wordless", "Mugs", "red")
    wordless["text"] = np.zeros_like(wordless["text"])
    rec = opened(tmp_path, chosen)
    told = {row.product_id: row.detail for row in check_health(rec).finding("never_shown").rows}
    assert told["empty"] == "it has neither picture nor words to compare"
    found = lacking(rec.state)
    assert found["picture"] == (1, ("empty",)) and found["text"] == (2, ("empty", "wordless"))
    assert found["image:missing"] == (1, ("mugs-4",)) and lacking(rec.state) is found


def test_a_large_catalogue_is_sampled_and_says_so(planted):
    limits = Thresholds(queries=30)
    found = check_health(planted, thresholds=limits)
    assert found == replace(
        check_health(planted, thresholds=limits), seconds=found.seconds, checked_at=found.checked_at
    )
    for kind in ("near_duplicates", "text_against_picture", "never_shown"):
        assert found.finding(kind).looked_at == 30 and "a sample of 30 of" in found.finding(kind).note
    # What needs no neighbours is complete: placeholders bit for bit, and labels.
    assert found.finding("placeholder_pictures").count == found.finding("colour_label").count == 1


@pytest.mark.parametrize("lost", ["colour", "shape", "text"])
def test_layouts_without_an_aspect(tmp_path, monkeypatch, lost):
    import health_shop

    kept = tuple(aspect for aspect in health_shop.LAYOUT.aspects if aspect.name != lost)
    monkeypatch.setattr(health_shop, "LAYOUT", type(health_shop.LAYOUT)(kept))
    found = check_health(opened(tmp_path, shelf()))
    assert len(found.findings) == 5
    silent = {"colour": "colour_label", "shape": "text_against_picture", "text": "text_against_picture"}[lost]
    assert found.finding(silent).note.startswith("this index has no")


def test_swatches_are_the_colours_of_the_catalogue():
    assert float(swatch("red") @ swatch("blue")) < 0.2


def test_progress_is_told_and_a_change_of_version_ends_it(planted, monkeypatch):
    told = []
    check_health(planted, progress=lambda *what: told.append(what))
    stages = list(dict.fromkeys(stage for stage, *_ in told))
    assert stages == ["catalogue", "pictures", "colours", "shapes and words", "lists"]
    last = {stage: (done, total) for stage, done, total in told}
    assert all(done == total for stage, (done, total) in last.items() if stage != "catalogue")
    monkeypatch.setattr(type(planted), "version_id", property(lambda self: "another"))
    with pytest.raises(ChangedError):
        check_health(planted)


# ── the drawn shop ───────────────────────────────────────────────────────────────────────────────────


def test_defects_planted_into_the_drawn_shop(drawn_shop, tmp_path):
    from fakes import fake_encoders

    from vision_rec.recommend import Recommender
    from vision_rec.reindex import reindex

    place = drawn_shop.copy(tmp_path)
    with place.feed.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        header, lines = reader.fieldnames, list(reader)
    wrong = [line for line in lines if line["color"] == "red"]
    for line in wrong:
        line["color"] = "blue"
    families = {line["item_group_id"]: line for line in lines if line not in wrong}
    first, second, *rest = list(families.values())[:8]
    shutil.copy(place.shop / first["image_link"], place.shop / second["image_link"])
    for line in rest:
        line["image_link"], line["additional_image_link"] = rest[0]["image_link"], ""
    with place.feed.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        writer.writerows([*lines, lines[0]])
    settings = Settings(paths={"indexes": place.indexes, "data": place.root / "var"}, images={"workers": 1})
    done = reindex(place.feed, settings=settings, encoders=fake_encoders())
    assert (done.duplicates, done.duplicate_ids) == (1, (lines[0]["id"],))
    rec = Recommender.open(place.indexes, settings=settings, encoders=fake_encoders())
    found = check_health(rec)
    pairs = [{row.product_id, *row.others} for row in found.finding("near_duplicates").rows]
    assert {first["id"], second["id"]} in pairs
    named = {line["id"] for line in wrong} & set(ids(found.finding("colour_label")))
    assert len(named) > len(wrong) / 2  # these encoders see no shades
    shared = found.finding("placeholder_pictures").rows
    assert any({line["id"] for line in rest} <= {row.product_id, *row.others} for row in shared)
    shown = Counter(name for entry in rec.similar_all(20) for name in entry.ids)
    hidden = {name for name in rec.state.catalog.ids if not shown[name]}
    assert set(ids(found.finding("never_shown"))) == hidden


# ── reports and the desk ─────────────────────────────────────────────────────────────────────────────


def test_a_report_comes_back_as_it_was(report):
    text = json.dumps(report.to_dict())
    assert HealthReport.from_dict(json.loads(text)) == report


def test_the_desk_keeps_one_report_per_version(tmp_path, sound):
    desk = HealthDesk(tmp_path)
    assert desk.report(sound.state) is None and desk.status(sound.state).word == "none"
    made = desk.check(sound)
    assert desk.report(sound.state) == made and desk.status(sound.state).word == "done"
    assert (desk.folder / f"{sound.version_id}.json").stat().st_mode & 0o777 <= 0o644
    other = replace(sound.state, default_weights={"colour": 1.0})
    assert desk.report(other) is None  # lists depend on them
    (desk.folder / f"{sound.version_id}.json").write_text('{"format": 1')
    assert desk.report(sound.state) is None and desk.status(sound.state).word == "none"


def test_one_check_at_a_time_told_to_every_process(tmp_path, sound, monkeypatch):
    desk, other = HealthDesk(tmp_path), HealthDesk(tmp_path)
    begun, go_on = threading.Event(), threading.Event()

    def slow(recommender, *, progress, **_):
        progress("pictures", 3, 10)
        begun.set()
        assert go_on.wait(60)
        return check_health(recommender)

    monkeypatch.setattr("vision_rec.health.desk.check_health", slow)
    assert desk.start(sound) and begun.wait(60)
    told = other.status(sound.state)
    assert (told.word, told.stage, told.done, told.total) == ("running", "pictures", 3, 10)
    assert not other.start(sound)
    with pytest.raises(LockedError):
        other.check(sound)
    go_on.set()
    wait_for(lambda: other.status(sound.state).word == "done")
    assert other.report(sound.state) is not None


def test_what_went_wrong_is_told_until_the_next_check(tmp_path, sound, monkeypatch):
    desk = HealthDesk(tmp_path)

    def broken(recommender, **_):
        raise MemoryError("not enough of it")

    monkeypatch.setattr("vision_rec.health.desk.check_health", broken)
    assert desk.start(sound)
    wait_for(lambda: desk.status(sound.state).word == "failed")
    assert desk.status(sound.state).error == "not enough of it"
    monkeypatch.undo()
    desk.check(sound)
    assert desk.status(sound.state).word == "done"


def test_a_check_that_was_killed_is_not_running(tmp_path, sound):
    desk = HealthDesk(tmp_path)
    desk.folder.mkdir()
    status = {"word": "running", "stage": "lists", "done": 1, "total": 9, "error": ""}
    left = {"version_id": sound.version_id, "status": status}
    (desk.folder / "status.json").write_text(json.dumps(left))
    assert desk.status(sound.state).word == "none"


def test_reports_of_reindex(tmp_path):
    rec = opened(tmp_path, shelf(), report_of())
    folder = tmp_path / "var" / "reports"
    folder.mkdir(parents=True)

    def failed(name, at):
        body = report_of(outcome="failed", started_at=at, error="too many bad rows")
        (folder / f"reindex-{name}.json").write_text(json.dumps(body))

    failed("2026-10-01T00-00-00Z", "2026-10-01T00:00:00+00:00")
    found = run_reports(rec.state, tmp_path / "var")
    assert found.made["rejected"] == 3 and found.failed == {}  # older than the version
    failed("2026-12-01T00-00-00Z", "2026-12-01T00:00:00+00:00")
    (folder / "reindex-2026-12-02T00-00-00Z.json").write_text("{")
    assert run_reports(rec.state, tmp_path / "var").failed["error"] == "too many bad rows"


def test_reasons_are_told_apart_from_values():
    reason = "cannot read the price 'twelve'; write it like '12.99 USD'"
    assert reason_kind(reason) == "cannot read the price …; write it like …" and value_of(reason) == "twelve"
    assert reason_kind("13 columns; the header has 12") == "… columns; the header has …"
    assert value_of("the title is missing") == ""


def test_neighbours_by_one_aspect(planted):
    found = neighbours(planted, "mugs-0", "style", 5)
    assert found.items[0].product.id == "twin" and found.items[0].score > 0.99
    assert set(found.weights) >= {"style"} and found.weights["style"] == 1.0


def wait_for(done, times=600):
    for _ in range(times):
        if done():
            return
        threading.Event().wait(0.1)
    raise AssertionError("it does not end")
