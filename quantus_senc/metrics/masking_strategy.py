"""How a layer is masked: by hooks where these are shown to be right, and by zeroed weights elsewhere."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NoReturn

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from quantus_senc.core.masks import keep_masks
from quantus_senc.core.profiler_marks import stage
from quantus_senc.core.similarity import Differences
from quantus_senc.core.weight_table import Pairs
from quantus_senc.metrics.hook_check import HookCheck
from quantus_senc.metrics.image_batch import join_weights
from quantus_senc.metrics.masked_layers import Failure, MaskedLayer
from quantus_senc.metrics.method_check import DEPENDENT

STRATEGIES = ("auto", "hooks", "weights")


@dataclass(frozen=True, eq=False)
class Decision:
    """Whether a layer is masked by hooks for the images of a batch, and why.

    Attributes
    ----------
    by_hooks
        Otherwise by zeroed weights.
    why
        In words.
    check
        Compares hooks with zeroed weights during the run; None for zeroed weights, and for hooks that cannot be checked.
    disproved
        Whether hooks give something else than zeroed weights, so that what they gave for earlier images is doubtful.
    """

    by_hooks: bool
    why: str
    check: "HookCheck | None" = None
    disproved: bool = False


@dataclass
class Strategy:
    """How one layer was masked in a call, and why.

    Attributes
    ----------
    images
        For how many images it was masked by "hooks" (many masks a pass), and by "weights" (zeroed, one mask a pass).
    reasons
        Why, in words.
    disproved
        What hooks got wrong, or an empty string.
    """

    images: Counter[str] = field(default_factory=Counter)
    reasons: list[str] = field(default_factory=list)
    disproved: str = ""

    @property
    def name(self) -> str:
        """Hooks, weights, or "hooks and weights"."""
        return " and ".join(sorted(self.images))

    @property
    def why(self) -> str:
        """The reasons."""
        return "; ".join(self.reasons)

    def note(self, decision: Decision, n_images: int) -> None:
        """Count images that were masked as decided."""
        self.images["hooks" if decision.by_hooks else "weights"] += n_images
        if decision.why not in self.reasons:
            self.reasons.append(decision.why)

    def forget(self) -> None:
        """Forget the images, which are masked anew; what was disproved stays so."""
        self.images.clear()
        self.reasons.clear()


@stage("checks")
def decide(layer: MaskedLayer, masks: Bool[Tensor, "k m"], strategy: str, disproved: str) -> Decision:
    """Decide how a layer is masked.

    Parameters
    ----------
    masks
        The first masks of the run.
    strategy
        One of `STRATEGIES`: "hooks" is taken unless it is disproved, "auto" only where hooks are shown to be right.
    disproved
        What hooks got wrong for earlier images, or an empty string.

    Raises
    ------
    ValueError
        If hooks were asked for and give something else than zeroed weights.
    """
    if strategy == "weights":
        return Decision(False, "asked for")
    flaw = layer.batch.flaw
    if disproved or flaw == DEPENDENT:
        return without_check(Failure(disproved or flaw, disproved=True), strategy)
    if flaw:
        return without_check(Failure(flaw, disproved=False), strategy)
    check = HookCheck.start(layer, _telling_masks(masks))
    if isinstance(check, Failure) and layer.layers_once.active:
        layer.layers_once.stop()  # which may be what differs
        check = HookCheck.start(layer, _telling_masks(masks))
    if isinstance(check, Failure):
        return without_check(check, strategy)
    return Decision(True, "agrees with zeroed weights", check)


def without_check(failure: Failure, strategy: str) -> Decision:
    """Decide after a failure of the check: zeroed weights, or hooks without check for a strategy that asks for hooks."""
    if strategy != "hooks":
        return Decision(False, failure.reason, disproved=failure.disproved)
    if failure.disproved:
        raise ValueError(f"strategy='hooks' cannot be used: {failure.reason}; take 'auto' or 'weights'")
    return Decision(True, f"asked for; not checked, because {failure.reason}")


@dataclass(frozen=True, eq=False)
class HookedMasks:
    """Masks a layer by hooks.

    Attributes
    ----------
    layer
        The layer.
    check
        Compares hooks with zeroed weights during the run; None for no comparisons.
    failed
        Called with what a later comparison finds; it must raise.
    """

    layer: MaskedLayer
    check: HookCheck | None
    failed: Callable[[Failure], NoReturn]

    def weigh(self, pairs: Pairs, told: Callable[[int], object]) -> tuple[Float64[Tensor, "p 2"], Bool[Tensor, " p"]]:
        """Weights of masked models, and whether their attributions are constant."""
        results = self._run(pairs, told)
        if self.layer.layers_once.failed():
            results = self._run(pairs, lambda n: None)
        return join_weights(results)

    def _run(self, pairs: Pairs, told: Callable[[int], object]) -> list[Differences]:
        limit, results = self.layer.batch.limit, []
        for block, masks in pairs.blocks(limit.size):
            results += limit.run(partial(self._weigh_pass, block.images, masks), len(block), told)
        return results

    def _weigh_pass(self, images: Int64[Tensor, " n"], masks: Bool[Tensor, "n m"], some: slice) -> Differences:
        images, masks = images[some], masks[some]
        outputs = self.layer.hooked(images, masks, self.check.layout if self.check else None)
        if isinstance(outputs, Failure):
            self.failed(outputs)
        failure = self.check.probe(images, masks, outputs) if self.check else None
        if failure is not None:
            self.failed(failure)
        return self.layer.compare(images, outputs)


def _telling_masks(first: Bool[Tensor, "k m"]) -> Bool[Tensor, "_ m"]:
    """Two masks and their complements, so that every unit is eliminated and kept; a single unit; the first of the run."""
    n_units, device = first.shape[1], first.device
    units, zero = torch.arange(n_units, device=device), torch.zeros((), dtype=torch.int64, device=device)
    alternate, halves = units % 2 == 0, keep_masks(0, zero, zero, n_units, 0.5)
    return torch.cat([torch.stack([alternate, halves, ~alternate, ~halves, units == n_units // 2]), first])
