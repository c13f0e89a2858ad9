"""Scores of data SenC in several settings, with each masked image run only once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from benchmarks.reproduction.methods import BASELINE, PAPER_METHODS
from benchmarks.reproduction.values import rounded
from quantus_senc import DataSensitivityConsistency, Sensitivity
from quantus_senc.comparison.named_methods import named_methods
from quantus_senc.core.distinct_masks import mask_keys
from quantus_senc.core.mask_loop import MaskRun, Unperturbed
from quantus_senc.core.plan import Plan
from quantus_senc.core.record import CONSTANT
from quantus_senc.core.weight_table import KnownWeights, Pairs

ESTIMATORS = ("paper", "regression")
STEPS = 5  # of Integrated Gradients, which would take more time than all other methods together with more
CONTROL = {"fixed random": "fixed random"}  # one map for all inputs, which sees nothing and never changes
METHODS: dict[str, Any] = PAPER_METHODS | {"IG": {"method": "IntegratedGradients", "n_steps": STEPS}} | BASELINE | CONTROL
_ROUNDING = (16 * 2.0**-23, 160 * 2.0**-23)  # of the two weights of a mask: as `ExplainedModel.rounding` in single precision

Scores = dict[str, dict[str, dict[str, list[list[float | None]]]]]  # (images, 3) by method, estimator and masks


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
    """A network, images (B, C, H, W), the classes that are explained (B,), and the images' numbers among all (B,)."""

    model: nn.Module
    x: Tensor
    y: Tensor
    image_ids: Tensor


def scores(
    explained: Explained, methods: Mapping[str, Any], features: Features, first: Masks, others: Mapping[str, Masks]
) -> Scores:
    """Score, standard error and top-3 agreement of each image, by method, estimator and the name of how masks are drawn.

    Parameters
    ----------
    explained
        What is explained.
    methods
        How: some of `METHODS`.
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
    by_method = []
    for method in named_methods(methods).values():
        metric(explained.model, explained.x, explained.y, image_ids=explained.image_ids, **vars(method))
        by_method.append(metric.sensitivities)
    values: Scores = {method: {estimator: {name: [] for name in others} for estimator in ESTIMATORS} for method in methods}
    for records in zip(*by_method, strict=True):
        table = Table.from_records(records)
        for estimator in ESTIMATORS:
            for name, masks in others.items():
                for method, record in zip(methods, table.read(masks, estimator), strict=True):
                    values[method][estimator][name].append(
                        [rounded(value) for value in (record.score, record.standard_error, record.top_k_agreement(3))]
                    )
    return values


@dataclass(frozen=True, eq=False)
class Table:
    """What the masks of one image have shown by several methods, to be read for other masks.

    Attributes
    ----------
    records
        Of each method, from the same masks.
    known
        The same, ordered so that a mask can be looked up.
    """

    records: Sequence[Sensitivity]
    known: Sequence[KnownWeights]

    @classmethod
    def from_records(cls, records: Sequence[Sensitivity]) -> "Table":
        """Of the records of a regression by each method."""
        return cls(records, [KnownWeights.from_record(one, one.design.free[0], of_same_method=True) for one in records])

    def read(self, masks: Masks, estimator: str) -> list[Sensitivity]:
        """The records that the metric would have with other masks.

        The weights of a mask do not depend on how it was drawn: they are looked up. So nothing is predicted or explained.

        Parameters
        ----------
        masks
            Each must have been among those of the records, but for features that equal the baseline.
        estimator
            "paper" or "regression".

        Raises
        ------
        ValueError
            If a mask was not among them.
        """
        plan, one = Plan(masks.seed, masks.mask_rate, masks.n_masks, estimator, None), self.records[0]
        differing = one.design.free
        existing = torch.arange(differing.shape[1])[None] < len(one.prediction)
        design = plan.design(one.design.streams, differing if plan.knows_inert_features else existing)
        unperturbed = Unperturbed(
            predictions=torch.ones(len(self.records), dtype=torch.float64),  # an upper bound is enough
            unranked=torch.tensor([record.undefined == CONSTANT for record in self.records]),
            rounding=torch.tensor(_ROUNDING, dtype=torch.float64),
            labels=torch.stack([record.labels for record in self.records]),
        )
        return MaskRun(plan, design, unperturbed, tqdm(disable=True), differing).records(self._weigh)

    def _weigh(self, pairs: Pairs, told: object) -> tuple[Tensor, Tensor]:
        """The weights of masks, and whether their attributions are constant; each method is an image of the pairs."""
        keys = mask_keys((pairs.masks() & self.records[0].design.free)[:, : len(self.records[0].prediction)])
        there, rows = self.known[0].lookup(keys)
        if not there.all():
            raise ValueError(f"the records lack {int((~there).sum())} of the masks; make them with n_masks='all'")
        weights, constant = (torch.stack([getattr(one, name) for one in self.known]) for name in ("weights", "constant"))
        return weights[pairs.images, rows], constant[pairs.images, rows]
