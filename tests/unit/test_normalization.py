"""`--normalization`: what is done to the pixels that the landmark model sees."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from workers.landmarks.normalization import normalizer


def ramp() -> np.ndarray:
    """64 × 64: blue 100 to 163 to the right, green 7 throughout, red 0 to 126 downwards."""
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image[..., 0] = 100 + np.arange(64)
    image[..., 1] = 7
    image[..., 2] = 2 * np.arange(64)[:, None]
    return image


def test_none_does_nothing() -> None:
    assert normalizer("none") is None


def test_mean_stretches_each_channel_and_leaves_a_flat_one() -> None:
    stretch = normalizer("mean")
    assert stretch is not None
    image = ramp()
    stretched = stretch(image)
    assert stretched[0, :, 0].tolist() == [round(255 * k / 63) for k in range(64)]
    assert (stretched[..., 1] == 7).all()
    assert (stretched[0, 0, 2], stretched[-1, 0, 2]) == (0, 255)
    assert (image == ramp()).all()


def test_hist_equalises_each_channel_as_pillow_does() -> None:
    equalise = normalizer("hist")
    assert equalise is not None
    image = np.random.default_rng(3).normal(90, 20, (64, 64, 3)).clip(0, 255).astype(np.uint8)
    ours = equalise(image).astype(int)
    theirs = np.stack(
        [np.asarray(ImageOps.equalize(Image.fromarray(image[..., channel]))) for channel in range(3)], axis=-1
    )
    # Both spread the ranks over 0 to 255; they round differently.
    assert np.abs(ours - theirs).max() <= 6
    assert equalise(np.full((8, 8, 3), 9, dtype=np.uint8)).shape == (8, 8, 3)


def test_clahe_raises_the_contrast_of_each_part_and_of_each_channel() -> None:
    clahe = normalizer("clahe")
    assert clahe is not None
    noise = np.random.default_rng(5).integers(0, 9, (64, 64, 3)).astype(np.uint8)
    image = noise + 20
    image[:, 32:] += 180  # a dark and a bright half, both flat
    raised = clahe(image).astype(float)
    for half in (np.s_[:, 4:28], np.s_[:, 36:60]):
        assert (raised[half].std(axis=(0, 1)) > 1.5 * image[half].astype(float).std(axis=(0, 1))).all()
    grey = np.repeat(image[..., :1], 3, axis=2)
    together = clahe(grey)
    assert (together == together[..., :1]).all()


@pytest.mark.parametrize("name", ["mean", "hist", "clahe"])
def test_shape_and_type_stay(name: str) -> None:
    normalize = normalizer(name)  # type: ignore[arg-type]
    assert normalize is not None
    answer = normalize(ramp())
    assert (answer.shape, answer.dtype) == ((64, 64, 3), np.uint8)
