"""Models that return something else than (N, classes), and the same models wrapped by hand."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn


class ModelOutput(OrderedDict):
    """As in transformers: values by key, by attribute and by place."""

    def __getattr__(self, name):
        return self[name]

    def __getitem__(self, key):
        return super().__getitem__(key) if isinstance(key, str) else list(self.values())[key]


class Pair(NamedTuple):
    scores: Tensor
    maps: Tensor


@dataclass
class Record:
    scores: Tensor
    features: Tensor


class Returns(nn.Module):
    """A network of which `make` makes what is returned, from its scores and its inputs."""

    def __init__(self, network, make):
        super().__init__()
        self.network, self.make = network, make
        self.eval()

    def forward(self, inputs):
        return self.make(self.network(inputs), inputs)


def scores_alone(scores, inputs):
    return scores


def as_logits(scores, inputs):
    return ModelOutput(logits=scores, pooled=inputs.flatten(1))


def as_dict(scores, inputs):
    return {"features": inputs, "scores": scores}


def as_tuple(scores, inputs):
    return inputs, scores


def as_pair(scores, inputs):
    return Pair(scores, inputs)


def as_record(scores, inputs):
    return Record(scores, inputs)


def as_two(scores, inputs):
    return scores, scores + 1


def as_flat(scores, inputs):
    return scores[:, 0]


def as_binary(scores, inputs):
    """The two logits of the two classes of a first logit, as a user would write them."""
    return torch.cat([torch.zeros_like(scores[:, :1]), scores[:, :1]], 1)


def as_labels(scores, inputs):
    return scores.sigmoid()


def as_halves(scores, inputs):
    return scores / 2


def as_probabilities(scores, inputs):
    return scores.softmax(1)
