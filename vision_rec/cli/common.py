"""What every command has in common: where data lies, how much is said, how it ends."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vision_rec.cli.exits import reported

if TYPE_CHECKING:
    from vision_rec.recommend import Recommender
    from vision_rec.settings import Settings

Indexes = Annotated[
    Path | None, typer.Option("--indexes", metavar="DIR", help="Folder of the index versions [indexes].")
]
Data = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Folder of caches, reports and state [var].")
]
Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings file [vision-rec.toml, if any].")
]
Verbose = Annotated[
    int,
    typer.Option("-v", "--verbose", count=True, show_default=False, help="Say more; -vv with tracebacks."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON document to stdout.")]
_FIELDS: tuple[tuple[str, Any, Any], ...] = (
    ("indexes", Indexes, None),
    ("data", Data, None),
    ("config", Config, None),
    ("verbose", Verbose, 0),
    ("quiet", Quiet, False),
)
_log = logging.getLogger("vision_rec")


@dataclass(frozen=True, slots=True)
class Common:
    """The options that every command takes, before or after the command's name."""

    indexes: Path | None = None
    data: Path | None = None
    config: Path | None = None
    verbose: int = 0
    quiet: bool = False

    def over(self, before: Common) -> Common:
        """Return these options, and those of `before` (given ahead of the command) where unset."""
        return Common(
            indexes=self.indexes or before.indexes,
            data=self.data or before.data,
            config=self.config or before.config,
            verbose=max(self.verbose, before.verbose),
            quiet=self.quiet or before.quiet,
        )

    def settings(self, **sections: Mapping[str, Any]) -> Settings:
        """Read the settings; these options and `sections` win over environment and file."""
        from vision_rec.settings import Settings

        paths = {"indexes": self.indexes, "data": self.data, **sections.pop("paths", {})}
        return Settings.load(self.config, paths=paths, **sections)

    def recommender(self, *, rules: bool = True) -> Recommender:
        """Open the current version, with the published merchandising rules unless `rules` is False."""
        from vision_rec.recommend import Recommender

        settings = self.settings()
        return Recommender.open(settings.paths.indexes, settings=settings, rules=rules)


Body = Callable[..., "int | None"]  # its first parameter is `common`; it may return an exit code


def command(app: typer.Typer, name: str) -> Callable[[Body], Body]:
    """Make a function, whose first parameter is `common: Common`, the command `name` of `app`.

    The options of `Common` are added to its own, and what it raises is reported as every error of the
    command line is.
    """

    def register(function: Body) -> Body:
        app.command(name)(_with_common(function))
        return function

    return register


def _with_common(function: Body) -> Callable[..., None]:
    def run(context: typer.Context, **given: Any) -> None:
        own = Common(**{field: given.pop(field) for field, _, _ in _FIELDS})
        common = own.over(context.obj if isinstance(context.obj, Common) else Common())
        with reported(traces=common.verbose >= 2) as outcome, logs(common):
            outcome.code = function(common, **given) or 0
        if outcome.code:
            raise typer.Exit(outcome.code)

    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("context", kind, annotation=typer.Context),
        *list(inspect.signature(function, eval_str=True).parameters.values())[1:],
        *(inspect.Parameter(name, kind, default=default, annotation=form) for name, form, default in _FIELDS),
    ]
    run.__doc__ = function.__doc__
    run.__signature__ = inspect.Signature([entry.replace(kind=kind) for entry in parameters])  # type: ignore[attr-defined]
    run.__annotations__ = {entry.name: entry.annotation for entry in parameters}
    return run


@contextmanager
def logs(common: Common) -> Iterator[None]:
    """Send the package's log lines to stderr: warnings, with -v what is done, with -vv all."""
    levels = [logging.WARNING, logging.INFO, logging.DEBUG]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    before = _log.level
    _log.setLevel(logging.ERROR if common.quiet else levels[min(common.verbose, 2)])
    _log.addHandler(handler)
    try:
        yield
    finally:
        _log.removeHandler(handler)
        _log.setLevel(before)
