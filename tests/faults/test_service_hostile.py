"""Hostile requests: each is answered with a problem document, never with a stack trace or a 500."""

from __future__ import annotations

import base64
import io
import time

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image
from service_shop import BASE_URL, draw, open_shop, post, problem
from starlette.testclient import TestClient

from vision_rec.service import create_app
from vision_rec.service.schemas import SearchBody

MIB = 1 << 20


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "malformed"),
        (b"{", 400, "malformed"),
        (b'{"text": "x"} trailing', 400, "malformed"),
        (b"{'text': 'x'}", 400, "malformed"),
        (b'{"text": "\xff\xfe"}', 400, "malformed"),
        (b'{"text": "\\ud800"}', 400, "malformed"),
        (b'\xef\xbb\xbf{"text": "x"}', 400, "malformed"),
        (b"[]", 422, "invalid-input"),
        (b"null", 422, "invalid-input"),
        (b'"text"', 422, "invalid-input"),
        (b'{"text": "x", "min_score": NaN}', 422, "invalid-input"),
        (b'{"text": "x", "min_score": -Infinity}', 422, "invalid-input"),
        (b'{"text": "x", "min_score": 1e999}', 422, "invalid-input"),
        (b'{"text": "x", "k": 1' + b"0" * 400 + b"}", 422, "invalid-input"),
        (b'{"text": "x", "k": 99999999999999999999}', 422, "invalid-input"),
        (b'{"text": "x", "k": true}', 422, "invalid-input"),
        (b'{"text": "x", "filters": ' + b'{"a":' * 20 + b"1" + b"}" * 21, 422, "invalid-input"),
        (b'{"text": "x", "recent": ' + b"[" * 5000 + b"]" * 5000 + b"}", 422, "invalid-input"),
        (b'{"text": {"a": 1}}', 422, "invalid-input"),
        (b'{"text": "a\\u0000b"}', 422, "invalid-input"),
        (b'{"weights": [["colour", 1]], "text": "x"}', 422, "invalid-input"),
        (b'{"examples": [{"product_id": "mug-red", "weight": 5}]}', 422, "invalid-input"),
        (b'{"examples": "mug-red"}', 422, "invalid-input"),
        (b'{"examples": [1, 2]}', 422, "invalid-input"),
        (b'{"filters": {"price": {"min": "x"}}, "text": "x"}', 422, "invalid-input"),
        (b'{"text": "x", "crop": [0,0,0,0]}', 422, "invalid-input"),
    ],
)
def test_json_that_is_refused(client, content, status, code):
    problem(post(client, content), status, code)


def test_only_json_is_read_as_json(client):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "a" * 3000):
        problem(post(client, b'{"text": "mug"}', kind=kind), 415, "unsupported-media-type")
    assert post(client, b'{"text": "mug"}', kind="application/json; charset=utf-8").status_code == 200
    assert post(client, b'{"text": "mug"}', kind="application/vnd.api+json").status_code == 200


def test_body_limit_by_announced_and_by_counted_bytes(client):
    large = b'{"text": "' + b"x" * (2 * MIB) + b'"}'
    answer = post(client, large)
    assert "1048576" in problem(answer, 413, "body-too-large")["detail"]
    assert answer.headers["connection"] == "close"

    def drip():
        for start in range(0, len(large), 1 << 16):
            yield large[start : start + (1 << 16)]

    problem(post(client, drip()), 413, "body-too-large")  # no Content-Length
    problem(post(client, b"{}", **{"Content-Length": "99999999999999999999"}), 413, "body-too-large")


def test_many_filters_and_long_lists_are_refused(client):
    many = {f"attributes.a{i}": ["x"] for i in range(51)}
    assert (
        "50"
        in problem(client.post("/v1/search", json={"text": "x", "filters": many}), 422, "invalid-input")[
            "detail"
        ]
    )
    ids = [str(i) for i in range(1001)]
    problem(client.post("/v1/search", json={"text": "x", "exclude": ids}), 422, "invalid-input")


def test_no_input_makes_a_filter_slow(client):
    nasty = ["a" * 60 + "=" * 60, " " * 4000 + "x", "price<" * 500, "attributes." + ". " * 2000 + "=x"]
    for expression in nasty:
        start = time.perf_counter()
        answer = client.get("/v1/products/mug-red/similar", params={"filter": expression})
        assert answer.status_code in (200, 422) and time.perf_counter() - start < 1.0


# ── multipart ────────────────────────────────────────────────────────────────────────────────────────


def form(*parts, boundary="b0"):
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n"
        for head, data in parts
    )
    return body + f"--{boundary}--\r\n".encode()


FORM = "multipart/form-data; boundary=b0"


def picture_bytes(kind="PNG", **options):
    out = io.BytesIO()
    draw("lamp", "blue").save(out, kind, **options)
    return out.getvalue()


def test_a_form_needs_just_one_picture(client):
    image = ('name="image"; filename="a.png"', picture_bytes())
    path = "/v1/search/image"
    assert post(client, form(image), path, FORM).status_code == 200
    problem(post(client, form(), path, FORM), 422, "invalid-input")
    problem(post(client, form(('name="text"', b"mug")), path, FORM), 422, "invalid-input")
    problem(post(client, form(image, image), path, FORM), 400, "malformed")
    problem(post(client, form(('name="other"; filename="a"', b"x")), path, FORM), 422, "invalid-input")
    problem(
        post(client, form(image, ('name="k"', b"1"), ('name="k"', b"2")), path, FORM), 422, "invalid-input"
    )
    problem(post(client, form(image, ('name="nope"', b"1")), path, FORM), 422, "invalid-input")
    no_name = form(("filename=x", b"1"))
    problem(post(client, no_name, path, FORM), 400, "malformed")


@pytest.mark.parametrize(
    "kind",
    ["multipart/form-data", "multipart/form-data; boundary=", f"multipart/form-data; boundary={'x' * 300}"],
)
def test_a_form_needs_a_boundary(client, kind):
    problem(post(client, b"--b0\r\n\r\n", "/v1/search/image", kind), 400, "malformed")


def test_other_types_are_no_form(client):
    problem(post(client, picture_bytes(), "/v1/search/image", "image/png"), 415, "unsupported-media-type")


def test_many_parts_and_long_fields_are_refused(client):
    image = ('name="image"; filename="a.png"', picture_bytes())
    parts = [(f'name="f{i}"', b"") for i in range(1000)]
    problem(post(client, form(image, *parts), "/v1/search/image", FORM), 400, "malformed")
    long = ('name="text"', b"x" * (65 << 10))
    problem(post(client, form(image, long), "/v1/search/image", FORM), 400, "malformed")
    headers = form(('name="text"\r\nX-A: ' + "a" * 200_000, b"x"))
    problem(post(client, headers, "/v1/search/image", FORM), 400, "malformed")


def test_upload_limit(client):
    over = form(('name="image"; filename="a.png"', bytes(10 * MIB + 1)))
    problem(post(client, over, "/v1/search/image", FORM), 413, "image-too-large")
    far_over = form(('name="image"; filename="a.png"', bytes(16 * MIB)))
    problem(post(client, far_over, "/v1/search/image", FORM), 413, "body-too-large")
    elsewhere = form(('name="image"; filename="a.png"', bytes(2 * MIB)))
    problem(post(client, elsewhere, "/v1/search", FORM), 413, "body-too-large")


# ── pictures ─────────────────────────────────────────────────────────────────────────────────────────


def bomb():
    out = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(out, "PNG")
    return out.getvalue()


POLYGLOTS = {
    "html": (b"<html><script>alert(1)</script>", 422, "image-unreadable"),
    "empty": (b"", 422, "image-unreadable"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>', 422, "image-unreadable"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n(%pipe%id) (r) file", 422, "image-unreadable"),
    "zip": (b"PK\x03\x04" + bytes(100), 422, "image-unreadable"),
    "cut": (picture_bytes("JPEG")[:300], 422, "image-unreadable"),
    "bomb": (bomb(), 413, "image-too-large"),
    "tiny": (b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", 422, "image-unreadable"),
}


@pytest.mark.parametrize("name", POLYGLOTS)
def test_what_is_no_picture(client, name):
    data, status, code = POLYGLOTS[name]
    answer = client.post("/v1/search/image", files={"image": ("photo.jpg", data, "image/jpeg")})
    problem(answer, status, code)
    encoded = base64.b64encode(data).decode()
    wanted = (422, "invalid-input") if name == "empty" else (status, code)
    answer = client.post("/v1/search", json={"image": encoded})
    assert (answer.status_code, answer.json()["type"]) == wanted


def test_a_picture_leaves_nothing_behind(tmp_path):
    settings, recommender = open_shop(tmp_path)
    with TestClient(create_app(settings, recommender), base_url=BASE_URL) as client:
        before = sorted(path for path in tmp_path.rglob("*"))
        data = picture_bytes("JPEG", exif=b"Exif\0\0MARKER-OF-A-CAMERA", quality=95)
        answer = client.post("/v1/search/image", files={"image": ("MARKER.jpg", data)})
        assert answer.status_code == 200 and "MARKER" not in answer.text
        assert sorted(path for path in tmp_path.rglob("*")) == before


def test_decode_failures_are_counted(client):
    client.post("/v1/search/image", files={"image": ("photo.jpg", b"junk")})
    assert 'vision_rec_decode_failures_total{reason="not-an-image"}' in client.get("/metrics").text


# ── any JSON whatever ────────────────────────────────────────────────────────────────────────────────

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=6,
)
PARAMETERS = "k weights filter filters exclude offset diversity facets preset".split()
quick = hypothesis_settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


@quick
@given(body=st.dictionaries(st.sampled_from(list(SearchBody.model_fields)), VALUES, max_size=5))
def test_no_body_is_a_server_error(client, body):
    answer = client.post("/v1/search", json=body)
    assert answer.status_code in (200, 400, 404, 413, 422), answer.text


@quick
@given(params=st.dictionaries(st.sampled_from(PARAMETERS), st.text(max_size=30), max_size=4))
def test_no_query_string_is_a_server_error(client, params):
    answer = client.get("/v1/products/mug-red/similar", params=params)
    assert answer.status_code in (200, 422), answer.text
    page = client.get("/", params={**params, "product": "mug-red", "w.colour": params.get("k", "1")})
    assert page.status_code in (200, 404, 422)
