"""Binder et al., first and fourth question: ranks of explanation methods and of uninformative maps, and how metrics agree."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import quantus

from benchmarks.reproduction.methods import PAPER_METHODS
from benchmarks.reproduction.setup import Setup
from benchmarks.reproduction.values import comparison_values, rounded
from quantus_senc import Comparison, ParameterSensitivityConsistency, compare
from quantus_senc.comparison.quantus_corrections import rank_similarity, scaled
from quantus_senc.comparison.quantus_per_image import PerImage

WIDTHS = (1.0, 2.0, 4.0, 6.0, 9.0)  # standard deviations of the blur, in pixels
CONTROLS: dict[str, Any] = {
    "random": "random",
    "fixed random": "fixed random",
    **{f"blurred noise {width:g}": {"method": "blurred noise", "width": width} for width in WIDTHS},
    "Sobel": "Sobel",
    "blob": "blob",
}
SMOKE_MAPS = ("VB", "blob")
BY_NAME = ("Smooth MPRT", "Efficient MPRT", "Random Logit", "Faithfulness Correlation", "Pixel Flipping")
TOLERANCE = 0.2  # of Parameter SenC: an image whose score has no larger standard error gets no more masks


class CascadeMPRT(quantus.MPRT):
    """Quantus's MPRT with the mean over the networks of the cascade.

    The last network of both cascades is the same one, with all weights random, so that their last correlations are equal.
    Quantus's mean has the correlation 1 of the original network in it.
    """

    def recompute_average_correlation_per_sample(self) -> list[float]:
        """The mean of each image, over all networks but the original one."""
        layers = [scores for name, scores in self.evaluation_scores.items() if name != "original"]
        return np.mean(layers, axis=0).tolist()


def cascade_mprt(layer_order: str, seed: int, similarity: Callable[..., np.ndarray] = rank_similarity) -> PerImage:
    """MPRT over a cascade, "top_down" or "bottom_up": the mean similarity of the magnitudes of a map before and after."""
    metric = CascadeMPRT(
        similarity,
        layer_order,
        return_average_correlation=True,
        normalise_func=scaled,
        disable_warnings=True,
    )
    return PerImage(metric, seed=seed)


def similarity_without_zeros(a: np.ndarray, b: np.ndarray, batched: bool = True, **kwargs: Any) -> np.ndarray:
    """Spearman's rho of each pair of rows (B, v), over the values that are not 0 in both.

    A method that multiplies by the input is 0 wherever the image is black, whatever the weights are.
    """
    kept = ((first[keep], second[keep]) for first, second, keep in zip(a, b, (a != 0) | (b != 0), strict=True))
    return np.array([rank_similarity(first, second) if len(first) > 2 else np.nan for first, second in kept])


def scored_maps(setup: Setup, data: str, *, n_images: int, n_masks: int, n_layer_masks: int, **segmentation: Any) -> Comparison:
    """The paper's six methods and the controls, by all metrics; a few of them to see that it runs.

    The masks of Parameter SenC are those of the first convolution, as many as an image needs, but no more than `n_layer_masks`.
    """
    maps = PAPER_METHODS | CONTROLS
    methods = {name: maps[name] for name in SMOKE_MAPS} if setup.scale == "smoke" else maps
    model = setup.network(data).model
    x, y = setup.test_images(data, n_images, model)
    return compare(
        model,
        x,
        y,
        methods=methods,
        metrics={
            "MPRT top-down": cascade_mprt("top_down", setup.seed),
            "MPRT bottom-up": cascade_mprt("bottom_up", setup.seed),
            "MPRT without zeros": cascade_mprt("top_down", setup.seed, similarity_without_zeros),
            **{name: name for name in (*BY_NAME, "SenC (regression)", "SenC")},
            "Parameter SenC": ParameterSensitivityConsistency(
                estimator="regression",
                layers="first_conv",
                n_masks=n_layer_masks,
                tolerance=TOLERANCE,
                seed=setup.seed,
                disable_warnings=True,
            ),
        },
        n_masks=n_masks,
        seed=setup.seed,
        segment_func_kwargs=segmentation,
        folder=setup.folder("critique", data),
    )


def rank_values(comparison: Comparison) -> dict[str, Any]:
    """Scores with their ranks, and for each metric the place of the controls among the methods."""
    ranks = comparison.table("rank")
    scores = comparison_values(comparison)
    for metric, by_method in scores.items():
        for method, cell in by_method.items():
            cell["rank"] = rounded(float(ranks.loc[metric, method]))
    places = {metric: control_places(ranks.loc[metric]) for metric in ranks.index}
    rows = next(iter(places.values()))
    return {
        "scores": scores,
        "controls": {row: {metric: {"mean": place[row]} for metric, place in places.items()} for row in rows},
        "best control": {metric: best_control(ranks.loc[metric]) for metric in ranks.index},
    }


def control_places(ranks: pd.Series) -> dict[str, float | None]:
    """Where the controls stand among all maps by one metric.

    Parameters
    ----------
    ranks
        By the name of the map, 1 for the best; NaN for a map without a score.

    Returns
    -------
    dict
        "mean rank of controls" is to be compared with "mean rank by chance", the mean over all maps that have a rank.
    """
    ranked = ranks.dropna()
    is_control = ranked.index.isin(list(CONTROLS))
    controls, methods = ranked[is_control], ranked[~is_control]
    return {
        "best rank of a control": rounded(controls.min()),
        "methods below the best control": int((methods > controls.min()).sum()),
        "mean rank of controls": rounded(controls.mean()),
        "mean rank by chance": rounded(ranked.mean()),
        "maps with a rank": len(ranked),
        "controls with a rank": len(controls),
    }


def best_control(ranks: pd.Series) -> str:
    """The name of the control that stands best, or a word if none has a rank."""
    controls = ranks.dropna()
    controls = controls[controls.index.isin(list(CONTROLS))]
    return str(controls.idxmin()) if len(controls) else "none has a rank"


def agreement_values(comparison: Comparison) -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
    """Kendall's tau-b of every two metrics with its 95 % interval: of all maps, and of the explanation methods alone."""
    of_methods = Comparison(
        comparison.scores[comparison.scores["method"].isin(list(PAPER_METHODS))].reset_index(drop=True),
        comparison.metrics,
        comparison.settings | {"controls": []},
    )
    return {"all maps": _taus(comparison), "the six methods": _taus(of_methods)}


def _taus(comparison: Comparison) -> dict[str, dict[str, dict[str, Any]]]:
    """By metric and metric. Tau goes by the name "mean", by which tables show it."""
    taus: dict[str, dict[str, dict[str, Any]]] = {}
    for row in comparison.agreement().to_dict("records"):
        cell = {"mean": rounded(row["tau"]), "low": rounded(row["low"]), "high": rounded(row["high"])}
        taus.setdefault(row["metric_a"], {})[row["metric_b"]] = cell | {"n_methods": row["n_methods"]}
    return taus
