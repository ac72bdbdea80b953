"""What a merchandiser does: edit rules, see what they would change, publish, take back."""

from __future__ import annotations

from vision_rec.merchandise.check import check_rules
from vision_rec.merchandise.desk import Change, RuleDesk
from vision_rec.merchandise.preview import PREVIEWED, Preview, Sample, plan_preview, preview, sample_queries
from vision_rec.rules import sentence as says

__all__ = [
    "PREVIEWED",
    "Change",
    "Preview",
    "RuleDesk",
    "Sample",
    "check_rules",
    "plan_preview",
    "preview",
    "sample_queries",
    "says",
]
