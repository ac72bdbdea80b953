"""All commands under one name; the commands themselves import what they need when they run."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from vision_rec.cli import keys as key_commands
from vision_rec.cli import rules as rule_commands
from vision_rec.cli.audience import audience
from vision_rec.cli.common import Body, Common, Config, Data, Indexes, Quiet, Verbose, command
from vision_rec.cli.config import show
from vision_rec.cli.demo import demo
from vision_rec.cli.doctor import doctor
from vision_rec.cli.evaluate import evaluate
from vision_rec.cli.evaluate_sessions import evaluate_sessions
from vision_rec.cli.events import export_file, import_file
from vision_rec.cli.exits import EXIT_CODES, USAGE, say
from vision_rec.cli.export import export_onnx, export_similar
from vision_rec.cli.health import health
from vision_rec.cli.privacy import erase_user, export_user
from vision_rec.cli.reindex import reindex
from vision_rec.cli.search import search, similar
from vision_rec.cli.serve import serve
from vision_rec.cli.train import image
from vision_rec.cli.train_session import session
from vision_rec.cli.versions import activate, diff, list_versions, prune, verify

# typer 0.16 and newer brings click's classes under a name of its own; these are the same in all.
_ClickError: type[Exception] = next(
    kind for kind in reversed(typer.BadParameter.__mro__) if kind.__name__ == "ClickException"
)

app = typer.Typer(
    name="vision-rec",
    help="Similar products by colour, shape, style and words, each with its own weight.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: the coloured one costs the import of rich
)


def _version(wanted: bool) -> None:
    if wanted:
        from vision_rec import __version__

        typer.echo(f"vision-rec {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    indexes: Indexes = None,
    data: Data = None,
    config: Config = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Similar products by colour, shape, style and words, each with its own weight."""
    context.obj = Common(indexes, data, config, verbose, quiet)


versions = typer.Typer(help="Look at index versions and change between them.")
train = typer.Typer(help="Train encoders and session models.")
settings = typer.Typer(help="Show the settings.")
keys = typer.Typer(help="Make, list, rotate and revoke API keys.")
settings.callback()(lambda: None)  # else typer would make its one command the group itself

_OF_APP: dict[str, Body] = {
    "demo": demo,
    "reindex": reindex,
    "similar": similar,
    "search": search,
    "export-similar": export_similar,
    "export-onnx": export_onnx,
    "evaluate": evaluate,
    "evaluate-sessions": evaluate_sessions,
    "audience": audience,
    "serve": serve,
    "doctor": doctor,
    "health": health,
}
_OF_VERSIONS: dict[str, Body] = {
    "list": list_versions,
    "verify": verify,
    "diff": diff,
    "activate": activate,
    "prune": prune,
}
_OF_KEYS: dict[str, Body] = {
    "create": key_commands.create,
    "list": key_commands.list_all,
    "rotate": key_commands.rotate,
    "revoke": key_commands.revoke,
}
events = typer.Typer(help="Read what visitors did from files, and write it to them.")
privacy = typer.Typer(help="Give a user what is stored of them, and erase it.")
_OF_EVENTS: dict[str, Body] = {"import": import_file, "export": export_file}
_OF_PRIVACY: dict[str, Body] = {"export": export_user, "erase": erase_user}
rules = typer.Typer(help="Pin, hide, boost, bury and filter products: edit, publish, undo.")
_OF_RULES: dict[str, Body] = {
    "list": rule_commands.list_rules,
    "add": rule_commands.add,
    "remove": rule_commands.remove,
    "publish": rule_commands.publish,
    "diff": rule_commands.diff,
    "undo": rule_commands.undo,
    "history": rule_commands.history,
    "check": rule_commands.check,
}
for group, bodies in ((events, _OF_EVENTS), (privacy, _OF_PRIVACY), (rules, _OF_RULES)):
    for name, body in bodies.items():
        command(group, name)(body)
for name, body in _OF_APP.items():
    command(app, name)(body)
for name, body in _OF_VERSIONS.items():
    command(versions, name)(body)
for name, body in _OF_KEYS.items():
    command(keys, name)(body)
command(train, "image")(image)
command(train, "session")(session)
command(settings, "show")(show)
app.add_typer(versions, name="versions")
app.add_typer(train, name="train")
app.add_typer(settings, name="config")
app.add_typer(events, name="events")
app.add_typer(privacy, name="privacy")
app.add_typer(keys, name="keys")
app.add_typer(rules, name="rules")


def run(argv: Sequence[str] | None = None) -> int:
    """Parse `argv`, run its command and return the exit code; wrong usage is one line on stderr."""
    _prepare_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = app(args=arguments, prog_name="vision-rec", standalone_mode=False)
    except _ClickError as error:
        return _usage(error)
    return code if isinstance(code, int) else 0


def _prepare_streams() -> None:
    """Make stdout and stderr take any text: what their encoding cannot say is written as an escape."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller, as with >&-
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _usage(error: Exception) -> int:
    message = error.format_message()  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(f"{message}\n")
        return USAGE
    where = context.command_path if context is not None else "vision-rec"
    say(f"error: {message.rstrip('.')}; see `{where} --help`")
    return USAGE
