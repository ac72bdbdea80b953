"""What a program in another language must know to call the exported encoder: `encoder.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vision_rec.encoders.image import SECOND, ImageEncoder

FORMAT = 1
KIND = "vision-rec image encoder"

_DECODE = {
    "orientation": "turn the picture as its EXIF orientation says",
    "colours": "sRGB, 8 bits per channel, red, green, blue; other colour profiles are converted to sRGB",
    "transparency": "lay the picture on white (255, 255, 255)",
    "frames": "of an animation, the first frame",
}
_SCALE = {
    "size": "ratio = side / max(height, width); height' = max(1, round(height * ratio)), width' likewise; in "
    "float64, ties to even; a picture of just that size is left as it is",
    "shrink": "where max(height, width) > side: separable triangle filter of support 1",
    "enlarge": "where max(height, width) < side: separable cubic filter with a = -0.5, of support 2",
    "weights": "scale = old / new; stretch = max(scale, 1), which antialiases; the centre of output i is "
    "(i + 0.5) * scale; taps j from int(centre - support * stretch + 0.5) until "
    "int(centre + support * stretch + 0.5), kept within the picture; the weight of a tap is "
    "filter((j - centre + 0.5) / stretch), divided by the sum of all weights of output i",
    "rounding": "rows first (width), then columns (height); after each pass values are rounded to the "
    "nearest whole number and kept within 0-255 (Pillow multiplies in fixed point with 22 bits)",
}
_PAD = {
    "margins": "top = (side - height') // 2, left = (side - width') // 2, the rest below and right",
    "colour": "each padding pixel is the nearest pixel of the picture (the border is repeated)",
}


def describe_encoder(encoder: ImageEncoder) -> dict[str, Any]:
    """Return what `encoder.json` says of inputs, outputs, preparation, pooling and score."""
    side = encoder.input_side
    return {
        "format": FORMAT,
        "kind": KIND,
        "fingerprint": encoder.fingerprint,
        "side": side,
        "inputs": [
            {
                "name": "pixels",
                "type": "uint8",
                "shape": ["batch", side, side, 3],
                "axes": ["picture", "row", "column", "channel"],
                "colour_order": "RGB",
                "range": [0, 255],
                "meaning": "pictures fitted to the square as `preparation` says; not normalised",
            },
            {
                "name": "size",
                "type": "int32",
                "shape": ["batch", 2],
                "axes": ["picture", "height' then width'"],
                "range": [1, side],
                "meaning": "size of the scaled picture inside its square, so that padding is no colour of it",
            },
        ],
        "outputs": [
            {
                "name": aspect.name,
                "type": "float32",
                "shape": ["batch", aspect.dim],
                "gain": aspect.gain,
                "default_weight": aspect.default_weight,
                "meaning": "centred, of norm 1 (or all zeros); gain and weight are not in it",
            }
            for aspect in encoder.aspects
        ],
        "preparation": {"decode": _DECODE, "scale": _SCALE, "pad": _PAD},
        "pooling": {
            "formula": "unit(block of the main picture + share * sum of the other pictures' blocks)",
            "share": f"{SECOND} / number of other pictures",
        },
        "score": {
            "formula": "sum over aspects of w[a] * dot(query[a], product[a])",
            "weights": "w[a] = weight[a] * gain[a] / sum of weight[b] * gain[b] over the aspects b "
            "that the query has",
            "row": "a product's row is its blocks side by side in the order of `outputs`, never scaled; "
            "all weights belong to the query",
        },
    }


def properties(encoder: ImageEncoder, written_by: str, licence: str) -> Mapping[str, str]:
    """Return the properties written into the ONNX file, for programs that read no JSON."""
    gains = {f"vision_rec.gain.{aspect.name}": repr(aspect.gain) for aspect in encoder.aspects}
    return {
        "vision_rec.format": str(FORMAT),
        "vision_rec.fingerprint": encoder.fingerprint,
        "vision_rec.writer": written_by,
        "vision_rec.licence": licence,
        "vision_rec.side": str(encoder.input_side),
        **gains,
    }
