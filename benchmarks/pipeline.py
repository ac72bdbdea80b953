"""Decode + CNN: ours against the tutorial everybody starts from, interleaved in one run on the same cores.

The tutorial: torchvision's ResNet-50 in float32, Pillow, one picture at a time. Weights are random: they do
not change the time. "ResNet-50 on both sides" puts the same network behind our decoding and runtime.

Floor: ours needs about 0.36 GMAC a picture at 112 px; at the 300–450 GFLOP/s that one core with matrix units
sustains in bf16 that is 400–600 pictures/s and core, so decoding and resizing (about 1 ms) weigh as much.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import bench
import numpy as np
import torch
import torchvision
from PIL import Image

from vision_rec.encoders import bundled_folder
from vision_rec.encoders.image import ImageEncoder
from vision_rec.encoders.runtime import load_runtime
from vision_rec.feeds import read_feed
from vision_rec.images import DecodePool
from vision_rec.settings import ImageSettings, thread_count


class Resnet50(torch.nn.Module):
    """ResNet-50 features from uint8 pictures (n, H, W, 3)."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.network(pixels.permute(0, 3, 1, 2).float() / 255.0)


def tutorial(network: torch.nn.Module, files: list[Path]) -> float:
    """Return the tutorial's pictures/s."""
    prepare = torchvision.transforms.Compose(
        [
            torchvision.transforms.Resize(256),
            torchvision.transforms.CenterCrop(224),
            torchvision.transforms.ToTensor(),
            torchvision.transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    started = time.perf_counter()
    with torch.no_grad():
        for file in files:
            network(prepare(Image.open(file).convert("RGB"))[None])
    return len(files) / (time.perf_counter() - started)


def ours(encoder: ImageEncoder, pool: DecodePool, files: list[Path]) -> float:
    """Return our pictures/s: decode processes and network side by side, batches of 32."""
    started = time.perf_counter()
    batch: list[np.ndarray] = []
    for picture in pool.decode(files, max_side=encoder.input_side):
        batch.append(picture)
        if len(batch) == 32:
            encoder.encode_pictures(batch)
            batch = []
    if batch:
        encoder.encode_pictures(batch)
    return len(files) / (time.perf_counter() - started)


def same_network(network: object, pool: DecodePool, files: list[Path]) -> float:
    """Return pictures/s of our decoding and runtime with ResNet-50 behind them."""
    started = time.perf_counter()
    batch: list[np.ndarray] = []
    for picture in pool.decode(files, max_side=224):
        batch.append(np.asarray(Image.fromarray(picture).resize((224, 224), Image.Resampling.BILINEAR)))
        if len(batch) == 16:
            network(np.stack(batch))
            batch = []
    if batch:
        network(np.stack(batch))
    return len(files) / (time.perf_counter() - started)


def main(rounds: int = 3) -> None:
    torch.set_num_threads(thread_count(0))
    with tempfile.TemporaryDirectory() as folder, DecodePool(0, ImageSettings()) as pool:
        scratch = Path(folder)
        source = bench.catalogue(scratch)
        refs = [product.image_refs[0] for product in read_feed(source.feed) if product.image_refs]
        files = [source.images / ref for ref in refs if (source.images / ref).is_file()]
        resnet = torchvision.models.resnet50(weights=None).eval()
        resnet.fc = torch.nn.Identity()
        example = (np.zeros((2, 224, 224, 3), np.uint8),)
        fast = load_runtime(lambda: Resnet50(resnet).eval(), example, key="bench-resnet50", cache=scratch)
        encoder = ImageEncoder(bundled_folder(), cache=scratch)
        ours(encoder, pool, files[:64])
        same_network(fast, pool, files[:16])
        tutorial(resnet, files[:3])
        speeds: dict[str, list[float]] = {"tutorial": [], "ours": [], "ours with ResNet-50": []}
        for number in range(rounds):
            start = number * 600 % max(len(files) - 1200, 1)
            speeds["tutorial"].append(tutorial(resnet, files[start : start + 60]))
            speeds["ours"].append(ours(encoder, pool, files[start : start + 1200]))
            speeds["ours with ResNet-50"].append(same_network(fast, pool, files[start : start + 300]))
        singles = [
            bench.clock(lambda: encoder.encode_pictures([np.zeros((112, 112, 3), np.uint8)]))
            for _ in range(50)
        ]
    rows = []
    for name, values in speeds.items():
        ratios = sorted(value / base for value, base in zip(values, speeds["tutorial"], strict=True))
        rows.append([name, f"{sorted(values)[len(values) // 2]:.1f}", f"{ratios[len(ratios) // 2]:.1f} ×"])
    rows.append(["one picture through our network", f"{bench.percentile(singles, 0.5) * 1e3:.1f} ms", ""])
    text = bench.table(
        f"Decode + CNN on {source.name}, runtime {encoder.runtime}, medians of {rounds} interleaved rounds",
        ["what", "pictures/s", "ratio to the tutorial, same round"],
        rows,
    )
    bench.record("pipeline", text)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
