"""Processes for the fault tests: publish and die at a chosen step; look at what is left, freshly started.

version_drill.py kill FOLDER WHERE…    for each WHERE: copy FOLDER/base, publish there, die at WHERE
version_drill.py sweep FOLDER ACTION   the same at the 1st, 2nd … change of the disk, until one run ends
version_drill.py check FOLDER          look at every store in FOLDER, before any repair, then publish
version_drill.py race FOLDER           processes that all want to publish at once
"""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from index_store import fill, leftovers, publish, rows_of, seal

from vision_rec import failpoints
from vision_rec.errors import LockedError, UnavailableError, VisionRecError
from vision_rec.index.version import VersionStore

OLD, NEW, NEXT = 1, 2, 3  # seeds, by which products and rows are told apart
DONE, REFUSED = 0, 41
CHANGES = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate"}


def say(result: object) -> None:
    sys.stdout.write(json.dumps(result))


def new_version(root: Path) -> None:
    """What a reindex does: begin, write, publish, prune; unchanged files are linked."""
    store = VersionStore(root)
    with store.lock():
        building = store.begin("new")
        (building / ".chunks").mkdir(exist_ok=True)
        (building / ".chunks" / "0").write_text("kept for resuming")
        fill(building, seed=NEW)
        seal(store, building).close()
        store.prune(2)


def in_child(root: Path, prepare: Callable[[], None]) -> int:
    """Run `new_version` in a forked child; return its exit status, negative for a signal."""
    child = os.fork()
    if child == 0:
        status = 70
        try:
            prepare()
            new_version(root)
            status = DONE
        except VisionRecError:
            status = REFUSED
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def at_change(root: Path, turn: int, act: Callable[[], None]) -> Callable[[], None]:
    """Make `act` happen before the `turn`-th change of the disk under `root`."""
    left = [turn]

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR):
                return
        elif event not in CHANGES:
            return
        if not str(arguments[0]).startswith(str(root)):
            return
        left[0] -= 1
        if left[0] == 0:
            act()

    return lambda: sys.addaudithook(hook)


def fail_with(code: int) -> Callable[[], None]:
    def act() -> None:
        raise OSError(code, os.strerror(code))

    return act


def kill(folder: Path, places: list[str]) -> None:
    statuses = {}
    for number, place in enumerate(places):
        root = Path(shutil.copytree(folder / "base", folder / f"store-{number:03d}"))
        statuses[place] = in_child(root, lambda place=place: failpoints.arm(f"{place}=kill"))
    say(statuses)


def sweep(folder: Path, action: str) -> None:
    statuses: list[int] = []
    while not statuses or statuses[-1] != DONE:
        root = Path(shutil.copytree(folder / "base", folder / f"store-{len(statuses):03d}"))
        if action == "KILL":
            act = lambda: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
        else:
            act = fail_with(getattr(errno, action))
        statuses.append(in_child(root, at_change(root, len(statuses) + 1, act)))
    say(statuses)


def look(root: Path, base: str | None) -> dict[str, object]:
    """Open a store as it was left, then publish once more; say what was seen."""
    store = VersionStore(root)
    seen: dict[str, object] = {"before": leftovers(root)}
    try:
        with store.open() as version:
            seed = int(version.ids[0].split("-")[0])
            whole = (version.stored_rows() == rows_of(seed)).all() and version.report == {"seed": seed}
            seen |= {"seed": seed, "whole": bool(whole), "degraded": list(version.degraded)}
            seen["known"] = base is None or (version.id == base) == (seed == OLD)
    except UnavailableError:
        seen |= {"seed": 0}
    seen["bad"] = [str(bad) for name in store.ids() for bad in store.verify(name)]
    with publish(store, seed=NEXT, key="next") as after:
        seen["next"] = after.ids[0] == f"{NEXT}-00000" and store.current_id() == after.id
    seen["after"] = leftovers(root)
    return seen


def check(folder: Path) -> None:
    base = VersionStore(folder / "base").current_id()
    say([look(root, base) for root in sorted(folder.glob("store-*"))])


def race(folder: Path, rounds: int = 20, runners: int = 6) -> None:
    context = multiprocessing.get_context("fork")
    start, end, results = context.Barrier(runners), context.Barrier(runners), context.Queue()

    def run(number: int) -> None:
        for turn in range(rounds):
            start.wait(30)
            try:
                store = VersionStore(folder)
                with store.lock():
                    publish(store, seed=turn, key=f"r{number}").close()
                    end.wait(30)  # hold on until all others have tried
                results.put((turn, "published"))
            except LockedError as error:
                end.wait(30)
                results.put((turn, "locked" if "process " in str(error) else "locked, unnamed"))

    processes = [context.Process(target=run, args=(number,)) for number in range(runners)]
    for process in processes:
        process.start()
    say([results.get(timeout=60) for _ in range(rounds * runners)])
    for process in processes:
        process.join()


if __name__ == "__main__":
    verb, where, *rest = sys.argv[1:]
    {"kill": lambda: kill(Path(where), rest), "sweep": lambda: sweep(Path(where), rest[0])}.get(
        verb, lambda: {"check": check, "race": race}[verb](Path(where))
    )()
