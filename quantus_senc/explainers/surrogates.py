"""LIME and KernelSHAP: linear models of what the model does when features are eliminated. They take any model."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from captum import attr
from captum._utils.models.linear_model import SkLearnLasso
from torch import Tensor, nn

from quantus_senc.core.checks import check_integer, check_number
from quantus_senc.core.segment import SegmentFunc
from quantus_senc.explainers.features import N_SAMPLES, features_of, with_channels
from quantus_senc.explainers.gradients import as_baseline
from quantus_senc.explainers.passes import largest_pass
from quantus_senc.model.returned import check_outputs
from quantus_senc.model.state import seeded


def kernel_shap(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    n_samples: int = N_SAMPLES,
    segment_func: SegmentFunc = None,
    segment_func_kwargs: dict[str, Any] | None = None,
    baseline: Any = 0.0,
    seed: int = 0,
) -> Tensor:
    """Shapley values of the features, by weighted least squares. One image at a time, see `_one_by_one`.

    References
    ----------
    Lundberg and Lee, "A unified approach to interpreting model predictions", NeurIPS 2017.
    """
    labels = features_of(inputs, segment_func, segment_func_kwargs, n_samples)
    return _one_by_one(_KernelShap, model, inputs, targets, labels, as_baseline(baseline, inputs), n_samples, seed)


class _KernelShap(attr.KernelShap):
    """Captum's, which fails for a single feature. The value of that is what its elimination takes away."""

    def attribute(self, inputs: Tensor, *, baselines: Any, feature_mask: Tensor, **kwargs: Any) -> Tensor:
        if feature_mask.any():
            return super().attribute(inputs, baselines=baselines, feature_mask=feature_mask, **kwargs)
        return attr.FeatureAblation(self.forward_func).attribute(inputs, baselines=baselines, feature_mask=feature_mask)


def lime(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    n_samples: int = N_SAMPLES,
    alpha: float = 0.01,
    segment_func: SegmentFunc = None,
    segment_func_kwargs: dict[str, Any] | None = None,
    baseline: Any = 0.0,
    seed: int = 0,
) -> Tensor:
    """Coefficients of the features in a Lasso (of penalty `alpha`) around the input. One image at a time, see `_one_by_one`.

    If all coefficients are 0, the penalty is too large for the scores of the model.

    References
    ----------
    Ribeiro et al., "Why should I trust you? Explaining the predictions of any classifier", KDD 2016.
    """
    check_number("alpha", alpha)
    labels = features_of(inputs, segment_func, segment_func_kwargs, n_samples)
    lasso = partial(attr.Lime, interpretable_model=SkLearnLasso(alpha=alpha))
    return _one_by_one(lasso, model, inputs, targets, labels, as_baseline(baseline, inputs), n_samples, seed)


@torch.no_grad()
def _one_by_one(
    method: Callable[..., Any],
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    labels: Tensor,
    baselines: Tensor | float,
    n_samples: int,
    seed: int,
) -> Tensor:
    """Captum's LIME or KernelSHAP for each image by itself, from the same seed. The global generators go on as before.

    Captum draws masks and makes masked images one after the other, in Python. For 500 samples of an image that takes 0.4 s at
    28 x 28 and 2 s at 224 x 224 on a CPU, beside the passes of the model, and SenC explains an image hundreds of times.
    """
    check_integer("seed", seed, 0, 2**64 - 1)

    def attributed(image: int) -> Tensor:
        one = slice(image, image + 1)
        return method(lambda x: check_outputs(model(x), len(x))[:, targets[image]]).attribute(
            inputs[one].detach(),
            baselines=baselines if isinstance(baselines, float) else baselines[one],
            feature_mask=with_channels(labels[one], inputs),
            n_samples=n_samples,
            perturbations_per_eval=largest_pass(inputs),
        )

    return torch.cat([seeded(int(seed), partial(attributed, image)) for image in range(len(inputs))])
