"""Which masks give what others have given already, so that it need not be found again."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from quantus_senc._hash import mix


def mask_keys(images: Int64[Tensor, " b"], masks: Bool[Tensor, "b k m"]) -> Int64[Tensor, "b k"]:
    """A number for each pair of image and mask: equal for equal ones, and else different but for one in 2^64 pairs.

    Examples
    --------
    >>> keys = mask_keys(torch.arange(2), torch.tensor([[[True, False], [True, True], [True, False]]]).repeat(2, 1, 1))
    >>> [len(row.unique()) for row in (keys[0], keys[1], keys)]
    [2, 2, 4]
    """
    features = mix(torch.arange(masks.shape[-1], device=masks.device))
    kept = torch.where(masks, features, 0).sum(-1)
    return mix(kept + mix(mix(images))[:, None])


def number_keys(images: Int64[Tensor, " b"], numbers: tuple[int, int]) -> Int64[Tensor, "b k"]:
    """The same for the number of a mask, whatever mask that is."""
    return mix(mix(~torch.arange(*numbers, device=images.device)) + mix(mix(images))[:, None])


def first_of_each(keys: Int64[Tensor, " n"]) -> Int64[Tensor, " p"]:
    """Where each key stands first, in ascending order.

    Examples
    --------
    >>> first_of_each(torch.tensor([7, 3, 7, 5, 3]))
    tensor([0, 1, 3])
    """
    kinds, which = keys.unique(return_inverse=True)
    places = torch.arange(len(keys), device=keys.device)
    return torch.full_like(kinds, len(keys)).scatter_reduce_(0, which, places, "amin").sort().values


class Known:
    """Values by key."""

    def __init__(self) -> None:
        self.keys = torch.empty(0, dtype=torch.int64)  # in ascending order
        self.values = torch.empty(0, 0)

    def __len__(self) -> int:
        return len(self.keys)

    def has(self, keys: Int64[Tensor, "*n"]) -> Bool[Tensor, "*n"]:
        """Of which keys there are values."""
        if not len(self.keys):
            return torch.zeros_like(keys, dtype=torch.bool)
        return self.keys[self._places(keys)] == keys

    def get(self, keys: Int64[Tensor, "*n"]) -> Float[Tensor, "*n v"]:
        """The values of keys that have one."""
        return self.values[self._places(keys)]

    def put(self, keys: Int64[Tensor, " n"], values: Float[Tensor, "n v"]) -> None:
        """Add values of keys that have none."""
        if len(self.keys):
            keys, values = torch.cat([self.keys, keys]), torch.cat([self.values, values])
        ordered, order = keys.sort()
        self.keys, self.values = ordered, values[order]  # both or none, whatever memory there is

    def _places(self, keys: Int64[Tensor, "*n"]) -> Int64[Tensor, "*n"]:
        return torch.searchsorted(self.keys, keys).clamp_(max=len(self.keys) - 1)
