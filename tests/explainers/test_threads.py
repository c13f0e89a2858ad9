import threading
import warnings

import pytest
import torch
from torch import nn

from quantus_senc import explain
from tests.explainers.models import CANONIZED, QUIET, network

pytestmark = QUIET
N_RUNS = 10
PATIENCE = 30  # seconds, after which a thread that waits for another gives up


def in_threads(*functions):
    """Run functions at the same time, and raise the first exception of any of them."""
    errors = []

    def guarded(function):
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


class Waiting(nn.Module):
    """Tells that it is called, and waits for something before it goes on."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc1, self.relu, self.fc2 = nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)
        self.called, self.may_go_on = threading.Event(), threading.Event()

    def forward(self, x):
        hidden = self.relu(self.fc1(x))
        self.called.set()
        assert self.may_go_on.wait(PATIENCE)
        return self.fc2(hidden)


@pytest.fixture
def table():
    return torch.rand(2, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 2])


@pytest.mark.parametrize("method", CANONIZED)
def test_model_runs_while_another_is_traced(method, table, x):
    other = network("ResNet10")
    expected = other(x)
    for _ in range(N_RUNS):
        traced = Waiting().eval()

        def run_the_other(traced=traced):
            assert traced.called.wait(PATIENCE)
            try:
                assert torch.equal(other(x), expected)
            finally:
                traced.may_go_on.set()

        in_threads(lambda traced=traced: explain(traced, *table, method=method), run_the_other)


def test_models_are_traced_at_the_same_time(x, y):
    models = [network("ResNet10"), network("functional")]
    expected = [explain(model, x, y, method="DeepLift") for model in models]
    start = threading.Barrier(len(models))

    def explain_often(model, maps):
        start.wait(PATIENCE)
        for _ in range(5):
            assert torch.equal(explain(model, x, y, method="DeepLift"), maps)

    in_threads(*[lambda pair=pair: explain_often(*pair) for pair in zip(models, expected, strict=True)])


@pytest.mark.unwatched("generators")  # the other thread draws weights meanwhile
@pytest.mark.parametrize("method", ["Saliency", "GradCAM"])
def test_calls_that_overlap_leave_the_filters_of_warnings(method, x, y):
    before = list(warnings.filters)
    first, second = threading.Event(), threading.Event()
    is_over = threading.Event()

    class Meeting(nn.Module):
        def __init__(self, arrives, waits_for):
            super().__init__()
            self.conv, self.arrives, self.waits_for = nn.Conv2d(3, 5, 3), arrives, waits_for

        def forward(self, x):
            self.arrives.set()
            assert self.waits_for.wait(PATIENCE)
            return self.conv(x).mean((2, 3))

    def explain_first():
        explain(Meeting(first, second).eval(), x, y, method=method)
        is_over.set()

    def explain_second():
        assert first.wait(PATIENCE)
        explain(Meeting(second, is_over).eval(), x, y, method=method)

    in_threads(explain_first, explain_second)
    assert list(warnings.filters) == before
