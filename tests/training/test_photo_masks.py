"""What of a customer's photo is the garment: the masks that the network's mask is trained on."""

import sys

import numpy as np
import pytest

from vision_rec.errors import UnavailableError
from vision_rec.sample.draw import iter_drawn
from vision_rec.training.photo_masks import photo_masks


def _boards(side):
    """Return floorboards (side, side, 3) with dark joints."""
    rng = np.random.default_rng(3)
    boards = np.broadcast_to(np.array([176.0, 132.0, 84.0]), (side, side, 3)).copy()
    boards[:, :: side // 8] = (70, 48, 30)
    return np.clip(boards + rng.normal(0, 8, boards.shape), 0, 255)


def test_a_garment_on_floorboards_is_told_from_them():
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    side, agreed = 112, []
    for picture, factors in iter_drawn(5, 8, side):
        true = factors.mask > 127
        if not 0.1 < true.mean() < 0.6:
            continue
        photo = np.where(true[..., None], picture, _boards(side)).astype(np.uint8)
        ground, garment = photo_masks(photo)
        assert not (ground & garment).any()
        agreed.append((garment[true].mean() + ground[~true].mean()) / 2)
    assert len(agreed) >= 4
    assert np.mean(agreed) > 0.75  # pixels along the cut are neither


def test_masks_do_not_change_from_run_to_run():
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    picture = next(iter(iter_drawn(5, 1, 112)))[0]
    first, second = photo_masks(picture), photo_masks(picture)
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def test_a_cut_that_takes_nearly_the_whole_photo_is_no_mask():
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    picture = np.full((112, 112, 3), 20, np.uint8)
    picture[4:-4, 4:-4] = (200, 40, 40)
    assert not any(mask.any() for mask in photo_masks(picture))


def test_without_opencv_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UnavailableError, match=r"vision-rec\[train\]"):
        photo_masks(np.zeros((112, 112, 3), np.uint8))
