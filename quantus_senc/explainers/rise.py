"""RISE: what the model predicts on average while a feature is kept."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from quantus_senc.core.checks import check_integer
from quantus_senc.core.masks import keep_masks
from quantus_senc.core.perturb import eliminate
from quantus_senc.core.segment import SegmentFunc
from quantus_senc.explainers.features import N_SAMPLES, features_of
from quantus_senc.explainers.gradients import as_baseline
from quantus_senc.explainers.passes import copies_of
from quantus_senc.model.adapted import adapter_of
from quantus_senc.model.returned import check_outputs


def rise(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    n_samples: int = N_SAMPLES,
    mask_rate: float = 0.5,
    softmax: bool = True,
    segment_func: SegmentFunc = None,
    segment_func_kwargs: dict[str, Any] | None = None,
    baseline: Any = 0.0,
    seed: int = 0,
) -> Tensor:
    """The mean prediction over random masks that keep a feature, at every place of the feature.

    The prediction is the probability, or with `softmax=False` the score. All inputs have the same masks. The sum over masks
    is divided by the number of those that keep the feature, of which the paper takes the expectation.

    References
    ----------
    Petsiuk et al., "RISE: Randomized input sampling for explanation of black-box models", BMVC 2018, Eq. 6.
    """
    labels = features_of(inputs, segment_func, segment_func_kwargs, n_samples)
    check_integer("seed", seed, 0, 2**64 - 1)
    if not 0 < mask_rate < 1:
        raise ValueError(f"mask_rate={mask_rate!r} must be a probability between 0 and 1, both excluded; the paper's is 0.5")
    numbers = torch.arange(n_samples, device=inputs.device)
    masks = keep_masks(int(seed), torch.zeros_like(numbers), numbers, int(labels.max()) + 1, mask_rate)
    predict = _predictions(model, softmax=softmax)
    baselines = torch.as_tensor(as_baseline(baseline, inputs)).to(inputs).expand_as(inputs)
    sums = torch.zeros(len(inputs), masks.shape[1], dtype=torch.float64, device=inputs.device)
    for kept in masks.split(copies_of(inputs)):
        masked = eliminate(inputs.detach(), labels, kept.expand(len(inputs), -1, -1), baselines)
        copies = masked.transpose(0, 1).flatten(0, 1)  # copy j of input i stands at j·B + i, as Captum repeats inputs
        predictions = predict(copies, targets.repeat(len(kept))).view(len(kept), len(inputs))
        sums += predictions.double().T @ kept.double()
    means = sums / masks.sum(0).clamp(min=1)
    maps = means.gather(1, labels.flatten(1)).view(labels.shape).to(inputs.dtype)
    return maps if inputs.ndim == 2 else maps[:, None]


def _predictions(model: nn.Module, *, softmax: bool) -> Callable[[Tensor, Tensor], Tensor]:
    """Probabilities of the explained classes, or their scores, as a function of inputs and targets."""

    @torch.no_grad()
    def predict(inputs: Tensor, targets: Tensor) -> Tensor:
        scores = check_outputs(model(inputs), len(targets))
        values = adapter_of(model).activated(scores) if softmax else scores
        return values.gather(1, targets[:, None])[:, 0]

    return predict
