"""The blocks in which a comparison runs its images: the same images and random numbers, however images are split over calls."""

from dataclasses import dataclass
from itertools import groupby

import numpy as np


@dataclass(frozen=True)
class Block:
    """Images whose numbers have the same quotient by the size of a block.

    Attributes
    ----------
    number
        The quotient.
    places
        The indices of the images in the call, in the order of their numbers.
    """

    number: int
    places: list[int]

    def seed(self, seed: int) -> int:
        """A seed in [0, 2^64): a function of the seed of the comparison and the number of the block.

        Examples
        --------
        >>> Block(0, [0]).seed(42) == Block(0, [5]).seed(42), Block(0, [0]).seed(42) == Block(1, [0]).seed(42)
        (True, False)
        """
        return int(np.random.SeedSequence([seed, self.number]).generate_state(1, np.uint64)[0])


def blocks_of(image_ids: list[int], block_size: int) -> list[Block]:
    """The blocks of images with these numbers, in the order of the numbers.

    Examples
    --------
    >>> [(block.number, block.places) for block in blocks_of([9, 3, 4, 2], block_size=4)]
    [(0, [3, 1]), (1, [2]), (2, [0])]
    """
    places = sorted(range(len(image_ids)), key=image_ids.__getitem__)
    return [Block(number, list(group)) for number, group in groupby(places, lambda place: image_ids[place] // block_size)]
