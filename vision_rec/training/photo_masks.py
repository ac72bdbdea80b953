"""Which pixels of a customer's photo are the garment: GrabCut, begun from where garments lie."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vision_rec.errors import UnavailableError

# Distance from the middle, 1 at the border: photos show the garment whole, with ground all round it.
_GROUND, _LIKELY_GROUND, _GARMENT = 0.93, 0.8, 0.25
_ROUNDS = 5
_LEAST, _MOST = 0.04, 0.85  # share of a picture that a garment may have; other cuts have failed
_DOUBT = 2  # pixels on both sides of the cut that are neither

Masks = tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]


def photo_masks(picture: npt.NDArray[np.uint8]) -> Masks:
    """Return which pixels (H, W) of a photo (H, W, 3) are ground, and which are the garment.

    GrabCut (Rother, Kolmogorov and Blake, 2004), as OpenCV has it. Pixels near the cut are neither; where it
    fails, all are. Raises UnavailableError without OpenCV.
    """
    try:
        import cv2
    except ImportError as error:
        raise UnavailableError('masks of photos need OpenCV: pip install "vision-rec[train]"') from error
    height, width = picture.shape[:2]
    down, across = np.mgrid[:height, :width]
    out = 2 * np.maximum(np.abs(down / (height - 1) - 0.5), np.abs(across / (width - 1) - 0.5))
    cut = np.full((height, width), cv2.GC_PR_FGD, np.uint8)
    cut[out > _LIKELY_GROUND] = cv2.GC_PR_BGD
    cut[out > _GROUND] = cv2.GC_BGD
    cut[out < _GARMENT] = cv2.GC_FGD
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(np.ascontiguousarray(picture[..., ::-1]), cut, None, *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    garment = (cut == cv2.GC_FGD) | (cut == cv2.GC_PR_FGD)
    if not _LEAST <= garment.mean() <= _MOST:
        return np.zeros_like(garment), np.zeros_like(garment)
    return _shrunk(~garment), _shrunk(garment)


def _shrunk(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    from scipy import ndimage

    eroded: npt.NDArray[np.bool_] = ndimage.binary_erosion(mask, iterations=_DOUBT, border_value=1)
    return eroded
