"""Two parts of a pass that SenC computes in a way of its own, over the plain way.

    python -m benchmarks.parts

Gradients of first convolutions with respect to images (of layers before a masked one), and ranks of attribution maps that
were upsampled to the nearest pixel. Both ways take turns; medians and quartiles are over the rounds.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain

import torch
from torch import nn
from torch.nn.functional import interpolate

from benchmarks.overhead import ratio
from benchmarks.timing import environment
from quantus_senc._allocator import kept_memory
from quantus_senc._batch import Originals
from quantus_senc._input_gradient import input_gradient
from quantus_senc._similarity import rank_correlation

Part = tuple[str, int, Callable[[], object], Callable[[], object]]  # what, samples, the plain way, SenC's way
STEMS = {  # channels, outputs, kernel, stride, padding; size of the images, and how many
    "LeNet": ((1, 6, 5, 1, 0), 28, 512),
    "AlexNet": ((3, 64, 11, 4, 2), 224, 8),
    "ResNet": ((3, 64, 7, 2, 3), 224, 8),
    "ViT-S/16": ((3, 384, 16, 16, 0), 224, 8),
}
MAPS = {"LeNet": (8, 28, 512), "ResNet": (7, 224, 8), "ViT-S/16": (14, 224, 8)}  # size before and after, and how many


def gradients() -> Iterator[Part]:
    """Of first convolutions, in both layouts of colour images."""
    for name, (geometry, size, n) in STEMS.items():
        layer = nn.Conv2d(*geometry)
        fixed = layer.stride, layer.padding, layer.dilation, False, (0, 0), 1, (True, False, False)
        for layout in (torch.contiguous_format, torch.channels_last)[: layer.in_channels]:
            images = torch.randn(n, layer.in_channels, size, size).contiguous(memory_format=layout)
            gradient = torch.randn_like(layer(images))
            plain = partial(torch.ops.aten.convolution_backward, gradient, images, layer.weight, None, *fixed)
            last = ", channels last" if layout is torch.channels_last else ""
            yield f"gradient, {name}{last}", n, plain, partial(input_gradient, layer, images, gradient)


def ranks() -> Iterator[Part]:
    """Of upsampled maps of copies of one image."""
    for name, (before, size, n) in MAPS.items():
        own, *copies = interpolate(torch.randn(n + 1, 1, before, before), (size, size)).flatten(1)
        originals, maps = Originals.of(torch.ones(1), own[None]), torch.stack(copies)
        plain = partial(rank_correlation, originals.ranks.expand_as(maps), maps)
        yield f"ranks, {name}", n, plain, partial(originals.similarity, torch.zeros(n, dtype=torch.int64), maps)


def main() -> None:
    """Time and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25)
    rounds = parser.parse_args().rounds
    print(", ".join(f"{key} {value}" for key, value in environment(torch.device("cpu")).items()))
    print("\n| part, samples | SenC's over the plain way; its seconds |\n|---|---|")
    torch.manual_seed(0)
    with torch.no_grad(), kept_memory():
        for name, n, plain, own in chain(gradients(), ranks()):
            print(f"| {name}, {n} | {ratio(own, plain, rounds)} |")


if __name__ == "__main__":
    main()
