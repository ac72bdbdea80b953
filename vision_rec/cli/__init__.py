"""The command line: `vision-rec COMMAND`; only this file is loaded before a command is known."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv` (the process's own arguments where None) and return its exit code."""
    from vision_rec.cli.exits import reported, stop_on_sigterm

    with stop_on_sigterm(), reported() as outcome:
        from vision_rec.cli.app import run

        outcome.code = run(argv)
    return outcome.code
