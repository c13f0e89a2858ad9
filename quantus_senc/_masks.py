"""Which features or units each mask keeps."""

from jaxtyping import Bool, Int64
from torch import Tensor

from quantus_senc._philox import random_words


def keep_masks(
    seed: int,
    streams: Int64[Tensor, "*#n"],
    indices: Int64[Tensor, "*#n"],
    n_features: int,
    mask_rate: float,
) -> Bool[Tensor, "*n m"]:
    """Masks in which every feature is eliminated with probability `mask_rate`, independently.

    Parameters
    ----------
    seed
        In [0, 2^64).
    streams
        What the masks belong to: an image's index in the call, the hash of a layer's name.
    indices
        The masks' indices, each in [0, 2^32 - 1); broadcast with `streams`.
    n_features
        m; a mask of more features begins with the mask of fewer.
    mask_rate
        Probability that a feature is eliminated, in (0, 1).

    Returns
    -------
    Tensor
        True keeps, False eliminates; on the device of `streams`, the same on every device.

    References
    ----------
    Tan, "Evaluating Sensitivity Consistency of Explanations", WACV 2025, Algorithm 1, line 5.

    Examples
    --------
    >>> import torch
    >>> image, masks = torch.tensor(0), torch.arange(5000)
    >>> keep_masks(42, image, masks, n_features=16, mask_rate=0.8).double().mean().item()
    0.19965
    """
    return random_words(seed, streams, indices, n_features) >= round(mask_rate * 2**32)
