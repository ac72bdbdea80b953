"""Serves the small shop below a folder, as its own process: `python service_host.py FOLDER [--slow S]`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from service_shop import MathEncoders, settings_for

from vision_rec.recommend import Recommender
from vision_rec.service.run import serve


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--slow", type=float, default=0.0, help="seconds that a search by words takes longer")
    given = parser.parse_args()
    settings = settings_for(given.folder, port=given.port, workers=given.workers, poll_seconds=0.1)
    roomy = {"max_disk_share": 1.0, "min_free_bytes": 0}  # however full the disk of the machine is
    settings = settings.model_copy(update={"events": settings.events.model_copy(update=roomy)})
    if given.workers > 1:
        serve(settings)
        return
    recommender = Recommender.open(settings.paths.indexes, settings=settings, encoders=MathEncoders())
    answer = recommender.answer

    def slow_answer(query):
        time.sleep(given.slow if query.text else 0.0)
        return answer(query)

    recommender.answer = slow_answer
    serve(settings, recommender)


if __name__ == "__main__":
    main()
