"""`doctor`: look at everything the package stands on, and say what is wrong and how to cure it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from vision_rec.diagnose import events, machine, sessions, shop
from vision_rec.diagnose.finding import Finding
from vision_rec.settings import Settings

__all__ = ["Finding", "diagnose", "exit_code"]


def diagnose(settings: Settings, config: Path | None = None) -> tuple[Finding, ...]:
    """Check everything; `config` is the settings file that was named, if any."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        machine.python,
        machine.libraries,
        machine.faiss_found,
        machine.processor,
        lambda: machine.gpu(settings),
        machine.picture_formats,
        lambda: shop.encoders_load(settings),
        lambda: shop.versions(settings),
        lambda: shop.rules(settings),
        lambda: shop.lock(settings),
        lambda: shop.disk(settings),
        lambda: shop.memory(settings),
        lambda: events.store(settings),
        lambda: sessions.pair(settings),
        lambda: sessions.audience(settings),
        lambda: shop.keys(settings),
        lambda: shop.port(settings),
        lambda: shop.sources(config),
    )
    return tuple(finding for check in checks for finding in check())


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 5 where stored files are damaged, 8 where something else fails, else 0."""
    failed = [finding for finding in findings if finding.status == "fail"]
    return 5 if any(finding.damage for finding in failed) else 8 if failed else 0
