"""Named places where a test may kill the process or make the disk fail; inert in production.

`VISION_REC_FAILPOINTS="publish.before-rename=kill;publish.file-synced@2=raise:ENOSPC"` arms two of them:
`@2` acts at the second pass only. Actions: `kill`, `raise:ENOSPC`, `raise:EIO`, `sleep:SECONDS`.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from dataclasses import dataclass

from vision_rec.errors import InputError

VARIABLE = "VISION_REC_FAILPOINTS"


@dataclass(slots=True)
class _Rule:
    action: str
    passes_left: int  # 0 = act at every pass


def failpoint(name: str) -> None:
    """Do what the environment asks for at `name`: nothing, unless a test armed it."""
    if _rules:
        _act(name)


def arm(text: str) -> None:
    """Replace the armed failpoints with those of `text` (the form of the environment variable)."""
    _rules.clear()
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        place, _, action = entry.partition("=")
        name, _, turn = place.partition("@")
        verb, _, argument = action.partition(":")
        if verb not in ("kill", "raise", "sleep") or (verb == "raise" and not hasattr(errno, argument)):
            raise InputError(
                f"{VARIABLE} has {entry!r}; allowed is name[@pass]=kill, raise:ERRNO or sleep:SECONDS"
            )
        _rules[name] = _Rule(action, int(turn or 0))


def _act(name: str) -> None:
    rule = _rules.get(name)
    if rule is None:
        return
    if rule.passes_left:
        rule.passes_left -= 1
        if rule.passes_left:
            return
        del _rules[name]
    verb, _, argument = rule.action.partition(":")
    if verb == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif verb == "raise":
        code = getattr(errno, argument)
        raise OSError(code, os.strerror(code), name)
    else:
        time.sleep(float(argument or 1))


_rules: dict[str, _Rule] = {}
arm(os.environ.get(VARIABLE, ""))
