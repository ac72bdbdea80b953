"""The image encoder's figures on the pack `fashion`, from its real pictures through the product's own way.

    python benchmarks/aspects.py --packs DIR [--encoder DIR] [--teacher mobilenet.tflite] [--parts abcdefgh]

Parts: a what blocks know · b what they must not see · c photo → shop · d "like this but X" · e bad pictures
f bf16 · g speed and size · h a drawn shop. `--scratch DIR` keeps graphs, drawings, the baseline's features.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import aspects_parts as parts
import bench
from aspects_peer import open_peer
from aspects_speed import on_one_core

from vision_rec.encoders import bundled_folder
from vision_rec.encoders.image import WEIGHTS, ImageEncoder
from vision_rec.settings import thread_count

PARTS = {
    "a": ("What each block knows", parts.knowledge),
    "b": ("What a block must not see", parts.invariance),
    "c": ("Photo → shop", parts.photo_to_shop),
    "d": ("Like this, but X", parts.like_this_but_x),
    "e": ("Bad pictures", parts.robustness),
    "f": ("Half precision", parts.half_precision),
    "g": ("Speed and size, one core", None),
    "h": ("A shop of another kind", parts.other_shop),
}


def speed(encoder: ImageEncoder, scratch: Path) -> list[parts.Line]:
    """Part g: pictures/s, milliseconds and megabytes."""
    found = on_one_core(encoder.folder, scratch)
    size = (encoder.folder / WEIGHTS).stat().st_size / 1e6
    runtime = found["runtime"]
    rate, peer = f"{found['batch_per_s']:.0f}/s", f"{found['resnet_per_s']:.1f}/s"
    ratio = f"{found['ratio']:.0f} ×"
    return [
        parts.Line("all", f"{runtime}, batch 16, three heads and palette", rate, peer, "≥ 200/s"),
        parts.Line("all", "ratio to torch float32 ResNet-50, same run", ratio, "1 ×", "≥ 30 ×"),
        parts.Line("all", "one picture", f"{found['one_ms']:.1f} ms", "–", "≤ 8 ms"),
        parts.Line("all", "weights", f"{size:.1f} MB", "–", "≤ 12 MB"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--packs", type=Path, required=True, help="folder of the packs fashion and clothing")
    parser.add_argument("--encoder", type=Path, default=bundled_folder(), help="encoder folder [bundled]")
    parser.add_argument("--teacher", type=Path, help="MobileNetV2 as TensorFlow Lite, for the baselines")
    parser.add_argument("--parts", default="".join(PARTS), help="which parts, as letters")
    parser.add_argument("--scratch", type=Path, help="folder that keeps what later runs need again")
    given = parser.parse_args()
    unknown = set(given.parts) - set(PARTS)
    if unknown:
        parser.error(f"--parts names {''.join(sorted(unknown))}; there are {''.join(PARTS)}")
    if set(given.parts) & set("abcdef") and not (given.packs / "fashion" / "products.csv").is_file():
        parser.error(f"--packs {given.packs} has no fashion/products.csv")
    with tempfile.TemporaryDirectory() as name:
        scratch = given.scratch or Path(name)
        scratch.mkdir(parents=True, exist_ok=True)
        peer = open_peer(given.teacher, thread_count(0)) if set(given.parts) & set("acdh") else None
        encoder = ImageEncoder(given.encoder, cache=scratch)
        shared = parts.Bench(encoder, given.packs, scratch, peer)
        text = f"Encoder {encoder.fingerprint}, {encoder.runtime}.\n"
        for letter in given.parts:
            title, part = PARTS[letter]
            started = time.monotonic()
            lines = part(shared) if part else speed(encoder, scratch)
            rows = [
                [one.block, one.measure, one.ours, one.baseline, one.goal, one.queries or ""] for one in lines
            ]
            found = bench.table(title, ["block", "measure", "ours", "baseline", "goal", "queries"], rows)
            print(f"part {letter}, {time.monotonic() - started:.0f} s\n\n{found}", flush=True)
            text += f"\n{found}"
    whole = set(given.parts) == set(PARTS)
    bench.record("aspects" if whole else f"aspects-{given.parts}", text)


if __name__ == "__main__":
    main()
