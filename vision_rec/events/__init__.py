"""Record what visitors do, read it from files, give it back, and forget it."""

from __future__ import annotations

from vision_rec.events.log import EventLog, Receipt, Rejected

__all__ = ["EventLog", "Receipt", "Rejected"]
