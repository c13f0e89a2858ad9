"""The size of the passes of methods that run several samples for each input."""

from torch import Tensor

_BYTES, _SAMPLES = 2**24, 512


def largest_pass(inputs: Tensor) -> int:
    """How many samples a pass has at most: as many as there are inputs, or 16 MB or 512 of them where that is more.

    So no method takes more memory than the gradient of the same inputs does, or of 512 small ones.

    Examples
    --------
    >>> import torch
    >>> largest_pass(torch.empty(2, 1, 28, 28)), largest_pass(torch.empty(2, 3, 224, 224)), largest_pass(torch.empty(600, 4))
    (512, 27, 600)
    """
    return max(len(inputs), min(_BYTES // max(inputs[0].nbytes, 1), _SAMPLES))


def copies_of(inputs: Tensor) -> int:
    """How many copies of all inputs go in one pass."""
    return max(largest_pass(inputs) // len(inputs), 1)
