"""Parquet footers read without native code agree with pyarrow, and damage is an error, never a crash."""

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vision_rec.errors import FeedError
from vision_rec.feeds import read_feed
from vision_rec.feeds.footer import read_footer


@pytest.fixture
def path(tmp_path):
    table = pa.table(
        {
            "id": [str(i) for i in range(100)],
            "title": ["Cup", "Pot"] * 50,
            "images": [["a", "b"]] * 99 + [[]],
            "price": [float(i) for i in range(100)],
        }
    )
    pq.write_table(table, tmp_path / "feed.parquet", row_group_size=30)
    return tmp_path / "feed.parquet"


def test_footer_agrees_with_pyarrow(path):
    meta = pq.ParquetFile(path).metadata
    groups = read_footer(path)
    assert len(groups) == meta.num_row_groups == 4
    for i, group in enumerate(groups):
        theirs = meta.row_group(i)
        assert group.rows == theirs.num_rows and group.size == theirs.total_byte_size
        columns = [theirs.column(j) for j in range(theirs.num_columns)]
        assert group.values == {column.path_in_schema: column.num_values for column in columns}
    assert groups[0].values["images.list.element"] == 60


def test_damaged_footers_are_refused_or_read(path):
    draw, whole = random.Random(3), path.read_bytes()
    length = int.from_bytes(whole[-8:-4], "little")
    refused = 0
    for _ in range(150):
        hurt = bytearray(whole)
        for _ in range(draw.randint(1, 3)):
            hurt[draw.randrange(len(hurt) - 8 - length, len(hurt) - 4)] = draw.randrange(256)
        path.write_bytes(hurt)
        try:
            list(read_feed(path, on_error=lambda error: None))
        except FeedError:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.999])
def test_cut_files_have_no_footer(path, keep):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(ValueError, match="footer"):
        read_footer(path)
