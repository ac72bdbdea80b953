"""Options as texts, tables, files that appear as a whole."""

from __future__ import annotations

import errno
import os

import pytest

from vision_rec.cli.options import listed, read_mapping, read_weights, search_fields
from vision_rec.cli.output import write_json, write_table
from vision_rec.errors import InputError, ResourceError
from vision_rec.outfile import unfinished


def test_weights():
    assert read_weights("colour=2, shape = .5") == {"colour": 2.0, "shape": 0.5}
    assert read_weights("colour:2,shape:1") == {"colour": 2.0, "shape": 1.0}
    for text in ("", "colour", "=1", "colour=", "colour=a", "colour=1,,shape=1", "a=1,a=2"):
        with pytest.raises(InputError, match="--weights"):
            read_weights(text)


def test_lists_and_mappings():
    assert listed(None) is None and listed(["a, b", "c,", ""]) == ["a", "b", "c"]
    assert listed(['["a,b", 7]', "c"]) == ["a,b", "7", "c"]
    assert read_mapping(None) is None and read_mapping(["id = key", "title=a=b"]) == {
        "id": "key",
        "title": "a=b",
    }
    for entry in ("id", "=key", "id="):
        with pytest.raises(InputError, match="--map"):
            read_mapping([entry])


def test_fields_leave_out_what_was_not_given():
    lists = {"exclude": None, "facets": ["brand"]}
    fields = search_fields({"text": "a", "colour": None}, lists, weights=None, crop="0,0,1,.5")
    assert fields == {"text": "a", "facets": ["brand"], "crop": [0.0, 0.0, 1.0, 0.5]}


def test_a_table_is_aligned_and_clean(capsys):
    rows = [("a", "1.50", "x\ny"), ("longer", "10.00", "")]
    write_table(("name", "price", "more"), rows, right=("price",))
    assert capsys.readouterr().out == "name    price  more\na        1.50  x y\nlonger  10.00\n"
    write_table(("name", "price"), [])
    assert capsys.readouterr().out == "name  price\n"


def test_json_is_strict(capsys):
    write_json({"title": "Mütze", "score": 0.5})
    assert capsys.readouterr().out == '{"title": "Mütze", "score": 0.5}\n'
    with pytest.raises(ValueError, match="JSON"):
        write_json({"score": float("nan")})


def test_a_file_appears_as_a_whole_or_not_at_all(tmp_path):
    path = tmp_path / "out.txt"
    with unfinished(path) as name:
        name.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new" and path.stat().st_mode & 0o777 == 0o666 & ~umask()
    with pytest.raises(KeyError), unfinished(path) as name:
        name.write_text("half")
        raise KeyError
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["out.txt"]


def test_what_cannot_be_written_says_so(tmp_path):
    for path in (tmp_path, tmp_path / "none" / "out.txt"):
        with pytest.raises(InputError, match=str(path)), unfinished(path) as name:
            name.write_text("")
    with pytest.raises(ResourceError, match="bytes are free"), unfinished(tmp_path / "out.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with unfinished(tmp_path / "fifo-free") as name:
        assert name.parent == tmp_path
        name.write_text("")


def test_pipes_are_written_to_directly(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with unfinished(fifo) as name:
        assert name == fifo
    assert fifo.is_fifo()


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
