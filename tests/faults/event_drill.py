"""Writes events until it is killed: `python event_drill.py DATA SEED [URL]`.

Each line on stdout names events that were acknowledged. Ids are counted per thread, so that whoever killed
it knows what may be there.
"""

from __future__ import annotations

import random
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from event_calls import settings_for, view

from vision_rec.events import EventLog

THREADS = 4


def main() -> None:
    data, seed = Path(sys.argv[1]), sys.argv[2]
    redis = {"store": "redis", "url": sys.argv[3]} if len(sys.argv) > 3 else {}
    log = EventLog(settings_for(data, **redis))
    say = threading.Lock()

    def write(thread: int) -> None:
        rng, number = random.Random(f"{seed}-{thread}"), 0
        while True:
            count = rng.choice([1, 1, 2, 7, 40])
            names = [f"{seed}-{thread}-{number + i}" for i in range(count)]
            number += count
            user = {"user_id": f"user-{thread}"} if rng.random() < 0.5 else {}
            log.record(
                [
                    view(f"p{i}", event_id=name, session_id=f"s-{thread}", **user)
                    for i, name in enumerate(names)
                ]
            )
            with say:
                sys.stdout.write(" ".join(names) + "\n")
                sys.stdout.flush()

    threads = [threading.Thread(target=write, args=(i,), daemon=True) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
