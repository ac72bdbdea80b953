"""The one outbound HTTP client: a feed's picture URL → a file in the cache, with every address checked."""

from __future__ import annotations

from vision_rec.fetch.addresses import check_url, is_public
from vision_rec.fetch.client import FetchPolicy
from vision_rec.fetch.fetcher import Fetcher

__all__ = ["FetchPolicy", "Fetcher", "check_url", "is_public"]
