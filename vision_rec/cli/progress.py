"""A progress bar on stderr, where a person watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vision_rec.cli.common import Common
from vision_rec.cli.exits import say

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Hear = Callable[[str, int, "int | None"], None]


@contextmanager
def progress_bar(common: Common) -> Iterator[Hear]:
    """Give a function that hears (stage, done, total or None); it draws on a terminal only.

    Elsewhere -v gives one line per finished stage.
    """
    if common.quiet:
        yield lambda stage, done, total: None
    elif sys.stderr.isatty():
        with _drawn() as progress:
            yield _Stages(progress)
    else:
        yield _Lines() if common.verbose else lambda stage, done, total: None


class _Lines:
    """One line per stage that is finished."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        if done == total and stage not in self._said:
            self._said.add(stage)
            say(f"{stage}: {done}")


class _Stages:
    """One bar per stage."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total, rate="")
        task = self._progress.tasks[self._tasks[stage]]
        speed = task.finished_speed or task.speed
        self._progress.update(
            task.id, completed=done, total=total, rate=f"{speed:,.0f}/s" if speed else "", refresh=False
        )


def _drawn() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description:18}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:>9}"),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
    )
