"""Comparisons by engines: the same scores as in one process, and clear words where an engine fails."""

import pickle
import warnings
from concurrent.futures import BrokenExecutor

import numpy as np
import pandas as pd
import pytest
import torch

from quantus_senc import compare
from tests.comparison.test_runs import Counting, Drawing, X, Y, assert_same, settings
from tests.small_models import gradient, image_model

pytestmark = pytest.mark.xdist_group("runs")


class Future:
    """What was sent is run when its result is asked for, as if in another process."""

    cancelled = False

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def done(self):
        return True

    def result(self):
        function, arguments = pickle.loads(pickle.dumps((self.function, self.arguments)))
        return pickle.loads(pickle.dumps(function(*arguments)))

    def cancel(self):
        self.cancelled = True


class Engine:
    future = Future

    def __init__(self):
        self.futures = []

    def submit(self, function, *arguments):
        self.futures.append(self.future(function, *arguments))
        return self.futures[-1]


@pytest.fixture(scope="module")
def model():
    return image_model()


@pytest.fixture(scope="module")
def whole(model):
    return compare(model, X, Y, **settings())


def test_blocks_are_done_by_an_engine(model, whole):
    engine = Engine()
    result = compare(model, X, Y, executor=engine, **settings())
    assert_same(result, whole)
    assert [len(future.arguments[0].evaluation.keywords["x_batch"]) for future in engine.futures] == [2, 1]


def test_an_engine_writes_to_a_folder(model, whole, tmp_path):
    assert_same(compare(model, X, Y, executor=Engine(), folder=tmp_path, **settings()), whole)
    Counting.n_samples = 0
    assert_same(compare(model, X, Y, executor=Engine(), folder=tmp_path, **settings()), whole)
    assert Counting.n_samples == 4  # two methods are tried twice


def test_what_is_sent_does_not_grow_with_the_number_of_images(model, tmp_path):
    sizes = []
    for n in (2, 40):
        engine = Engine()
        x, y = np.repeat(X[:1], n, 0), np.repeat(Y[:1], n)
        compare(model, x, y, executor=engine, folder=tmp_path / str(n), **settings(metrics={"drawn": Drawing()}))
        sizes.append(len(pickle.dumps(engine.futures[0].arguments[0].run)))
    assert sizes[1] - sizes[0] <= 2  # the names of the folders


class Client:
    """Of a scheduler of Dask, as far as it is asked."""

    def __init__(self, workers):
        self.workers = workers

    def scheduler_info(self):
        return {"workers": self.workers}

    def submit(self, function, *arguments, pure):
        return function(*arguments)


@pytest.mark.parametrize("workers", [{}, {"tcp://one": {}}], ids=["none", "one"])
def test_a_cluster_without_workers_is_said(model, whole, workers):
    engine = Engine()
    engine._client = Client(workers)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert_same(compare(model, X, Y, executor=engine, **settings()), whole)
    said = [str(warning.message) for warning in caught if "no workers yet" in str(warning.message)]
    assert said == ([] if workers else ["The cluster has no workers yet; the run waits for the first."])


def test_threads_are_as_before(model):
    before = torch.get_num_threads()
    pool = Engine()
    pool._max_workers = 1
    compare(model, X, Y, executor=pool, **settings(metrics={"Top-1": "Top-1"}))
    assert torch.get_num_threads() == before
    assert pool.futures[0].arguments[0].n_threads >= 1


CANNOT_BE_SENT = {
    "method 'mine'": {"methods": {"mine": lambda model, inputs, targets: gradient(model, inputs, targets)}},
    "metric 'mine'": {"metrics": {"mine": lambda **kwargs: [0.0] * len(kwargs["x_batch"])}},
}


@pytest.mark.parametrize("what", CANNOT_BE_SENT)
def test_what_cannot_be_sent_is_named(model, what):
    with pytest.raises(ValueError, match=f"{what} cannot be sent to a worker .*at the top of a module"):
        compare(model, X, Y, executor=Engine(), **settings(**CANNOT_BE_SENT[what]))


def test_a_model_that_cannot_be_sent_is_named():
    model = image_model()
    model.activation = lambda x: x
    with pytest.raises(ValueError, match="the model cannot be sent to a worker"):
        compare(model, X, Y, executor=Engine(), **settings())


def test_a_function_makes_a_model_that_cannot_be_sent(whole):
    """Here, and in the workers."""
    engine = Engine()
    result = compare("tests.small_models:unpicklable_model", X, Y, executor=engine, **settings())
    pd.testing.assert_frame_equal(result.scores, whole.scores)
    assert engine.futures[0].arguments[1] == "tests.small_models:unpicklable_model"


def changing_model():
    """Another model at each call."""
    changing_model.n += 1
    model = image_model()
    with torch.no_grad():
        model[0].bias += changing_model.n
    return model


changing_model.n = 0


def test_a_function_that_makes_another_model_elsewhere_is_refused():
    with pytest.raises(ValueError, match=r"'tests.comparison.test_workers:changing_model' returns another model here"):
        compare("tests.comparison.test_workers:changing_model", X, Y, executor=Engine(), **settings())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"timeout": 5}, "timeout=5 needs an executor and a folder"),
        ({"timeout": 5, "executor": Engine()}, "timeout=5 needs an executor and a folder"),
        ({"timeout": 0}, "timeout=0 must be a number of seconds above 0"),
        ({"timeout": "1 h"}, "timeout='1 h' must be a number of seconds above 0"),
    ],
)
def test_time_limits_that_nobody_holds_to(model, arguments, message):
    with pytest.raises(ValueError, match=message):
        compare(model, X, Y, **arguments, **settings())


class DeadEngine(Engine):
    class future(Future):
        def result(self):
            raise BrokenExecutor("a process was terminated abruptly")


def test_a_worker_that_dies_is_said(model):
    with pytest.raises(RuntimeError, match=r"a worker has died .*the same call with a new executor goes on where"):
        compare(model, X, Y, executor=DeadEngine(), **settings())


class InterruptedEngine(Engine):
    class future(Future):
        def done(self):
            raise KeyboardInterrupt


def test_an_interrupt_cancels_what_waits(model):
    engine = InterruptedEngine()
    with pytest.raises(KeyboardInterrupt):
        compare(model, X, Y, executor=engine, **settings())
    assert [future.cancelled for future in engine.futures] == [True, True]


def test_images_may_be_spread_over_many_blocks(model, whole):
    """The scores of sensitivity consistency do not depend on the size of blocks, whoever does them."""
    senc = {"SenC": settings()["metrics"]["SenC"]}
    one = compare(model, X, Y, executor=Engine(), **settings(metrics=senc, block_size=1)).scores
    expected = whole.scores.query("metric == 'SenC'").reset_index(drop=True)
    pd.testing.assert_frame_equal(one, expected, atol=1e-6)
