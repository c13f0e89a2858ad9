"""The metrics that are evaluated: as this package makes them, and with the parameters that MetaQuantus has published."""

from typing import Any

import quantus
import torch
from torch import nn

from benchmarks.reproduction.parameter_scores import paper_score
from quantus_senc import default_metrics
from quantus_senc.comparison.quantus_corrections import rank_similarity
from quantus_senc.comparison.quantus_metrics import curve_area
from quantus_senc.comparison.quantus_per_image import PerImage
from quantus_senc.metrics.derived import DerivedMetric

OF_QUANTUS = ("Faithfulness Correlation", "Pixel Flipping", "Random Logit", "MPRT")
HIGHER_IS_BETTER = {"Faithfulness Correlation": True, "Pixel Flipping": False, "Random Logit": False, "MPRT": False}


class PaperScore(DerivedMetric):
    """SenC by the sums of the paper, from the masks of a run whose estimator is another one."""

    name = "SenC by the paper's sums"

    def values(self, sensitivities: Any) -> Any:
        """One score an image."""
        return self.metric.summary(sensitivities, paper_score)


def of_this_package(
    model: nn.Module, shape: tuple[int, ...], seed: int, *, n_masks: int, n_masks_of_layers: int, n_classes: int, **kwargs: Any
) -> dict[str, Any]:
    """Data and parameter SenC with both estimators, and the metrics of Quantus as `compare` runs them.

    Parameters
    ----------
    model, shape, seed
        As for `quantus_senc.default_metrics`, which takes an array of this shape.
    n_masks, n_masks_of_layers
        Of data SenC, and of parameter SenC of the first convolution.
    n_classes, kwargs
        As for `default_metrics`.
    """
    empty = torch.empty(shape).numpy()
    metrics = default_metrics(empty, model, n_masks=n_masks, seed=seed, n_classes=n_classes, **kwargs)
    layers = default_metrics(empty, model, n_masks=n_masks_of_layers, seed=seed, n_classes=n_classes)["Parameter SenC"]
    return {
        "Data SenC, regression": metrics["SenC (regression)"],
        "Data SenC, paper": PaperScore(metrics["SenC (regression)"]),
        "Parameter SenC, regression": layers,
        "Parameter SenC, paper": PaperScore(layers),
        **{name: metrics[name] for name in OF_QUANTUS},
    }


def as_published(model: nn.Module, shape: tuple[int, ...], seed: int) -> dict[str, Any]:
    """The metrics of Quantus with MetaQuantus's parameters for MNIST (helpers/configs.py of the package).

    Maps are not scaled, which changes none of these scores.

    Parameters
    ----------
    model, shape
        Not used.
    seed
        Of subsets of pixels and of uniform noise. Random Logit and MPRT draw the same in each call, as they do there.
    """
    common: dict[str, Any] = {"return_aggregate": False, "disable_warnings": True, "normalise": False, "abs": False}
    noise = {"perturb_baseline": "uniform"}
    ranks = {"similarity_func": rank_similarity}
    size = 56
    return {
        "Faithfulness Correlation": PerImage(
            quantus.FaithfulnessCorrelation(nr_runs=10, subset_size=size, **noise, **common), seed=seed
        ),
        "Pixel Flipping": PerImage(quantus.PixelFlipping(features_in_step=size, **noise, **common), curve_area, seed),
        "Random Logit": PerImage(quantus.RandomLogit(num_classes=10, **ranks, **common), seed=seed),
        "MPRT": PerImage(
            quantus.MPRT(layer_order="independent", return_average_correlation=True, **ranks, **common), seed=seed
        ),
    }
