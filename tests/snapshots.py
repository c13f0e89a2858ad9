"""What a call must leave as it was: the model, and the settings of NumPy, torch and warnings."""

import re
import warnings
from itertools import chain

import numpy as np
import torch
from torch import nn
from torch.fx import _symbolic_trace
from torch.nn.modules import module as torch_modules
from torch.nn.parameter import is_lazy

_EQUAL_BY_VALUE = (bool, int, float, str, bytes, type(None), torch.dtype, re.Pattern)


class ModelSnapshot:
    """The state of a model. It keeps references to all attributes, so that no new object can take the place of an old one."""

    def __init__(self, model):
        self.modules = {name: (module, _attributes(module)) for name, module in _named_modules(model)}
        tensors = chain(model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False))
        self.tensors = {name: (tensor, _tensor_state(tensor)) for name, tensor in tensors}

    def differences(self):
        """In words, what has changed since."""
        lines = []
        for name, (module, attributes) in self.modules.items():
            now = _attributes(module)
            changed = [key for key in {**attributes, **now} if not _is_same(attributes.get(key), now.get(key))]
            lines += [f"attribute {key!r} of module {name!r}" for key in changed]
        for name, (tensor, state) in self.tensors.items():
            changed = [key for key, value in _tensor_state(tensor).items() if not _is_same(state[key], value)]
            lines += [f"{key} of tensor {name!r}" for key in changed]
        return lines


class ProcessSnapshot:
    """The state of what all code in a process shares."""

    def __init__(self):
        self.settings = _settings()
        self.generators = _generators()

    def differences(self, *, generators=True):
        """In words, what has changed since."""
        now = _settings()
        changed = [name for name, value in self.settings.items() if not _is_same(value, now[name])]
        return changed + ["global generators"] * (generators and _generators() != self.generators)


def _named_modules(model):
    return [("", model), *((name, module) for name, module in model.named_modules(remove_duplicate=False) if name)]


def _attributes(module):
    """Attributes by name; of dicts and sets also the contents, which are changed in place."""
    held = dict(vars(module))
    return held | {f"{name}, inside": _contents(value) for name, value in held.items() if isinstance(value, dict | set)}


def _contents(value):
    return tuple(value.items()) if isinstance(value, dict) else tuple(value)


def _is_same(before, now):
    """Whether two values are the same object, equal plain values, or collections of such."""
    if before is now:
        return True
    if type(before) is not type(now):
        return False
    if isinstance(before, tuple):
        return len(before) == len(now) and all(map(_is_same, before, now))
    return isinstance(before, _EQUAL_BY_VALUE) and before == now


def _tensor_state(tensor):
    grad = tensor.grad if tensor.is_leaf else None
    return {
        "value": _bits(tensor),
        "requires_grad": tensor.requires_grad,
        "grad": grad,
        "value of grad": _bits(grad),
        "type": tensor.dtype,
        "device": str(tensor.device),
    }


def _bits(tensor):
    if tensor is None or is_lazy(tensor) or tensor.is_meta or tensor.layout is not torch.strided:
        return None
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _generators():
    name, keys, *rest = np.random.get_state()
    return name, keys.tobytes(), *rest, torch.get_rng_state().numpy().tobytes()


def _settings():
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    hooks = {name: _contents(value) for name, value in vars(torch_modules).items() if name.startswith("_global_") and value}
    return {
        "default type": torch.get_default_dtype(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn": (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "warning filters": tuple(warnings.filters),
        "the function that shows warnings": warnings.showwarning,
        "number of threads": torch.get_num_threads(),
        "functions of nn.Module": tuple(vars(nn.Module).items()),
        "tracing": (_symbolic_trace._is_fx_tracing_flag, _symbolic_trace.CURRENT_PATCHER),
        "functions of torch": (torch._C._len_torch_function_stack(), torch._C._len_torch_dispatch_stack()),
        "hooks of all modules": tuple(hooks.items()),
    }
