"""The HTTP service: the contract under /v1, health, metrics and the merchandiser's page at /."""

from __future__ import annotations

from vision_rec.service.app import create_app

__all__ = ["create_app"]
