"""The search of the page as a call of the HTTP API, to copy: curl and Python."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vision_rec.service.console.form import PAGE, Form

_KEY = ('-H "Authorization: Bearer $VISION_REC_KEY"',)
_JOINT = " \\\n  "


@dataclass(frozen=True, slots=True)
class Call:
    """One call, in two languages."""

    curl: str
    python: str


def call_of(form: Form, base_url: str, *, by_picture: bool, keyed: bool = False) -> Call:
    """Write the search that `form` asks; a picture is named picture.jpg, a key is a variable."""
    body = {**form.asked(by_picture=by_picture).fields, "k": PAGE}
    if not body["offset"]:
        del body["offset"]
    return _upload(body, base_url, keyed) if by_picture else _json(body, base_url, keyed)


def _json(body: Mapping[str, Any], base_url: str, keyed: bool) -> Call:
    url = f"{base_url}/v1/search"
    data = shlex.quote(json.dumps(body, ensure_ascii=False))
    lines = [f"curl {shlex.quote(url)}", *_KEY[:keyed], "-H 'Content-Type: application/json'", f"-d {data}"]
    return Call(_JOINT.join(lines), _python("import json", "", body, url, keyed))


def _upload(body: Mapping[str, Any], base_url: str, keyed: bool) -> Call:
    texts = {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in body.items()
    }
    parts = [f"--form-string {shlex.quote(f'{name}={value}')}" for name, value in texts.items()]
    address = shlex.quote(f"{base_url}/v1/search/image")
    lines = [f"curl {address}", *_KEY[:keyed], "-F image=@picture.jpg", *parts]
    picture = "body['image'] = base64.b64encode(Path('picture.jpg').read_bytes()).decode()\n"
    imports = "import base64, json\nfrom pathlib import Path"
    return Call(_JOINT.join(lines), _python(imports, picture, body, f"{base_url}/v1/search", keyed))


def _python(imports: str, picture: str, body: Mapping[str, Any], url: str, keyed: bool) -> str:
    key = "headers['Authorization'] = f'Bearer {os.environ[\"VISION_REC_KEY\"]}'\n" if keyed else ""
    imports = f"{imports}\nimport os" if keyed else imports
    listed = "".join(f"    {name!r}: {value!r},\n" for name, value in body.items())
    return (
        f"{imports}\nfrom urllib.request import Request, urlopen\n\n"
        f"body = {{\n{listed}}}\n{picture}"
        f"headers = {{'Content-Type': 'application/json'}}\n{key}"
        f"answer = urlopen(Request({url!r}, json.dumps(body).encode(), headers))\n"
        "for item in json.load(answer)['items']:\n    print(item['id'], item['score'])"
    )
