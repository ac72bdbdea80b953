"""A small drawn shop, encoders that cost arithmetic only, and an index version of the two; made once."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Place:
    """A folder with a drawn shop and its indexes; `common` are the options that lead there."""

    root: Path

    @property
    def shop(self) -> Path:
        return self.root / "catalog"

    @property
    def feed(self) -> Path:
        return self.shop / "products.csv"

    @property
    def indexes(self) -> Path:
        return self.root / "indexes"

    @property
    def common(self) -> list[str]:
        return ["--indexes", str(self.indexes), "--data", str(self.root / "var")]

    def copy(self, to: Path) -> Place:
        shutil.copytree(self.root, to, dirs_exist_ok=True)
        return Place(to)


@pytest.fixture(scope="session")
def drawn_shop(tmp_path_factory):
    """80 drawn products of seed 11, pictures of 96 pixels; nobody may change it."""
    from vision_rec.sample import draw_shop

    root = tmp_path_factory.mktemp("drawn")
    draw_shop(root / "catalog", count=80, seed=11, side=96)
    return Place(root)


@pytest.fixture(scope="session")
def published(drawn_shop, tmp_path_factory):
    """The drawn shop, indexed with the fakes; nobody may change it."""
    from fakes import fake_encoders

    from vision_rec.reindex import reindex
    from vision_rec.settings import Settings

    place = drawn_shop.copy(tmp_path_factory.mktemp("published"))
    settings = Settings(paths={"indexes": place.indexes, "data": place.root / "var"}, images={"workers": 2})
    reindex(place.feed, settings=settings, reviews=place.shop / "reviews.csv", encoders=fake_encoders())
    return place


@pytest.fixture
def fake_loading(monkeypatch):
    """Encoders are the fakes wherever they are loaded."""
    import fakes

    monkeypatch.setattr(
        "vision_rec.encoders.load_encoders", lambda settings, cache=None: fakes.fake_encoders()
    )


@dataclass(frozen=True)
class Ran:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        import json

        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line on stderr; there must be no other, and nothing on stdout."""
        lines = self.err.splitlines()
        assert len(lines) == 1 and not self.out, (self.out, self.err)
        return lines[0]


@pytest.fixture
def cli(capsys, fake_loading):
    """Run `vision-rec ARGS…` in this process."""
    from vision_rec.cli import main

    def run(*args: object) -> Ran:
        capsys.readouterr()
        code = main([str(arg) for arg in args])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run
