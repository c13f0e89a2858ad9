"""A tracer of `torch.fx` that changes nothing of torch: it works within the modules that it traces."""

import builtins
import math
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, fx, nn
from torch.fx import _symbolic_trace
from torch.nn.modules.conv import _ConvNd

from quantus_senc.explainers.hooks import without_hooks
from quantus_senc.model.put_back import run_and_put_back

T = TypeVar("T")

_TRACING = threading.RLock()  # two traces would put back each other's functions


class SingleInput(nn.Module):
    """Calls the model with one argument, so that optional arguments of its `forward` keep their defaults."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Any:
        """The output of the model."""
        return self.model(x)


class Tracer(fx.Tracer):
    """Stops at the modules of torch, and at layers derived from them that inherit their `forward`.

    `torch.fx` replaces `nn.Module.__call__` while it traces, so that models which run in other threads fail. This tracer
    replaces the `forward` and the parameters of each module of the traced model, and nothing of other models.

    Parameters
    ----------
    root
        Calls the model.
    """

    def __init__(self, root: SingleInput) -> None:
        super().__init__()
        self.root, self.root_module_name = root, type(root).__name__
        self.graph = fx.Graph(tracer_cls=type(self))
        self.submodule_paths = {module: name for name, module in root.named_modules()}
        self.tensor_attrs = {
            value: f"{path}.{name}"
            for path, module in root.named_modules()
            for name, value in vars(module).items()
            if isinstance(value, Tensor)
        }

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one step of the graph."""
        kind = next((base for base in type(m).__mro__ if base.__module__.startswith("torch.nn.modules")), None)
        inherits = isinstance(m, nn.Linear | _ConvNd) and kind is not None and type(m).forward is vars(kind)["forward"]
        return super().is_leaf_module(m, module_qualified_name) or inherits

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Record the call of a module. Of what only distributes or compiles a model, the model itself is traced."""
        parallel = isinstance(m, nn.DataParallel | nn.parallel.DistributedDataParallel)
        inner = m._modules.get("module" if parallel else "_orig_mod")
        return super().call_module(m, forward, args, kwargs) if inner is None else inner(*args, **kwargs)

    def record(self) -> fx.Graph:
        """The graph of the root. Afterwards the model is as before."""
        model = self.root.get_submodule("model")
        with _TRACING:
            return _with_recorded_functions(model, lambda: without_hooks(model, lambda: self._record(model)))

    def _record(self, model: nn.Module) -> fx.Graph:
        x = self.create_proxy("placeholder", "x", (), {})
        proxies = {id(one): self.create_proxy("get_attr", name, (), {}) for name, one in self.root.named_parameters()}
        for module in model.modules():
            if not isinstance(module, torch.jit.ScriptModule):
                replaced = {name: proxies[id(one)] for name, one in module._parameters.items() if one is not None}
                forward = self._recorded(module, module.forward)
                vars(module).update(replaced, forward=forward, _compiled_call_impl=None)  # as if not compiled
        self.create_node("output", "output", (self.create_arg(model(x)),), {})
        return self.graph

    def _recorded(self, module: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: self.call_module(module, forward, args, kwargs)


def _with_recorded_functions(model: nn.Module, run: Callable[[], T]) -> T:
    """Run with functions that take no proxies wrapped, so that their calls are recorded. Other calls pass through.

    These are the functions of `math`, in the files of the model's modules too, and those that users gave to `fx.wrap`.
    """
    kinds = {id(value) for value in vars(math).values() if callable(value)}
    files = {id(scope): scope for scope in (getattr(module.forward, "__globals__", {}) for module in model.modules())}
    scopes = [vars(math), *files.values()]
    places = [(scope, name) for scope in scopes for name, value in list(scope.items()) if id(value) in kinds]
    places += [(scope, name) for (_, name), scope in _symbolic_trace._wrapped_fns_to_patch.items()]
    noted = [(scope, name, scope.get(name)) for scope, name in places]

    def put_back() -> None:
        for scope, name, function in noted:
            if function is None:  # a builtin
                scope.pop(name, None)
            else:
                scope[name] = function

    def recorded() -> T:
        for scope, name, function in noted:
            scope[name] = _symbolic_trace._create_wrapped_func(function or getattr(builtins, name))
        return run()

    return run_and_put_back(recorded, put_back)
