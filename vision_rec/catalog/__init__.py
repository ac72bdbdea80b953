"""The catalogue of one version: what products are, beside the rows of what they look like."""

from __future__ import annotations

from vision_rec.catalog.postings import MAX_FACET_VALUES
from vision_rec.catalog.table import CatalogTable
from vision_rec.catalog.writer import PRODUCT_COLUMNS, CatalogWriter

__all__ = ["MAX_FACET_VALUES", "PRODUCT_COLUMNS", "CatalogTable", "CatalogWriter"]
