"""DecodePool: in order, bounded, and one bad picture costs only itself."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest
from PIL import Image

from vision_rec.errors import ImageError, ImageTooLargeError, ImageTooSlowError, InputError, UnavailableError
from vision_rec.images import DecodePool, open_image, pool, process
from vision_rec.settings import ImageSettings

LIMITS = ImageSettings()

# A codec with three faults, told apart by the picture's first pixel row; what a hostile file might reach.
FAULTY = """
import os, signal, time
from vision_rec.images import worker
real = worker.open_image
def faulty(source, **options):
    data = source if isinstance(source, bytes) else source.read_bytes()
    if data.endswith(b"ABORT"): os.abort()
    if data.endswith(b"SLEEP"): time.sleep(60)
    if data.endswith(b"BURN"):
        while True: pass
    if data.endswith(b"EAT"):
        try:
            bytearray(2 << 30)
        except MemoryError as error:
            from vision_rec.errors import ImageTooLargeError
            raise ImageTooLargeError("memory", "memory") from error
    if data.endswith(b"ONCE") and not os.path.exists(os.environ["ONCE_MARK"]):
        open(os.environ["ONCE_MARK"], "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return real(source, **options)
worker.open_image = faulty
worker.main()
"""


def png(value, side=32):
    out = io.BytesIO()
    Image.new("RGB", (side, side), (value % 256, value // 256, 0)).save(out, "PNG")
    return out.getvalue()


def value(picture):
    assert isinstance(picture, np.ndarray), picture
    return int(picture[0, 0, 0]) + 256 * int(picture[0, 0, 1])


def children():
    return [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture(scope="module")
def shared():
    with DecodePool(2, LIMITS) as decoding:
        yield decoding


@pytest.fixture
def faulty(monkeypatch, tmp_path):
    monkeypatch.setattr(process, "BOOTSTRAP", FAULTY)
    monkeypatch.setenv("ONCE_MARK", str(tmp_path / "once"))


def test_pictures_come_in_order_from_bytes_and_paths(shared, tmp_path):
    sources = []
    for number in range(300):
        data = png(number, 16 + number % 50)
        if number % 3 == 0:
            path = tmp_path / f"{number} ü.png"
            path.write_bytes(data)
            sources.append(path)
        else:
            sources.append(data)
    found = list(shared.decode(iter(sources), max_side=40))
    assert [value(picture) for picture in found] == list(range(300))
    assert [picture.shape[0] for picture in found] == [min(40, 16 + number % 50) for number in range(300)]


def test_pixels_are_those_of_open_image_and_writable(shared):
    noise = np.random.default_rng(2).integers(0, 256, (200, 300, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "JPEG")
    [picture] = shared.decode([out.getvalue()], max_side=100)
    assert np.array_equal(picture, open_image(out.getvalue(), max_side=100))
    picture[0, 0] = 0  # torch.from_numpy warns about read-only arrays


def test_errors_stand_in_their_place(shared, tmp_path):
    found = list(shared.decode([png(1), b"", tmp_path / "none.png", b"junk", png(2)], max_side=32))
    assert value(found[0]) == 1 and value(found[4]) == 2
    assert [error.reason for error in found[1:4]] == ["empty", "missing", "not-an-image"]


def test_query_limits_reach_the_processes():
    limits = ImageSettings(max_query_pixels=500)
    with DecodePool(1, limits) as decoding:
        with pytest.raises(ImageTooLargeError, match="the limit is 500"):
            decoding.open(png(1), max_side=32, query=True)
        assert value(decoding.open(png(1), max_side=32)) == 1


def test_look_ahead_is_bounded(shared):
    taken = []

    def sources():
        for number in range(5000):
            taken.append(number)
            yield png(number)

    pictures = shared.decode(sources(), max_side=16)
    assert value(next(pictures)) == 0
    time.sleep(0.1)
    assert len(taken) <= pool.LOOK_AHEAD
    pictures.close()
    assert value(shared.open(png(7), max_side=16)) == 7  # the pool is not left busy


def test_an_error_of_the_sources_reaches_the_caller(shared):
    def sources():
        yield png(1)
        raise KeyError("feed")

    with pytest.raises(KeyError, match="feed"):
        list(shared.decode(sources(), max_side=16))


def test_threads_share_one_pool(shared):
    results = {}

    def run(start):
        numbers = range(start, start + 40)
        found = shared.decode([png(number) for number in numbers], max_side=16)
        results[start] = [value(picture) for picture in found] == list(numbers)

    threads = [threading.Thread(target=run, args=(start,)) for start in range(0, 400, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {0: True, 100: True, 200: True, 300: True}


def test_one_process_per_core_by_default():
    with DecodePool(0, LIMITS) as decoding:
        assert decoding.workers == len(os.sched_getaffinity(0))
    with pytest.raises(InputError, match="workers is -1"):
        DecodePool(-1, LIMITS)


def test_a_crash_costs_only_its_picture(faulty):
    sources = [png(number) for number in range(40)]
    sources[5] += b"ABORT"
    sources[6] += b"ABORT"
    sources[20] += b"ABORT"
    with DecodePool(2, LIMITS) as decoding:
        found = list(decoding.decode(sources, max_side=16))
    for number, outcome in enumerate(found):
        if number in (5, 6, 20):
            assert isinstance(outcome, ImageError) and outcome.reason == "crashed"
        else:
            assert value(outcome) == number


def test_a_process_killed_by_somebody_else_loses_nothing(faulty):
    with DecodePool(1, LIMITS) as decoding:
        found = list(decoding.decode([png(1), png(2) + b"ONCE", png(3)], max_side=16))
        assert [value(picture) for picture in found] == [1, 2, 3]
        before = children()
        for child in before:
            child.kill()
            child.wait()
        assert value(decoding.open(png(4), max_side=16)) == 4


@pytest.mark.parametrize(("mark", "what"), [(b"SLEEP", "wall"), (b"BURN", "CPU|wall")])
def test_a_stalled_picture_is_ended_and_not_tried_again(faulty, mark, what):
    limits = ImageSettings(timeout_s=1.5)
    slow = png(2) + mark
    with DecodePool(1, limits) as decoding:
        found = list(decoding.decode([png(1), slow, png(3)], max_side=16))
        assert value(found[0]) == 1 and value(found[2]) == 3
        assert isinstance(found[1], ImageTooSlowError) and found[1].reason == "too-slow"
        with pytest.raises(ImageTooSlowError, match=what):
            raise found[1]
        start = time.monotonic()
        with pytest.raises(ImageError) as caught:
            decoding.open(slow, max_side=16)
        assert caught.value.reason == "refused" and time.monotonic() - start < 1.5
        assert value(decoding.open(png(4), max_side=16)) == 4


def test_memory_of_a_process_is_limited(faulty):
    with DecodePool(1, LIMITS) as decoding:
        found = list(decoding.decode([png(1), png(2) + b"EAT", png(3)], max_side=16))
    assert isinstance(found[1], ImageTooLargeError) and found[1].reason == "memory"
    assert value(found[2]) == 3


def test_the_largest_allowed_pictures_fit_into_the_memory_limit(shared):
    out = io.BytesIO()
    Image.new("RGBA", (5000, 5000), (10, 200, 30, 255)).save(out, "PNG", compress_level=1)
    assert tuple(shared.open(out.getvalue(), max_side=64, query=True)[5, 5]) == (10, 200, 30)


def test_answers_of_a_subverted_process_are_checked(monkeypatch):
    lying = """
import json, sys
from multiprocessing.connection import Connection
link = Connection(int(sys.argv[1]))
link.recv_bytes()
link.send_bytes(b"ready")
while True:
    job = json.loads(link.recv_bytes())
    link.recv_bytes()
    link.send_bytes(%r)
    link.send_bytes(bytes(10))
"""
    for answer in (b"no json", b"{}", b'{"shape": [99999, 99999, 3]}', b'{"shape": [4, 4, 3]}',
                   b'{"shape": [-1, 1, 3]}', b'{"error": ["OSError", "x", "y"]}', b"[]"):  # fmt: skip
        monkeypatch.setattr(process, "BOOTSTRAP", lying % answer)
        with DecodePool(1, LIMITS) as decoding, pytest.raises(ImageError) as caught:
            decoding.open(png(1), max_side=16)
        assert caught.value.reason == "crashed"


def test_a_process_that_does_not_come_up_is_named(monkeypatch):
    monkeypatch.setattr(process, "BOOTSTRAP", "raise SystemExit(3)")
    with DecodePool(1, LIMITS) as decoding, pytest.raises(UnavailableError, match="no decode process"):
        decoding.open(png(1), max_side=16)


def test_closing_leaves_no_process_and_no_open_file(faulty):
    files = psutil.Process().num_fds()
    running = {child.pid for child in children()}
    with DecodePool(2, LIMITS) as decoding:
        found = list(decoding.decode([png(1), png(2) + b"ABORT", png(3)] * 8, max_side=16))
        assert [value(picture) for picture in found[2::3]] == [3] * 8
        assert {outcome.reason for outcome in found[1::3]} == {"crashed", "refused"}
        assert {child.pid for child in children()} - running
    assert {child.pid for child in children()} == running
    assert psutil.Process().num_fds() == files
    with pytest.raises(RuntimeError):
        decoding.open(png(1), max_side=16)


SCRIPT = """
import os, sys
from pathlib import Path
from vision_rec.images import DecodePool, process
from vision_rec.settings import ImageSettings
process.BOOTSTRAP = sys.argv[1]
with DecodePool(2, ImageSettings()) as decoding:
    data = Path(sys.argv[2]).read_bytes()
    decoding.open(data, max_side=16)
    print(*[worker._process.pid for worker in decoding._all if worker._process], flush=True)
    list(decoding.decode([data + b"SLEEP"] * 20, max_side=16))
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_ended_parent_leaves_no_orphans(how, tmp_path):
    # No main guard in that script: it must run once, not once per process.
    (tmp_path / "x.png").write_bytes(png(1))
    bootstrap = FAULTY.replace("time.sleep(60)", "time.sleep(0.5)") if how == signal.SIGKILL else FAULTY
    parent = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, bootstrap, tmp_path / "x.png"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert parent.stdout.readline().strip()
    time.sleep(0.2)
    started = psutil.Process(parent.pid).children()
    assert started
    parent.send_signal(how)
    _, complaint = parent.communicate(timeout=20)
    assert psutil.wait_procs(started, timeout=10)[1] == []
    if how == signal.SIGINT:
        assert complaint.rstrip().endswith("KeyboardInterrupt") and "worker" not in complaint
