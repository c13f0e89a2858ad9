"""What a GPU is given to do."""

from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity
from torch.profiler import profile as trace


def launches(run: Callable[[], object], n_passes: int) -> dict[str, float]:
    """Kernels, and transfers between host and device, for each pass of a call."""
    with trace(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as traced:
        run()
    events = [event for event in traced.events() if event.device_type is torch.autograd.DeviceType.CUDA]
    copies = [event for event in events if "Memcpy HtoD" in event.name or "Memcpy DtoH" in event.name]
    others = [event for event in events if not event.name.startswith(("Memcpy", "Memset"))]
    return {"kernels a pass": len(others) / n_passes, "transfers a pass": len(copies) / n_passes}
