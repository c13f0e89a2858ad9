"""Binder et al., second question: scores of random maps by the covariance of their pixels.

A map of blurred noise is new for every network and every image. So the map before and the map after randomisation are
independent, whatever the width of the blur: the mean of their rank correlation is 0. The width only decides how many pixels
are independent within a map, and thus how far the correlation of a single image strays from 0.
"""

import math
from typing import Any

import numpy as np
import quantus
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from benchmarks.reproduction.setup import Setup
from benchmarks.reproduction.values import rounded, sample_values
from quantus_senc import compare
from quantus_senc.comparison.quantus_corrections import rank_similarity, scaled
from quantus_senc.comparison.quantus_per_image import PerImage

SHARES = (0.0, 1 / 56, 1 / 28, 1 / 14, 1 / 9, 1 / 6, 1 / 4, 1 / 3)  # of the image's side


def noise_curve(setup: Setup, data: str, *, n_images: int, n_masks: int, **segmentation: Any) -> dict[str, Any]:
    """MPRT and SenC of blurred noise, by the blur's standard deviation in pixels."""
    model = setup.network(data).model
    x, y = setup.test_images(data, n_images, model)
    widths = [round(share * x.shape[-1], 2) for share in SHARES]
    comparison = compare(
        model,
        x,
        y,
        methods={f"{width:g}": {"method": "blurred noise", "width": width, "seed": 1} for width in widths},
        metrics={
            "MPRT": _mprt(rank_similarity, scaled, setup.seed),
            "MPRT by SSIM": _mprt(image_ssim, scaled, setup.seed),
            "MPRT by SSIM, full contrast": _mprt(image_ssim, contrasted, setup.seed),
            "SenC (regression)": "SenC (regression)",
            "SenC": "SenC",
        },
        n_masks=n_masks,
        seed=setup.seed,
        segment_func_kwargs=segmentation,
        folder=setup.folder("critique", f"{data}-noise"),
    )
    scores = comparison.scores.set_index(["metric", "method"])["score"]
    curves: dict[str, Any] = {
        metric: {method: sample_values(scores[metric, method].to_numpy()) for method in comparison.table().columns}
        for metric in comparison.table().index
    }
    deviations = {method: scores["MPRT", method].std() for method in curves["MPRT"]}
    expected = {f"{width:g}": expected_deviation(x.shape[-1], width) for width in widths}
    for row, by_width in (("deviation of an image's MPRT", deviations), ("expected deviation", expected)):
        curves[row] = {method: {"mean": rounded(value)} for method, value in by_width.items()}
    return {"width in pixels": curves}


def _mprt(similarity: Any, normalise: Any, seed: int) -> PerImage:
    """MPRT with the network whose weights are all random."""
    metric = quantus.MPRT(
        similarity, return_last_correlation=True, skip_layers=True, normalise_func=normalise, disable_warnings=True
    )
    return PerImage(metric, seed=seed)


def image_ssim(a: np.ndarray, b: np.ndarray, batched: bool = True, **kwargs: Any) -> np.ndarray:
    """Structural similarity of each pair of square maps (B, v) with values in [0, 1].

    That of Quantus takes maps of a batch for series, whose windows run over the ends of rows.
    """
    side = math.isqrt(a.shape[1])
    pairs = zip(a.reshape(-1, side, side), b.reshape(-1, side, side), strict=True)
    return np.array([structural_similarity(first, second, data_range=1.0) for first, second in pairs])


def contrasted(a: np.ndarray) -> np.ndarray:
    """Maps (B, ...) stretched to [0, 1]: the smallest value of each becomes 0, the largest 1."""
    axes = tuple(range(1, a.ndim))
    low, high = a.min(axes, keepdims=True), a.max(axes, keepdims=True)
    return (a - low) / np.where(high > low, high - low, 1)


def expected_deviation(side: int, width: float) -> float:
    """Standard deviation of the correlation of two independent maps of blurred noise.

    In the frequencies of a periodic map, of which the constant one is left out, the noise is independent, and the blur
    multiplies its power by a factor p. So the deviation is sqrt(sum p²) / sum p: 1 / sqrt(pixels - 1) without a blur.

    Parameters
    ----------
    side
        Of the map, in pixels.
    width
        Standard deviation of the blur, in pixels.
    """
    impulse = np.zeros((side, side))
    impulse[0, 0] = 1
    power = np.abs(np.fft.fft2(gaussian_filter(impulse, width, mode="wrap"))).ravel()[1:] ** 2
    return float(np.sqrt(np.square(power).sum()) / power.sum())
