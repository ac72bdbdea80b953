"""What tests of events share: settings that a full disk does not disturb, a clock, the shortest event."""

from __future__ import annotations

from datetime import UTC, datetime

from vision_rec.settings import Settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def settings_for(data, **events):
    """Settings that take events however full the disk of the machine is, and wait for a slow one."""
    patient = {"max_disk_share": 1.0, "min_free_bytes": 0, "read_timeout_s": 30, "write_timeout_s": 60}
    return Settings.load(paths={"data": data}, events={**patient, **events})


class Clock:
    """Tells NOON, until told otherwise."""

    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now


def view(product="p1", **fields):
    return {"type": "view", "product_id": product, **fields}


def stored(log):
    return list(log.export())


def bytes_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
