"""Health of a catalogue: what a version's vectors say is wrong with its products, and what reindex said."""

from vision_rec.health.desk import HealthDesk, Status
from vision_rec.health.facts import PICTURE_ASPECTS
from vision_rec.health.model import KINDS, Finding, HealthReport, Row, Thresholds
from vision_rec.health.neighbours import neighbours
from vision_rec.health.reports import RunReports, lacking, run_reports
from vision_rec.health.run import check_health

__all__ = [
    "KINDS",
    "PICTURE_ASPECTS",
    "Finding",
    "HealthDesk",
    "HealthReport",
    "Row",
    "RunReports",
    "Status",
    "Thresholds",
    "check_health",
    "lacking",
    "neighbours",
    "run_reports",
]
