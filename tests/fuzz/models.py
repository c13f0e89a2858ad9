"""Small random networks of many kinds: each is a description that hypothesis draws, prints and makes smaller."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import nn

N_CLASSES = 3
_CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_BATCH_NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_MAX_POOLS = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
_MEAN_POOLS = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}
_ACTIVATIONS = {"relu": nn.ReLU, "in place": lambda: nn.ReLU(inplace=True), "tanh": nn.Tanh, "silu": nn.SiLU}


class Residual(nn.Module):
    """A sum in place around a layer, as in torchvision."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        out = self.inner(x)
        out += x
        return out


class Recurrent(nn.Module):
    """Time comes second: the series is transposed first, and the last state counts."""

    def __init__(self, channels, width):
        super().__init__()
        self.gru = nn.GRU(channels, width, batch_first=True)

    def forward(self, x):
        return self.gru(x.transpose(1, 2))[0][:, -1]


@dataclass(frozen=True)
class Network:
    """What a network is made of. `pieces` come before the last fully connected layer."""

    pieces: tuple
    width: int
    activation: str
    softmax: bool
    training: bool
    double: bool
    seed: int

    def build(self, shape):
        """The network for inputs of a shape, without the batch axis."""
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            model = nn.Sequential(*self._layers(shape))
            for module in model.modules():
                if hasattr(module, "running_mean"):
                    nn.init.normal_(module.running_mean)
                    nn.init.uniform_(module.running_var, 0.5, 2)
        model.train(self.training)
        return model.double() if self.double else model

    def _layers(self, shape):
        layers, channels, spatial = [], shape[0], shape[1:]
        for piece in self.pieces if spatial else ("linear",) * min(len(self.pieces), 2):
            if (piece == "pool" and min(spatial) < 2) or (piece == "gru" and len(spatial) != 1):
                continue
            layers += self._piece(piece, channels, len(spatial))
            channels = self.width if piece in ("conv", "linear", "gru") else channels
            spatial = () if piece == "gru" else tuple(n // 2 for n in spatial) if piece == "pool" else spatial
            if piece == "gru":
                break
        if spatial and "mean" in self.pieces:
            layers, spatial = [*layers, _MEAN_POOLS[len(spatial)](1)], (1,) * len(spatial)
        n = channels * int(torch.Size(spatial).numel())
        head = [nn.Flatten()] * bool(spatial) + [nn.Linear(n, N_CLASSES)] + [nn.Softmax(-1)] * self.softmax
        return layers + head

    def _piece(self, piece, channels, dims):
        activation = _ACTIVATIONS[self.activation]
        if piece == "linear":
            return [nn.Linear(channels, self.width), activation()]
        if piece == "gru":
            return [Recurrent(channels, self.width)]
        if piece == "pool":
            return [_MAX_POOLS[dims](2)]
        if piece == "norm":
            return [_BATCH_NORMS[dims](channels)]
        if piece == "residual":
            return [Residual(_CONVOLUTIONS[dims](channels, channels, 3, padding=1)), activation()]
        return [_CONVOLUTIONS[dims](channels, self.width, 3, padding=1), activation()] if piece == "conv" else []


def networks(doubles):
    """Networks; `doubles` says which are in double precision."""
    return st.builds(
        Network,
        pieces=st.lists(st.sampled_from(["conv", "conv", "norm", "residual", "pool", "mean", "gru"]), max_size=5).map(tuple),
        width=st.sampled_from([3, 4, 5, 2, 1]),
        activation=st.sampled_from(list(_ACTIVATIONS)),
        softmax=st.sampled_from([False, False, True]),
        training=st.booleans(),
        double=doubles,
        seed=st.integers(0, 2**32 - 1),
    )


def logits(model, x):
    """What a network returns before a softmax at its end."""
    return (model[:-1] if isinstance(model[-1], nn.Softmax) else model)(x)
