"""Merchandising rules: what they are, which act on a list, and where they are kept."""

from __future__ import annotations

from vision_rec.rules.audit import Entry
from vision_rec.rules.book import NO_RULES, Clock, RuleBook, View
from vision_rec.rules.hits import RuleHits
from vision_rec.rules.model import EFFECTS, SCOPES, Rule, Scope, iso, sentence, to_json, utc_now
from vision_rec.rules.parse import FIELDS, read_time, rule_from_json
from vision_rec.rules.saved import Draft, Version, same_rules
from vision_rec.rules.store import RuleStore

__all__ = [
    "EFFECTS",
    "FIELDS",
    "NO_RULES",
    "SCOPES",
    "Clock",
    "Draft",
    "Entry",
    "Rule",
    "RuleBook",
    "RuleHits",
    "RuleStore",
    "Scope",
    "Version",
    "View",
    "iso",
    "read_time",
    "rule_from_json",
    "same_rules",
    "sentence",
    "to_json",
    "utc_now",
]
