"""The public contract, sentence by sentence: names, commands, routes, and three doors that say the same.

One small shop is asked through Python, HTTP and the command line. What a test here pins may not be renamed,
dropped or given another meaning; docs/architecture.md section 6 says so.
"""

from __future__ import annotations

import base64
import json
import math
from decimal import Decimal
from urllib.parse import quote

import fakes
import numpy as np
import pytest
import service_shop
from doors import Doors
from service_shop import BASE_URL, MathEncoders, open_shop, problem
from starlette.testclient import TestClient

from vision_rec import Filters, Query, Recommender
from vision_rec.recommend.checks import check_query
from vision_rec.service import create_app, schemas, version_schemas
from vision_rec.types import Product

ANSWER = set("request_id version weights took_ms degraded empty_reason facets items".split())
ITEM = set(
    "id title link image brand category price currency availability group_id score parts missing boost "
    "pinned rules reasons".split()
)
METRICS = set("queries recall@1 recall@10 precision@10 r_precision mrr ndcg@10 map".split())
ASPECTS = {"colour", "shape", "text"}
ODD_IDS = ("a/b", "/lead", "ü ñ", "a?b#c", "100%", "a+b", "%2F", "00123", "1e5", "semi;colon&and=")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contract")
    settings, rec = open_shop(folder)
    with TestClient(create_app(settings, rec), base_url=BASE_URL) as client:
        yield folder, client, rec


@pytest.fixture
def doors(shop, capsys, monkeypatch):
    from vision_rec.cli import main

    monkeypatch.setattr("vision_rec.encoders.load_encoders", lambda settings, cache=None: MathEncoders())
    monkeypatch.chdir(shop[0])

    def command(*args):
        capsys.readouterr()
        code = main([str(arg) for arg in args])
        return code, *capsys.readouterr()

    return Doors(*shop, command)


def ids(answer) -> list[str]:
    return [item["id"] for item in answer["items"]]


# ── Python ───────────────────────────────────────────────────────────────────────────────────────────


def test_build_and_ask_as_the_contract_writes_it(doors, monkeypatch, tmp_path):
    monkeypatch.setattr(
        "vision_rec.encoders.load_encoders", lambda settings, cache=None: fakes.fake_encoders()
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").symlink_to(doors.folder / "shop" / "images")
    rows = [
        f"SKU-{i},{colour} mug,mug-{colour}.png,{i}.50 EUR\n"
        for i, colour in enumerate(service_shop.COLOURS, 1)
    ]
    (tmp_path / "products.csv").write_text("id,title,image_link,price\n" + "".join(rows))
    (tmp_path / "photo.jpg").write_bytes(doors.picture.read_bytes())

    rec = Recommender.build("products.csv", images="images/", indexes="indexes/")
    assert rec.version_id == Recommender.open("indexes/").version_id
    assert [item.product.id for item in rec.similar("SKU-1", k=2, weights={"colour": 2})] != ["SKU-1"]
    found = rec.search(image="photo.jpg", text="long sleeve", colour="red", filters={"in_stock": True})
    assert found.items[0].product == rec.product("SKU-1") and found.version_id == rec.version_id
    assert len(rec.recommend(recent=["SKU-1", "SKU-3"], k=12)) == 4

    current = (tmp_path / "indexes" / "CURRENT").read_text().strip()
    version = tmp_path / "indexes" / current
    assert current == rec.version_id
    files = {"manifest.json", "ids.json", "vectors.npy", "catalog.parquet", "report.json"}
    assert {path.name for path in version.iterdir()} - {"index"} == files
    ordered = json.loads((version / "ids.json").read_text())
    assert ordered == [f"SKU-{i}" for i in range(1, 7)]
    assert np.load(version / "vectors.npy").shape == (6, rec.layout.dim)


def test_an_answer_becomes_a_data_frame(doors):
    answer = doors.rec.similar("mug-red", k=3)
    frame = answer.to_pandas()
    assert list(frame.id) == [item.product.id for item in answer]
    scalars = [name for name, value in answer.to_dicts()[0].items() if not isinstance(value, list | dict)]
    assert list(frame.columns) == [*scalars, "part_colour", "part_shape", "part_text"]
    parts = frame[["part_colour", "part_shape", "part_text"]].sum(axis=1)
    assert np.allclose(parts, frame.score, atol=1e-5)
    empty = doors.rec.similar("mug-red", filters={"price": {"max": 0}}).to_pandas()
    assert list(empty.columns) == list(frame.columns) and not len(empty)


def test_python_takes_what_json_says_and_refuses_the_rest_by_name(doors):
    rec = doors.rec
    example = {"product_id": "mug-red", "weight": 0.5}
    assert ids({"items": rec.search(examples=[example]).to_dicts()}) == ids(doors.search(examples=[example]))
    crop = [0.0, 0.0, 0.5, 1.0]
    assert len(rec.search(image=doors.picture.read_bytes(), crop=crop, k=1)) == 1
    assert "mug-blue" not in ids({"items": rec.similar("mug-red", exclude="mug-blue").to_dicts()})
    for wrong in ({"text": 3}, {"product_id": ["a"]}, {"weights": [1]}, {"crop": [1]}, {"examples": ["a"]}):
        with pytest.raises(ValueError, match=next(iter(wrong)).removesuffix("s")):
            rec.search(**{"product_id": "mug-red"} | wrong)


# ── the answer, from every door ──────────────────────────────────────────────────────────────────────


def test_every_door_gives_the_same_answer(doors):
    picture = doors.picture
    encoded = base64.b64encode(picture.read_bytes()).decode()
    form = {"image": (picture.name, picture.read_bytes(), "image/png")}
    pairs = [
        (doors.json("similar", "mug-red", "-k", 5), doors.similar("mug-red", k=5)),
        (
            doors.json("search", "--product", "mug-red", "--colour", "blue"),
            doors.search(product_id="mug-red", colour="blue"),
        ),
        (
            doors.json("search", "--image", picture, "--text", "lamp"),
            doors.search(image=encoded, text="lamp"),
        ),
        (
            doors.json("search", "--recent", "bag-red,mug-red"),
            doors.search("/v1/recommendations", recent=["bag-red", "mug-red"]),
        ),
        (doors.client.post("/v1/search/image", files=form).json(), doors.search(image=encoded)),
    ]
    for one, other in pairs:
        assert set(one) == set(other) == ANSWER
        assert [{**item, "image": 0} for item in one["items"]] == [
            {**item, "image": 0} for item in other["items"]
        ]
        assert one["weights"] == other["weights"] and one["version"] == doors.rec.version_id
        assert (one["degraded"], one["empty_reason"], one["facets"]) == ([], None, {})
        for item in one["items"]:
            assert set(item) >= ITEM and set(item["parts"]) == ASPECTS
            assert math.isclose(sum(item["parts"].values()), item["score"], abs_tol=1e-5)
            assert (item["pinned"], item["rules"]) == (False, [])
        assert [type(item["price"]) for item in one["items"]].count(float) > 0
        assert math.isclose(sum(one["weights"].values()), 1.0)


def test_an_empty_answer_has_every_field_too(doors):
    for answer in (
        doors.similar("mug-red", filter="price<=0"),
        doors.json("similar", "mug-red", "--filter", "price<=0"),
    ):
        assert set(answer) == ANSWER and answer["items"] == [] and "price" in answer["empty_reason"]


def test_weights_given_leave_nothing_to_aspects_not_named(doors):
    for answer in (
        doors.similar("mug-red", weights="colour:2,shape:1"),
        doors.search(product_id="mug-red", weights={"colour": 2, "shape": 1}),
        doors.json("similar", "mug-red", "--weights", "colour=2,shape=1"),
    ):
        assert answer["weights"] == pytest.approx({"colour": 2 / 3, "shape": 1 / 3, "text": 0})
        assert {item["parts"]["text"] for item in answer["items"]} == {0.0}
    assert doors.similar("mug-red")["weights"] == pytest.approx(dict.fromkeys(ASPECTS, 1 / 3))
    # The query's own aspects share the weight.
    assert doors.similar("no-picture")["weights"] == {"colour": 0, "shape": 0, "text": 1}
    look = doors.search(product_id="mug-red", preset="look")["weights"]
    assert look == doors.json("search", "--product", "mug-red", "--preset", "look")["weights"]
    assert look == {"colour": 0.5, "shape": 0.5, "text": 0}


# ── filters ──────────────────────────────────────────────────────────────────────────────────────────


def paid(product: Product) -> Decimal | float:
    return next((p for p in (product.sale_price, product.price) if p is not None), math.nan)


MUG = next(product for product in service_shop.products() if product.id == "mug-red")
FILTERS = {
    "category=Mugs": ({"category": "Mugs"}, lambda p: "Mugs" in p.category),
    "category=Chairs|Pens": ({"category": ["Chairs", "Pens"]}, lambda p: {"Chairs", "Pens"} & {*p.category}),
    "brand!=Nordlicht": ({"brand": {"not": ["Nordlicht"]}}, lambda p: p.brand != "Nordlicht"),
    "price<=20": ({"price": {"max": 20}}, lambda p: paid(p) <= 20),
    "price=10..50": ({"price": {"min": 10, "max": 50}}, lambda p: 10 <= paid(p) <= 50),
    "in_stock=true": ({"in_stock": True}, lambda p: p.availability == "in_stock"),
    "attributes.color=red": ({"attributes.color": ["red"]}, lambda p: "red" in p.attributes.get("color", ())),
    "same_category=true": ({"same_category": True}, lambda p: p.category == MUG.category),
    "price_ratio=0.5..2": ({"price_ratio": {"min": 0.5, "max": 2}}, lambda p: 4.95 <= paid(p) <= 19.8),
}


@pytest.mark.parametrize("expression", FILTERS)
def test_filters_mean_the_same_in_every_form(doors, expression):
    form, passes = FILTERS[expression]
    wanted = {p.id for p in service_shop.products() if p.id != MUG.id and passes(p)}
    assert 0 < len(wanted) < 33
    whole = {"k": 200, "max_per_group": 0}
    options = ["-k", 200, "--max-per-group", 0]
    assert set(ids(doors.similar(MUG.id, filter=expression, **whole))) == wanted
    assert set(ids(doors.search(product_id=MUG.id, filters=form, **whole))) == wanted
    assert set(ids(doors.json("similar", MUG.id, "--filter", expression, *options))) == wanted
    for filters in (form, [expression], Filters.parse([expression])):
        assert {item.product.id for item in doors.rec.similar(MUG.id, filters=filters, **whole)} == wanted


def test_filters_repeat_and_all_must_hold(doors):
    both = ["price<=50", "in_stock=true"]
    wanted = ids(doors.search(product_id="mug-red", filters={"price": {"max": 50}, "in_stock": True}, k=50))
    assert ids(doors.similar("mug-red", filter=both, k=50)) == wanted
    assert ids(doors.json("similar", "mug-red", "--filter", both[0], "--filter", both[1], "-k", 50)) == wanted


# ── the fields of a search ───────────────────────────────────────────────────────────────────────────


def test_the_query_product_is_never_among_the_results(doors):
    group = {p.id for p in service_shop.products() if p.group_id == MUG.group_id} - {MUG.id}
    for options, own in (
        ({}, set()),
        ({"exclude_own_group": False}, group),
        ({"max_per_group": 0}, group),
        ({"max_per_group": 0, "exclude_own_group": True}, group),
    ):
        found = set(ids(doors.search(product_id=MUG.id, k=200, **options)))
        assert MUG.id not in found and found & group == own, options
    one_each = [item["group_id"] for item in doors.search(text="a day", k=200)["items"] if item["group_id"]]
    assert len(one_each) == len(set(one_each))


def test_pages_exclusion_and_floors(doors):
    whole = ids(doors.search(product_id="mug-red", k=200))
    assert len(whole) == 33 - 4  # the query, the other of its group, and one of each other group
    paged = [ids(doors.search(product_id="mug-red", k=7, offset=offset)) for offset in range(0, 35, 7)]
    assert [id_ for page in paged for id_ in page] == whole
    assert "mug-blue" not in ids(doors.search(product_id="mug-red", exclude=["mug-blue"], k=200))
    scores = [item["score"] for item in doors.search(product_id="mug-red", min_score=0.3, k=200)["items"]]
    assert 0 < len(scores) < len(whole) and min(scores) >= 0.3
    assert doors.search(product_id="mug-red", offset=10**30)["empty_reason"]


def test_facets_examples_and_colour(doors):
    facets = doors.search(product_id="mug-red", facets=["brand", "attributes.color"])["facets"]
    assert set(facets) == {"brand", "attributes.color"} and facets["attributes.color"]["blue"] == 4
    more_less = [{"product_id": "mug-red", "weight": 1}, {"product_id": "mug-blue", "weight": -1}]
    assert "blue" not in "".join(ids(doors.search(examples=more_less, weights={"colour": 1}, k=5)))
    for colour in ("blue", "#0000ff"):
        edited = doors.search(product_id="mug-red", colour=colour, k=1)
        assert ids(edited) == ["mug-blue"] and edited["weights"]["text"] == 0


REFUSED = {
    **{"k": [201, 0, 1.5, "3"], "offset": [-1], "max_per_group": [-1], "min_score": ["high"]},
    **{"diversity": [1.1], "session_share": [-0.1], "rating_boost": [2], "exclude_own_group": ["no"]},
    **{"session_model": ["newest"]},
    **{"weights": [{"colour": -1}, {"taste": 1}, {}], "preset": ["none"], "crop": [[0, 0, 1]]},
    **{"filters": [{"colour": ["red"]}], "facets": [["margin"]], "recent": ["mug-red"], "examples": [[{}]]},
    **{"text": ["x" * 513], "exclude": [["a"] * 1001], "nonsense": [1], "colour": ["x"]},
}


def test_what_is_not_allowed_is_422_and_an_error_of_its_line(doors, tmp_path):
    bodies = [{"product_id": "mug-red", name: value} for name in REFUSED for value in REFUSED[name]]
    for body in bodies:
        problem(doors.client.post("/v1/search", json=body), 422, "invalid-input")
    queries = tmp_path / "queries.jsonl"
    queries.write_text("".join(json.dumps(body) + "\n" for body in bodies))
    lines = [json.loads(line) for line in doors.cli("search", "--batch", queries, code=3).splitlines()]
    assert [line.get("error", {}).get("code") for line in lines] == ["invalid-input"] * len(bodies)


def test_k_up_to_200_and_no_further(doors):
    assert len(doors.similar("mug-red", k=200)["items"]) == 29
    problem(doors.client.get("/v1/products/mug-red/similar?k=201"), 422, "invalid-input")
    doors.cli("similar", "mug-red", "-k", 201, code=2)
    with pytest.raises(ValueError, match="200"):
        doors.rec.similar("mug-red", k=201)


def test_other_refusals_have_their_status(doors):
    body = {"image_url": "https://example.com/a.png"}
    problem(doors.client.post("/v1/search", json=body), 422, "url-not-allowed")
    problem(doors.client.post("/v1/search", json={}), 422, "invalid-input")
    problem(doors.client.post("/v1/search", json={"product_id": "none"}), 404, "not-found")
    problem(doors.client.get("/v1/products/none/similar"), 404, "not-found")
    problem(
        doors.client.post("/v1/search", content=b"{", headers={"Content-Type": "application/json"}),
        400,
        "malformed",
    )
    for args in (["similar", "none"], ["search"], ["similar", "mug-red", "--weights", "colour=-1"]):
        doors.cli(*args, code=2)


def test_a_form_says_what_a_body_says(doors):
    file = {"image": ("a.png", doors.picture.read_bytes(), "image/png")}
    fields = {
        **{"text": "lamp", "k": 4, "min_score": -1.0, "exclude_own_group": False, "crop": [0, 0, 1, 1]},
        **{"weights": {"colour": 1, "text": 1}, "filters": {"price": {"max": 60}, "in_stock": True}},
        **{"recent": ["bag-blue"], "examples": [{"product_id": "bag-red", "weight": 0.5}]},
        **{"exclude": ["mug-red"], "facets": ["brand"]},
    }
    form = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    posted = doors.client.post("/v1/search/image", data=form, files=file).json()
    said = doors.search(image=base64.b64encode(file["image"][1]).decode(), **fields)
    assert (ids(posted), posted["facets"], posted["weights"]) == (ids(said), said["facets"], said["weights"])
    plain = {
        "weights": "colour:1,text:1",
        "filter": ["price<=60", "in_stock=true"],
        "exclude_own_group": "False",
    }
    kept = {name: form[name] for name in form if name not in ("filters", *plain)}
    again = doors.client.post("/v1/search/image", data={**kept, **plain}, files=file)
    assert ids(again.json()) == ids(said), again.text


# ── the document and the validator agree ─────────────────────────────────────────────────────────────


def test_answers_are_what_the_document_declares(doors):
    answer = doors.similar("mug-red")
    versions = doors.client.get("/v1/versions").json()
    aspects = doors.client.get("/v1/aspects").json()
    for model, sent in (
        (schemas.Answer, answer),
        (schemas.Item, answer["items"][0]),
        (version_schemas.Versions, versions),
        (version_schemas.VersionInfo, versions["versions"][0]),
        (schemas.Aspects, aspects),
        (schemas.AspectInfo, aspects["aspects"][0]),
        (schemas.ProductPage, doors.client.get("/v1/products").json()),
    ):
        needed = {name for name, field in model.model_fields.items() if field.is_required()}
        assert needed <= set(sent) <= set(model.model_fields), model.__name__
        model.model_validate(sent)
    schemas.ProductAnswer.model_validate(doors.client.get("/v1/products/mug-red").json())


def test_the_document_has_the_validators_limits(doors):
    fields = doors.client.get("/openapi.json").json()["components"]["schemas"]["SearchBody"]["properties"]
    assert fields["k"]["maximum"] == doors.rec.settings.search.max_k == 200
    bounds = dict.fromkeys(("diversity", "session_share", "rating_boost"), (0, 1)) | {"k": (1, 200)}
    bounds |= {"offset": (0, 10**12), "max_per_group": (0, 10**12), "min_score": (-1e9, 1e9)}
    for name, (low, high) in bounds.items():
        form = next((f for f in fields[name].get("anyOf", ()) if f["type"] != "null"), fields[name])
        assert form.get("minimum", low) <= low and form.get("maximum", high) >= high, name
        for value in (low, high):
            check_query(Query(product_id="a", **{name: value}), 200)
        for value, bound in ((low - 1, "minimum"), (high + 1, "maximum")):
            if bound in form:
                with pytest.raises(ValueError, match=name):
                    check_query(Query(product_id="a", **{name: value}), 200)
    problem_ = problem(
        doors.client.post("/v1/search", json={"k": 201, "offset": None, "text": "a"}), 422, "invalid-input"
    )
    assert [error["pointer"] for error in problem_["errors"]] == ["/k"]


# ── files of queries ─────────────────────────────────────────────────────────────────────────────────


def test_a_batch_answers_in_order_and_ends_with_3_after_a_bad_query(doors, tmp_path):
    queries = [
        {"query_id": "b", "product_id": "mug-red", "k": 2, "weights": {"colour": 1}},
        {"query_id": "bad", "product_id": "none"},
        {"query_id": "a", "image": str(doors.picture), "filters": {"in_stock": True}, "k": 1},
    ]
    file, out = tmp_path / "queries.jsonl", tmp_path / "results.jsonl"
    file.write_text("".join(json.dumps(query) + "\n" for query in queries))
    doors.cli("search", "--batch", file, "--output", out, code=3)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["query_id"] for line in lines] == ["b", "bad", "a"]
    assert set(lines[1]) == {"query_id", "error"} and lines[1]["error"]["code"] == "not-found"
    alone = doors.search(product_id="mug-red", k=2, weights={"colour": 1})["items"]
    assert lines[0]["items"] == [{name: item[name] for name in ("id", "score", "parts")} for item in alone]
    assert lines[2]["items"][0]["id"] == "lamp-red"
    file.write_text(json.dumps(queries[0]))
    assert json.loads(doors.cli("search", "--batch", file)) == lines[0]


def test_evaluate_gives_numbers_under_the_names_of_the_contract(doors, tmp_path):
    first = ids(doors.similar("mug-red", k=2))
    lines = [
        {"product_id": "mug-red", "relevant": [first[0]]},
        {"query_id": 7, "product_id": "mug-red", "relevant": [first[1]], "ignore": [first[0]]},
    ]
    file = tmp_path / "qrels.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    measured = doors.json("evaluate", file)
    assert set(measured) == METRICS and all(type(value) in (int, float) for value in measured.values())
    assert (measured["queries"], measured["recall@1"], measured["mrr"], measured["precision@10"]) == (
        2,
        1,
        1,
        0.1,
    )


# ── the rest of HTTP ─────────────────────────────────────────────────────────────────────────────────


def test_ids_of_any_kind_are_url_encoded(tmp_path):
    chosen = [Product(id=id_, title=f"Mug {i}", category=("Mugs",)) for i, id_ in enumerate(ODD_IDS)]
    service_shop.publish(tmp_path / "indexes", tmp_path, chosen)
    settings = service_shop.settings_for(tmp_path)
    rec = Recommender.open(settings.paths.indexes, settings=settings, encoders=MathEncoders())
    with TestClient(create_app(settings, rec), base_url=BASE_URL) as client:
        for id_ in ODD_IDS:
            path = f"/v1/products/{quote(id_, safe='')}"
            assert client.get(path).json()["id"] == id_
            assert set(ids(client.get(f"{path}/similar?k=50").json())) == set(ODD_IDS) - {id_}
        listed = client.get("/v1/products").json()
        assert ids(listed) == list(ODD_IDS)


def test_aspects_versions_products_and_health(doors):
    get = doors.client.get
    aspects = get("/v1/aspects").json()
    assert [set(aspect) for aspect in aspects["aspects"]] == [{"name", "dim", "gain", "default_weight"}] * 3
    assert aspects["presets"] == doors.rec.presets
    first = get("/v1/products?cursor=&limit=20").json()
    rest = get("/v1/products", params={"cursor": first["next_cursor"], "limit": 20}).json()
    assert ids(first) + ids(rest) == [p.id for p in service_shop.products()] and rest["next_cursor"] is None
    picture = get("/v1/products/mug-red/image?w=320")
    assert picture.headers["content-type"] == "image/webp" and "max-age" in picture.headers["cache-control"]
    version = doors.rec.version_id
    assert [entry["id"] for entry in get("/v1/versions").json()["versions"]] == [version]
    assert doors.client.post(f"/v1/versions/{version}/activate").json()["current"] == version
    problem(doors.client.post("/v1/versions/none/activate"), 404, "not-found")
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/"):
        assert get(path).status_code == 200, path


def test_export_and_versions_say_what_they_did(doors, tmp_path):
    import pyarrow.parquet as pq

    doors.cli("export-similar", tmp_path / "out.parquet", "-k", 3)
    table = pq.read_table(tmp_path / "out.parquet")
    rows = [row["similar_id"] for row in table.to_pylist() if row["product_id"] == "mug-red"]
    assert rows == ids(doors.similar("mug-red", k=3))
    assert doors.json("versions", "list")["current"] == doors.rec.version_id
    assert doors.json("versions", "verify")["ok"] is True
    assert doors.json("config", "show")["search"]["max_k"] == 200
