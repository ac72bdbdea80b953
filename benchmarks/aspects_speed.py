"""How fast the encoder is on one core, beside torchvision's ResNet-50 in float32, in its own process.

    python benchmarks/aspects_speed.py ENCODER_FOLDER CACHE_FOLDER

writes one JSON line. Both networks are timed in turns, so that a busy machine slows both.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

BATCH, ROUNDS, SINGLES = 16, 9, 100
AGAIN = 10  # batches of ours for one of the slower network


def clock(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measure(encoder_folder: Path, cache: Path) -> dict[str, object]:
    """Return pictures/s at a batch of 16 and the milliseconds of one, on this process's core."""
    import numpy as np
    import torch
    import torchvision

    from vision_rec.encoders.image import ImageEncoder
    from vision_rec.sample.draw import iter_drawn

    torch.set_num_threads(1)
    encoder = ImageEncoder(encoder_folder, threads=1, batch_size=BATCH, cache=cache)
    side = encoder.input_side
    pictures = [np.asarray(picture) for picture, _ in iter_drawn(1, BATCH, side)]
    resnet = torchvision.models.resnet50(weights=None).eval()
    inputs = torch.rand(BATCH, 3, 224, 224)
    encoder.encode_pictures(pictures)
    encoder.encode_pictures(pictures[:1])
    ours, theirs, singles = [], [], []
    with torch.inference_mode():
        resnet(inputs)
        for _ in range(ROUNDS):
            theirs.append(BATCH / clock(lambda: resnet(inputs)))
            ours.append(
                BATCH * AGAIN / clock(lambda: [encoder.encode_pictures(pictures) for _ in range(AGAIN)])
            )
        for _ in range(SINGLES):
            singles.append(clock(lambda: encoder.encode_pictures(pictures[:1])) * 1e3)
    ratios = [fast / slow for fast, slow in zip(ours, theirs, strict=True)]
    return {
        "runtime": encoder.runtime,
        "batch_per_s": statistics.median(ours),
        "one_ms": statistics.median(singles),
        "resnet_per_s": statistics.median(theirs),
        "ratio": statistics.median(ratios),
    }


def on_one_core(encoder_folder: Path, cache: Path) -> dict[str, float | str]:
    """Run the measure in a fresh process that is bound to one core."""
    core = sorted(os.sched_getaffinity(0))[-1]
    command = [sys.executable, __file__, str(encoder_folder), str(cache)]
    done = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), Path(sys.argv[2]))))
