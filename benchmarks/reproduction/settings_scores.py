"""Scores of data SenC in several settings, with each masked image run only once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from benchmarks.reproduction.methods import BASELINE, PAPER_METHODS
from benchmarks.reproduction.values import rounded
from quantus_senc import DataSensitivityConsistency, Sensitivity
from quantus_senc.comparison.named_methods import named_methods
from quantus_senc.core.mask_loop import MaskRun, Unperturbed
from quantus_senc.core.plan import Plan
from quantus_senc.core.record import CONSTANT
from quantus_senc.core.weight_table import KnownWeights, Pairs

ESTIMATORS = ("paper", "regression")
STEPS = 5  # of Integrated Gradients, which would take more time than all other methods together with more
CONTROL = {"fixed random": "fixed random"}  # one map for all inputs, which sees nothing and never changes
METHODS: dict[str, Any] = PAPER_METHODS | {"IG": {"method": "IntegratedGradients", "n_steps": STEPS}} | BASELINE | CONTROL
_ROUNDING = (16 * 2.0**-23, 160 * 2.0**-23)  # of the two weights of a mask: as `ExplainedModel.rounding` in single precision

Scores = dict[str, dict[str, dict[str, list[float | None]]]]  # of images: by estimator, by masks, and "scores" or "errors"


@dataclass(frozen=True)
class Features:
    """What is masked, and what is shown instead: parameters of `DataSensitivityConsistency`."""

    n_segments: int
    compactness: float
    perturb_baseline: float | str = 0


@dataclass(frozen=True)
class Masks:
    """How masks are drawn: parameters of `DataSensitivityConsistency`."""

    mask_rate: float
    n_masks: int | str
    seed: int


@dataclass(frozen=True, eq=False)
class Explained:
    """A network, images (B, C, H, W), and the classes that are explained (B,)."""

    model: nn.Module
    x: Tensor
    y: Tensor


def scores(explained: Explained, method: Any, features: Features, first: Masks, others: Mapping[str, Masks]) -> Scores:
    """Scores and standard errors of each image, by estimator and the name of how masks are drawn.

    Parameters
    ----------
    explained
        What is explained.
    method
        How: as a value of `METHODS`.
    features
        What is masked.
    first
        The masks that are run, for the regression. If they are "all" masks, any others can be read from them.
    others
        The masks of the scores, by name.
    """
    metric = DataSensitivityConsistency(
        n_masks=first.n_masks,
        mask_rate=first.mask_rate,
        estimator="regression",
        segment_func_kwargs={"n_segments": features.n_segments, "compactness": features.compactness},
        perturb_baseline=features.perturb_baseline,
        seed=first.seed,
        disable_warnings=True,
    )
    call = vars(*named_methods({"method": method}).values())
    metric(explained.model, explained.x, explained.y, **call)
    return {
        estimator: {name: _values(reread(metric.sensitivities, masks, estimator)) for name, masks in others.items()}
        for estimator in ESTIMATORS
    }


def reread(records: list[Sensitivity], masks: Masks, estimator: str) -> list[Sensitivity]:
    """The records that the metric would have with other masks, from those of a regression on the same images.

    The weights of a mask do not depend on how it was drawn: they are looked up. So nothing is predicted or explained.

    Parameters
    ----------
    records
        Of images with the numbers 0 ... B - 1.
    masks
        Each must have been among those of the records, but for features that equal the baseline.
    estimator
        "paper" or "regression".

    Raises
    ------
    ValueError
        If a mask was not among them.
    """
    plan = Plan(masks.seed, masks.mask_rate, masks.n_masks, estimator, None)
    differing = torch.cat([record.design.free for record in records])
    existing = torch.arange(differing.shape[1]) < torch.tensor([[len(record.prediction)] for record in records])
    design = plan.design(torch.arange(len(records)), differing if plan.knows_inert_features else existing)
    known = [KnownWeights.from_record(one, row, of_same_method=True) for one, row in zip(records, differing, strict=True)]
    unperturbed = Unperturbed(
        predictions=torch.ones(len(records), dtype=torch.float64),  # an upper bound is enough
        unranked=torch.tensor([record.undefined == CONSTANT for record in records]),
        rounding=torch.tensor(_ROUNDING, dtype=torch.float64),
        labels=torch.stack([record.labels for record in records]),
    )
    return MaskRun(plan, design, unperturbed, tqdm(disable=True), differing, known).records(_refuse)


def _refuse(pairs: Pairs, told: object) -> Any:
    raise ValueError(f"the records lack {len(pairs)} of the masks; make them with n_masks='all'")


def _values(records: list[Sensitivity]) -> dict[str, list[float | None]]:
    return {
        "scores": [rounded(record.score) for record in records],
        "errors": [rounded(record.standard_error) for record in records],
    }
