"""Export the image encoder for programs in other languages: graph, description, test vectors, proof."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vision_rec.errors import InputError, IntegrityError
from vision_rec.outfile import unfinished_folder
from vision_rec.types import Array, Blocks, Picture

if TYPE_CHECKING:
    from vision_rec.encoders.image import ImageEncoder

GRAPH, DESCRIPTION, VECTORS = "encoder.onnx", "encoder.json", "test-vectors.json"
FILES = {GRAPH, DESCRIPTION, VECTORS}
MOST_DIFFERENCE, LEAST_COSINE = 1e-4, 0.9999
_SEED = 20
# Height and width of what is cut out of drawn pictures: larger, smaller, narrow, wide, and as they come.
_CUTS = ((160, 160), (150, 97), (61, 160), (90, 67), (40, 52), (160, 9), (7, 160), (112, 48))
_VECTORS = slice(1, 4)  # these become test vectors: two that are shrunk, one that is enlarged

Run = Callable[..., tuple[Array, ...]]


@dataclass(frozen=True, slots=True)
class Parity:
    """How far the exported graph is from the torch network, over all pictures it was tried on."""

    max_difference: float
    least_cosine: float


@dataclass(frozen=True, slots=True)
class ExportedEncoder:
    """What an export wrote."""

    folder: Path
    fingerprint: str
    bytes: int
    parity: Mapping[str, Parity]


def export_onnx(encoder: str, folder: Path) -> ExportedEncoder:
    """Write the image encoder `encoder` ("bundled" or a folder) to `folder`, once it is proven right.

    The graph is run in onnxruntime on drawn pictures and compared with the torch network. Raises InputError
    for a folder that holds something else than an export, UnavailableError or IncompatibleError for a bad
    encoder, IntegrityError where the two differ; then nothing is written.
    """
    check_folder(folder)
    from vision_rec.encoders import bundled_folder
    from vision_rec.encoders.image import ImageEncoder

    source = bundled_folder() if encoder == "bundled" else Path(encoder)
    reference = ImageEncoder(source, kind="torch", device="cpu", threads=1)
    licence = (
        "Apache-2.0"
        if source.resolve() == bundled_folder().resolve()
        else "as you decide for your own weights, and as the data that they were trained on allow"
    )
    graph = _graph(reference, licence)
    pictures = check_pictures()
    expected = reference.encode_pictures(pictures)
    parity = _checked(_parity(expected, _answers(graph, pictures, reference.input_side)), reference)
    description = _description(reference, graph, parity, licence, len(pictures))
    vectors = _vectors(reference, pictures, expected)
    with unfinished_folder(folder) as new:
        (new / GRAPH).write_bytes(graph)
        (new / VECTORS).write_text(json.dumps(vectors) + "\n", "utf-8")
        (new / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", "utf-8")
    return ExportedEncoder(folder, reference.fingerprint, len(graph), parity)


def check_folder(folder: Path) -> None:
    """Raise InputError unless `folder` is absent, empty or a former export."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder to write")
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if names and not (names <= FILES and _is_export(folder / DESCRIPTION)):
        raise InputError(
            f"{folder} holds files that no export wrote; name a folder that is new, empty or a former export"
        )


def _is_export(file: Path) -> bool:
    from vision_rec.encoders.portable_description import KIND

    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("kind") == KIND


def check_pictures() -> list[Picture]:
    """Return the pictures an export is tried on: drawn ones of many sizes, plain ones, noise, one pixel."""
    from vision_rec.sample import iter_drawn

    drawn = [picture for picture, _ in iter_drawn(_SEED, len(_CUTS), 160)]
    cut = [_middle(picture, height, width) for picture, (height, width) in zip(drawn, _CUTS, strict=True)]
    noise = np.random.default_rng(_SEED).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    plain = [np.full((80, 60, 3), level, np.uint8) for level in (0, 255)]
    return [*cut, noise, *plain, np.full((1, 1, 3), 90, np.uint8)]


def _middle(picture: Picture, height: int, width: int) -> Picture:
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return np.ascontiguousarray(picture[top : top + height, left : left + width])


def _graph(encoder: ImageEncoder, licence: str) -> bytes:
    from vision_rec import __version__
    from vision_rec.encoders.onnx_file import finished
    from vision_rec.encoders.portable import portable_graph
    from vision_rec.encoders.portable_description import properties

    note = f"Image encoder of vision-rec; {DESCRIPTION} says how to call it."
    named = properties(encoder, f"vision-rec {__version__}", licence)
    return finished(portable_graph(encoder), named, note)


def _answers(graph: bytes, pictures: Sequence[Picture], side: int) -> list[Blocks]:
    """Return the blocks of the pictures as one batch, and of each picture alone, joined."""
    from vision_rec.encoders.portable import OUTPUTS
    from vision_rec.encoders.prepare import scaled_size, squares
    from vision_rec.encoders.runtime_onnx import open_graph

    run = open_graph(graph, 1)
    pixels = squares(pictures, side).pixels
    size = np.array([scaled_size(picture, side) for picture in pictures], dtype=np.int32)
    together = run(pixels, size)
    alone = [run(pixels[row : row + 1], size[row : row + 1]) for row in range(len(pictures))]
    joined = [np.concatenate(parts) for parts in zip(*alone, strict=True)]
    return [dict(zip(OUTPUTS, blocks, strict=True)) for blocks in (together, joined)]


def _parity(expected: Blocks, answers: Sequence[Blocks]) -> dict[str, Parity]:
    out = {}
    for name, block in expected.items():
        found = np.stack([answer[name] for answer in answers])
        cosines = np.einsum("and,nd->an", found, block)[:, block.any(axis=1)]
        out[name] = Parity(float(np.abs(found - block).max()), float(cosines.min(initial=1.0)))
    return out


def _checked(parity: dict[str, Parity], encoder: ImageEncoder) -> dict[str, Parity]:
    for name, found in parity.items():
        if not (found.max_difference <= MOST_DIFFERENCE and found.least_cosine > LEAST_COSINE):
            raise IntegrityError(
                f"the exported graph of {encoder.folder} differs from the network: block {name!r} by up to "
                f"{found.max_difference:.2g} (allowed {MOST_DIFFERENCE:g}), cosine {found.least_cosine:.6f} "
                f"(more than {LEAST_COSINE:g} is needed); nothing was written. "
                "Update torch, onnx and onnxruntime, and report it if that does not help"
            )
    return parity


def _description(
    encoder: ImageEncoder, graph: bytes, parity: Mapping[str, Parity], licence: str, pictures: int
) -> dict[str, Any]:
    from vision_rec import __version__
    from vision_rec.encoders.portable import OPSET
    from vision_rec.encoders.portable_description import describe_encoder

    return {
        **describe_encoder(encoder),
        "writer": f"vision-rec {__version__}",
        "licence": licence,
        "graph": {
            "file": GRAPH,
            "bytes": len(graph),
            "sha256": hashlib.sha256(graph).hexdigest(),
            "opset": OPSET,
            "precision": "weights stored as float16 where that is exact, computed in float32",
        },
        "parity": {
            "against": "the torch network in float32",
            "pictures": pictures,
            "allowed": {"max_difference": MOST_DIFFERENCE, "least_cosine": LEAST_COSINE},
            "found": {name: asdict(found) for name, found in parity.items()},
        },
        "test_vectors": VECTORS,
    }


def _vectors(encoder: ImageEncoder, pictures: Sequence[Picture], expected: Blocks) -> dict[str, Any]:
    """Return small pictures, what they are fitted to, and their blocks."""
    from vision_rec.encoders.prepare import fit_square, scaled_size

    side = encoder.input_side
    return {
        "fingerprint": encoder.fingerprint,
        "about": "pixels are base64 of rows of red, green, blue bytes; `fitted` is side x side",
        "side": side,
        "vectors": [
            {
                "height": picture.shape[0],
                "width": picture.shape[1],
                "pixels": _text(picture),
                "size": list(scaled_size(picture, side)),
                "fitted": _text(fit_square(picture, side)),
                "blocks": {name: [float(f"{v:.7g}") for v in block[row]] for name, block in expected.items()},
            }
            for row, picture in list(enumerate(pictures))[_VECTORS]
        ],
    }


def _text(pixels: Picture) -> str:
    return base64.b64encode(np.ascontiguousarray(pixels).tobytes()).decode("ascii")
