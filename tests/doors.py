"""One shop, asked through Python, HTTP and the command line; for tests of what all three must say."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote


class Doors:
    """One shop, asked through Python, HTTP and the command line."""

    def __init__(self, folder, client, rec, command):
        self.folder, self.client, self.rec, self.command = folder, client, rec, command
        self.picture = folder / "shop" / "images" / "lamp-red.png"

    def similar(self, product_id, **params) -> dict[str, Any]:
        answer = self.client.get(f"/v1/products/{quote(product_id, safe='')}/similar", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def search(self, path="/v1/search", **body) -> dict[str, Any]:
        answer = self.client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def cli(self, *args, code=0):
        ended, out, err = self.command(*args, "--indexes", self.folder / "indexes")
        assert ended == code, (ended, out, err)
        return out

    def json(self, *args, code=0) -> dict[str, Any]:
        return json.loads(self.cli(*args, "--json", code=code))
