"""Blocks in which other people's random numbers are a function of a seed."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let draws from NumPy's and torch's global generators be a function of the seed; afterwards they go on as before."""
    state = np.random.get_state()  # noqa: NPY002  Quantus draws from it
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002
