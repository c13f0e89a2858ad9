"""How images lie in memory: most convolutions on a CPU are faster where the channels of a pixel are neighbours."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from quantus_senc._batch import Originals
from quantus_senc._chunks import BatchLimit
from quantus_senc._explain import Subject
from quantus_senc._preserve import preserved
from quantus_senc._similarity import has_no_ranks


def in_faster_layout(subject: Subject, x_batch: np.ndarray, y_batch: np.ndarray, limit: BatchLimit) -> Subject:
    """The same with channels last in memory, for colour images in single precision, if it gives the same for the first."""
    image = subject.inputs(x_batch[:1])
    colour = image.ndim == 4 and image.shape[1] > 1 and image.dtype is torch.float32 and image.device.type == "cpu"
    if not (colour and any(isinstance(one, nn.Conv2d) for one in subject.model.modules())):
        return subject
    x, y = x_batch[:1].repeat(2, 0), y_batch[:1].repeat(2, 0)  # two, because more views of a single image are possible
    confidence, maps = subject.originals(x, y, limit)
    originals = Originals.of(confidence, subject.ready(maps))
    if has_no_ranks(originals.ranks).any() or originals.ranks.isnan().any():  # which would be the same by any layout
        return subject
    other = replace(subject, channels_last=True)
    try:
        with preserved(subject.model):
            confidence, maps = other.originals(x, y, limit)
            return other if originals.alike(confidence, other.ready(maps)) else subject
    except OSError:  # a deadline or a lost connection, not the layout
        raise
    except Exception:  # as of a model that flattens with `view`
        return subject
