"""Values that are equal in every map are ranked once, and nothing changes."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch.nn.functional import interpolate

from quantus_senc import DataSensitivityConsistency, _similarity
from quantus_senc._batch import Originals
from quantus_senc._plateaus import Plateaus
from tests.conftest import classes, inputs
from tests.networks import PlainCNN

N_VALUES = 3 * 12 * 12


def upsampled(n):
    return interpolate(torch.randn(n, 1, 4, 4), (12, 12)).expand(-1, 3, -1, -1)


def with_zeros(n):
    return upsampled(n).relu()


def of_other_zeros(n):
    """Half of each pass is zero, now the left one, now the right one."""
    maps = upsampled(n).clone()
    of_other_zeros.calls += 1
    maps[..., slice(6) if of_other_zeros.calls % 2 else slice(6, None)] = 0
    return maps


def with_negative_zeros(n):
    maps = with_zeros(n).clone()
    maps[:, 0, 0, 0] *= -1
    return maps


def now_and_then_nan(n):
    maps = upsampled(n).clone()
    maps[1, :, 2, 2] = torch.nan
    return maps


def level(n):
    maps = upsampled(n).clone()
    maps[::2] = 0.5
    return maps


def twice(n):
    return upsampled(n).double()


def noise(n):
    return torch.randn(n, 3, 12, 12)


KINDS = [upsampled, with_zeros, of_other_zeros, with_negative_zeros, now_and_then_nan, level, twice, noise]


@pytest.fixture
def widths(monkeypatch):
    """How many values of a map are sorted, each time that maps are."""
    found, sort = [], _similarity._sort
    monkeypatch.setattr(_similarity, "_sort", lambda values: found.append(values.shape[-1]) or sort(values))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_correlations_are_those_of_scipy(kind):
    torch.manual_seed(0)
    of_other_zeros.calls = 0
    own, images = kind(2).flatten(1), torch.tensor([0, 0, 1, 1, 1])
    originals = Originals.of(torch.ones(2), own)
    for _ in range(6):
        maps = kind(5).flatten(1)
        found, without = originals.similarity(images, maps)
        for one, no_ranks, image, values in zip(found, without, images, maps, strict=True):
            assert no_ranks == (values == values[0]).all()
            expected = 0.0 if no_ranks or (own[image] == own[image, 0]).all() else spearmanr(own[image], values).statistic
            np.testing.assert_allclose(one, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("kind", "expected"), [(upsampled, 16), (of_other_zeros, 16), (level, 16), (noise, N_VALUES)])
def test_how_many_values_are_sorted(kind, expected, widths):
    torch.manual_seed(0)
    of_other_zeros.calls = 0
    originals = Originals.of(torch.ones(2), kind(2).flatten(1))
    for _ in range(4):
        originals.similarity(torch.tensor([0, 1, 1]), kind(3).flatten(1))
    assert widths[-1] == expected


def test_looking_for_plateaus_comes_to_an_end(monkeypatch):
    compared = []
    equal = torch.equal
    monkeypatch.setattr(torch, "equal", lambda *values: compared.append(1) or equal(*values))
    maps = now_and_then_nan(5).flatten(1)
    plateaus = Plateaus(torch.ones_like(maps))
    for _ in range(20):
        assert plateaus.firsts(maps) is None
    assert len(compared) < 10


def test_sensitivities_of_a_metric(monkeypatch, widths):
    def explain(model, inputs, targets, **_):
        maps = torch.nn.functional.avg_pool2d(inputs.square().sum(1, keepdim=True), 4)
        return interpolate(maps, inputs.shape[2:])

    torch.manual_seed(0)
    model = PlainCNN().eval()

    def scores():
        metric = DataSensitivityConsistency(n_masks=200, segment_func="grid", max_batch_size=64, disable_warnings=True)
        return metric(model, inputs(3, 3, 16, 16), classes(3), explain_func=explain)

    found = scores()
    assert 16 in widths
    del widths[:]
    monkeypatch.setattr(Plateaus, "firsts", lambda *_: None)
    np.testing.assert_allclose(scores(), found, rtol=1e-9)
    assert 16 not in widths
