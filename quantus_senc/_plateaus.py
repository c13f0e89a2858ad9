"""Values of attribution maps that are always equal, as interpolation, superpixels and channels make them: ranked once."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor

_MOST_LEFT = 0.9  # of the values, so that to rank these takes less time than to look whether the others are equal
_MOST_TRIALS = 4


@dataclass(frozen=True)
class Groups:
    """Which values are equal.

    Attributes
    ----------
    group
        To which each value belongs.
    first, sizes
        Where the first value of each group is, and how many there are.
    sums
        Of the ranks that the originals have there.
    """

    group: Int64[Tensor, " v"]
    first: Int64[Tensor, " g"]
    sizes: Float32[Tensor, " g"]
    sums: Float64[Tensor, "B g"]

    @classmethod
    def of(cls, values: Float[Tensor, "N v"], ranks: Float32[Tensor, "B v"], before: "Groups | None") -> "Groups":
        """Values that are equal in all rows, and were in one group before, but for rare coincidences."""
        wide = values.contiguous() if values.dtype is torch.float32 else values.double()
        bits = wide.view(torch.int32).unflatten(1, (values.shape[1], -1)).movedim(2, 1).flatten(0, 1).long()
        rows = bits if before is None else torch.cat([bits, before.group[None]])
        factors = torch.randint(-(2**63), 2**63 - 1, (len(rows), 1), generator=torch.Generator().manual_seed(0), device="cpu")
        _, group, sizes = (rows * factors).sum(0).unique(return_inverse=True, return_counts=True)
        places = torch.arange(len(group), device="cpu")
        first = torch.full_like(sizes, len(group)).scatter_reduce_(0, group, places, "amin")
        sums = torch.zeros(len(ranks), len(sizes), dtype=torch.float64, device="cpu")
        sums.scatter_add_(1, group.expand(len(ranks), -1), ranks.double())
        return cls(group, first, sizes.float(), sums)

    def firsts(self, values: Float[Tensor, "N v"]) -> Float[Tensor, "N g"] | None:
        """The first value of each group, if the others of the group are equal."""
        firsts = values.index_select(1, self.first)
        return firsts if torch.equal(firsts.gather(1, self.group.expand(len(values), -1)), values) else None


class Plateaus:
    """Groups of values that were equal in all maps of a pass, and are looked for in the next ones.

    On a CPU alone: elsewhere, to look would be to wait for the device.

    Parameters
    ----------
    ranks
        Of the originals' maps.
    """

    def __init__(self, ranks: Float32[Tensor, "B v"]) -> None:
        self._ranks = ranks
        self._groups: Groups | None = None
        self._trials = 0

    def firsts(self, maps: Float[Tensor, "N v"]) -> tuple[Float[Tensor, "N g"], Groups] | None:
        """The first value of each group, and the groups; nothing if they don't hold here, or leave too many values."""
        if maps.device.type != "cpu" or self._trials == _MOST_TRIALS:
            return None
        groups = self._groups
        firsts = None if groups is None else groups.firsts(maps)
        if groups is None or firsts is None:
            self._trials += 1
            self._groups = groups = Groups.of(maps, self._ranks, groups)
            if len(groups.first) > _MOST_LEFT * maps.shape[1]:
                self._trials = _MOST_TRIALS
                return None
            firsts = groups.firsts(maps)
        return None if firsts is None else (firsts, groups)
