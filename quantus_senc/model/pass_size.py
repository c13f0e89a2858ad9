"""The size of a pass, the one place where memory is bounded: how many perturbed samples are run at a time."""

import copy
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from quantus_senc.model.retain_heap import LARGEST_BLOCK

T = TypeVar("T")


@dataclass(frozen=True)
class PassLoad:
    """What one input brings into a pass of the explanation method.

    Attributes
    ----------
    input_bytes
        The size of the input.
    n_samples
        How many samples the model sees at once: a method may repeat the input.
    largest
        Bytes of the largest tensor that a layer returns.
    activations
        Bytes of all that layers return. A pass that computes gradients holds about as much: for an image of 224 x 224, an H100
        took 22, 87 and 120 MB in a ResNet18, a ResNet50 and a ViT-B, whose layers return 32, 144 and 110 MB.
    """

    input_bytes: int
    n_samples: int = 1
    largest: int = 1
    activations: int = 1

    @classmethod
    def measure(cls, model: nn.Module, inputs: Tensor, explain: Callable[[], object]) -> "PassLoad":
        """Watch the model while `explain` explains one input."""
        n_samples, largest, activations = [1], [1], [1]

        def look(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            if isinstance(output, Tensor):
                largest.append(output.numel() * output.element_size())  # sparse tensors have no nbytes
                if not module._modules:  # what a module of modules returns, one of these has made
                    activations.append(largest[-1])

        def count(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            n_samples.extend(len(value) for value in (*args, *kwargs.values()) if isinstance(value, Tensor) and value.ndim)

        scripted = isinstance(model, torch.jit.ScriptModule)  # takes no such hook
        # After the call, because hooks of the method may have added samples before it.
        counted = nullcontext() if scripted else model.register_forward_hook(count, with_kwargs=True)
        with counted, register_module_forward_hook(look):  # of any module: a method may run another than the model
            explain()
        return cls(inputs.nbytes, max(n_samples), max(largest), sum(activations))


class BatchLimit:
    """How many perturbed samples go in one pass.

    Parameters
    ----------
    max_batch_size
        The number of samples, or "auto": a number that suits the device and the load, halved whenever memory does not
        suffice.
    load
        What one sample brings into a pass.
    device
        Where the passes run.
    recover
        Called after a pass that ran out of memory, before the next is tried.
    free_memory
        Bytes that are free on the device; None if that is unknown.

    Attributes
    ----------
    size
        How many samples a pass has.
    too_many
        How many samples were the first for which memory did not suffice; None if there were none.
    """

    def __init__(
        self,
        max_batch_size: int | str,
        load: PassLoad,
        device: torch.device,
        recover: Callable[[], None] = lambda: None,
        free_memory: int | None = None,
    ) -> None:
        self.recover = recover
        self.automatic = max_batch_size == "auto"
        self.too_many: int | None = None
        self.size = _suitable(load, device, free_memory) if isinstance(max_batch_size, str) else max_batch_size

    def one_by_one(self) -> "BatchLimit":
        """The limit of one sample a pass."""
        limit = copy.copy(self)
        limit.size = 1
        return limit

    def run(self, step: Callable[[slice], T], n: int, told: Callable[[int], object] = lambda n: None) -> list[T]:
        """Return what `step` returns for ranges that make up [0, n), in order.

        Parameters
        ----------
        step
            Runs the samples of a range in one pass.
        n
            How many samples there are.
        told
            Called with the number of samples after each pass.

        Examples
        --------
        >>> BatchLimit(4, PassLoad(1), torch.device("cpu")).run(lambda samples: samples.stop - samples.start, 10)
        [3, 3, 4]
        """
        waiting, results = [(0, n)] * (n > 0), []
        while waiting:
            start, stop = waiting.pop()
            if stop - start > self.size:
                waiting.extend(reversed(_split(start, stop, self.size)))
                continue
            try:
                results.append(step(slice(start, stop)))
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not (self.automatic and stop - start > 1 and is_out_of_memory(error)):
                    raise
                self.recover()
                self.too_many = self.too_many or stop - start
                self.size = (stop - start) // 2
                waiting.append((start, stop))
            else:
                told(stop - start)
        return results


def _split(start: int, stop: int, size: int) -> list[tuple[int, int]]:
    """Ranges of at most so many samples, about equally large."""
    n = -(-(stop - start) // size)
    edges = [start + (stop - start) * i // n for i in range(n + 1)]
    return list(pairwise(edges))


def is_out_of_memory(error: Exception) -> bool:
    """Say whether an error means that memory does not suffice."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def free_memory(device: torch.device) -> int | None:
    """Bytes that a pass can take on a device, with those that torch holds for reuse; None if that is unknown."""
    if device.type != "cuda":
        return None
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + held


def _suitable(load: PassLoad, device: torch.device, free: int | None) -> int:
    # On a CPU a batch that stays in the cache, and in retained memory, is fastest; elsewhere only a large one fills the device.
    if device.type == "cpu":
        budget, fewest, most = 2**21, 4, min(512 // load.n_samples, LARGEST_BLOCK // load.largest)
    else:
        budget, fewest, most = 2**29, 16, 2048
    if free is not None:
        most = min(most, free // 2 // load.activations)  # the rest is for what is no layer's result, and for other processes
        fewest = min(fewest, most)
    return max(min(budget // max(load.n_samples * load.input_bytes, 1), most), fewest // load.n_samples, 1)
