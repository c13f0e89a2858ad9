"""Comparisons in folders: nothing that is done is lost, done twice, or mixed with something else."""

import copy
import json
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import quantus
import torch
from filelock import FileLock

from quantus_senc import Comparison, DataSensitivityConsistency, compare
from quantus_senc.comparison import begin_run, stored_cells
from tests.small_models import gradient, image_model, inputs

pytestmark = pytest.mark.xdist_group("runs")  # one process makes the comparison that they look at
GRID = {"segment_func": "grid", "segment_func_kwargs": {"patch_size": 2}}
X, Y = inputs(3, 1, 8, 8), np.array([0, 1, 2])


class Drawing:
    """A metric of random numbers from the global generator of NumPy."""

    def __call__(self, model, x_batch, y_batch, a_batch, s_batch, explain_func, explain_func_kwargs, batch_size):
        return np.random.random(len(x_batch))


class Counting:
    """An explanation method that counts the samples it explains; with keywords it raises an error, or is interrupted."""

    n_samples = 0

    def __call__(self, model, inputs, targets, power=1.0, fails_on=None, error=ArithmeticError):
        type(self).n_samples += len(inputs)
        if fails_on is not None and fails_on in np.asarray(targets):
            raise error("no map")
        return gradient(model, torch.as_tensor(inputs), torch.as_tensor(targets)) * power


class FailsLater(Counting):
    """A method that raises an error after so many more calls."""

    n_calls = None

    def __call__(self, model, inputs, targets, **kwargs):
        if self.n_calls is not None:
            type(self).n_calls -= 1
            if self.n_calls < 0:
                raise ArithmeticError("no map")
        return super().__call__(model, inputs, targets, **kwargs)


def settings(**changes):
    """Arguments of a small comparison: 2 blocks, 2 methods, 5 metrics, of which 3 read the run of another."""
    senc = DataSensitivityConsistency(40, 0.5, estimator="regression", disable_warnings=True, **GRID)
    metrics = {"SenC": senc, "Top-2": senc.top_k(2), "error": senc.standard_error(), "paper": senc.with_estimator("paper")}
    metrics |= {"drawn": Drawing()}
    methods = {"plain": Counting(), "double": (Counting(), {"power": 2.0})}
    return {"methods": methods, "metrics": metrics, "n_masks": 40, "block_size": 2} | changes


@pytest.fixture(scope="module")
def model():
    return image_model()


@pytest.fixture(scope="module")
def whole(model):
    return compare(model, X, Y, **settings())


def assert_same(result, expected):
    """Equal bit for bit, but for times."""
    pd.testing.assert_frame_equal(result.scores, expected.scores)
    pd.testing.assert_frame_equal(result.metrics, expected.metrics)
    first, second = ({**one.settings, "seconds": None} for one in (result, expected))
    assert first == second
    for name in ("maps", "features", "units"):
        mine, theirs = getattr(result.examples, name), getattr(expected.examples, name)
        assert list(mine) == list(theirs)
        for key, value in mine.items():
            if name == "maps":
                np.testing.assert_array_equal(value, theirs[key])
            else:
                assert torch.equal(value.weights, theirs[key].weights)
                assert torch.equal(value.labels, theirs[key].labels) if value.labels is not None else theirs[key].labels is None


def assert_same_scores(result, expected):
    """Equal bit for bit, in any order of metrics and methods."""
    key = ["metric", "method", "image"]
    first, second = (one.scores.sort_values(key, ignore_index=True) for one in (result, expected))
    pd.testing.assert_frame_equal(first, second)


def test_a_folder_holds_what_a_call_returns(model, whole, tmp_path):
    assert_same(compare(model, X, Y, folder=tmp_path, **settings()), whole)
    assert_same(Comparison.load(tmp_path), whole)


def test_parameter_senc(model, tmp_path):
    parameters = settings(metrics=["Parameter SenC"], methods={"plain": Counting()})
    expected = compare(model, X, Y, **parameters)
    assert_same(compare(model, X, Y, folder=tmp_path, **parameters), expected)
    (tmp_path / "cells").rename(tmp_path / "cells.new")
    assert_same(compare(model, X, Y, folder=tmp_path, **parameters), expected)
    assert list(expected.examples.units) == ["plain"]


def test_a_metric_that_learns_in_a_call_is_used_twice(model, tmp_path):
    """Quantus's Efficient MPRT keeps the number of bins of the first maps that it sees."""
    bins = {"rule": "Scotts", "min_n_bins": 1}
    call = {"methods": {"plain": Counting()}, "block_size": 1}

    def metrics():
        return {"MPRT": quantus.EfficientMPRT(complexity_func_kwargs=dict(bins), disable_warnings=True)}

    metrics_of_two_calls = metrics()
    result = compare(model, X, Y, folder=tmp_path, metrics=metrics_of_two_calls, **call)
    assert_same(compare(model, X, Y, folder=tmp_path, metrics=metrics_of_two_calls, **call), result)
    alone = compare(model, X[2:], Y[2:], image_ids=[2], metrics=metrics(), **call)
    assert alone.scores["score"].tolist() == result.scores["score"].tolist()[2:]


class Learning(quantus.Sparseness):
    """A metric that counts its calls in what it holds."""

    def __init__(self, holds, used):
        super().__init__(disable_warnings=True)
        self.holds, self.used = holds, used

    def evaluate_batch(self, x_batch, **kwargs):
        return [float(self.used(self.holds))] * len(x_batch)


def appended(lists):
    """The length of the second list, which may be the first."""
    lists[0].append(0)
    return len(lists[1])


def counted(counts):
    counts["calls"] += 1
    return counts["calls"]


@pytest.mark.parametrize(
    ("holds", "used"),
    [
        (np.random.default_rng(0), np.random.Generator.random),
        (defaultdict(int), counted),
        (SimpleNamespace(calls=0), lambda kept: counted(vars(kept))),
        ([[]] * 2, appended),
    ],
    ids=["generator", "defaultdict", "object", "two names of a list"],
)
def test_whatever_a_metric_learns_does_not_change_the_next_block(model, holds, used):
    first = used(copy.deepcopy(holds))
    result = compare(model, X, Y, methods={"plain": Counting()}, metrics={"m": Learning(holds, used)}, block_size=1)
    assert result.scores["score"].tolist() == [first] * len(X)


def test_a_metric_that_cannot_be_copied_is_called(model):
    metric = Learning(threading.Lock(), lambda lock: lock.locked())
    result = compare(model, X, Y, methods={"plain": Counting()}, metrics={"m": metric}, block_size=1)
    assert result.scores["score"].tolist() == [0.0] * len(X)


def test_the_same_call_again_explains_one_image(model, whole, tmp_path):
    """Each of two methods twice, to see whether it is the same."""
    compare(model, X, Y, folder=tmp_path, **settings())
    Counting.n_samples = 0
    assert_same(compare(model, X, Y, folder=tmp_path, **settings()), whole)
    assert Counting.n_samples == 4


class Stop(BaseException):
    """What stops a process in a test: nothing catches it."""


@contextmanager
def stopping_at(monkeypatch, n_file, *, half_written):
    """Stop before the file of this number is written, or when it is half written beside."""
    write, count = stored_cells.write_file, [0]

    def stop(file, data):
        count[0] += 1
        if count[0] == n_file:
            if half_written:
                file.with_name(f".{file.name}.1{stored_cells.BESIDE}").write_bytes(data[: len(data) // 2])
            raise Stop
        write(file, data)

    with monkeypatch.context() as patch:
        for module in (stored_cells, begin_run):
            patch.setattr(module, "write_file", stop)
        yield


@pytest.mark.parametrize(
    ("n_file", "half_written"),
    [(1, True), (2, False), (2, True), (3, False), (5, True), (6, False), (9, False), (16, True), (27, False)],
)
def test_a_run_that_was_stopped_goes_on(monkeypatch, model, whole, tmp_path, n_file, half_written):
    """At the first file, between cells that read each other's runs, between methods, blocks, and at the last."""
    with pytest.raises(Stop), stopping_at(monkeypatch, n_file, half_written=half_written):
        compare(model, X, Y, folder=tmp_path, **settings())
    assert_same(compare(model, X, Y, folder=tmp_path, **settings()), whole)


ENDED = """
import os, random, signal, sys, time
import torch
from concurrent.futures import Future
from quantus_senc import compare
from quantus_senc.comparison import stored_cells
from tests.comparison.test_runs import X, Y, Counting, Drawing, Hanging, HangingMethod, image_model, settings

torch.set_num_threads(1)
at_cell, at_random, late = sys.argv[1:]

class Here:
    def submit(self, function, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        return future

def run(folder, **more):
    pid = os.fork()
    if not pid:
        compare(image_model(), X, Y, folder=folder, **settings(**more))
        os._exit(0)
    return pid

write, count = stored_cells.write_file, [0]
def kill_at_seventh(file, data):
    count[0] += 1
    write(file, data) if count[0] < 7 else os.kill(os.getpid(), signal.SIGKILL)
stored_cells.write_file = kill_at_seventh
print(os.waitpid(run(at_cell), 0)[1])
stored_cells.write_file = write

moments = random.Random(0)
for _ in range(20):
    pid = run(at_random)
    time.sleep(moments.uniform(0, 0.2))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

metrics = {"drawn": Drawing(), "hanging": Hanging(), "drawn again": Drawing()}
methods = {"plain": Counting(), "hanging": HangingMethod()}
for _ in range(3):
    pid = run(late, methods=methods, metrics=metrics, executor=Here(), timeout=2)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


class Hanging:
    """A metric that does not end for the images of the first block."""

    def __call__(self, model, x_batch, **kwargs):
        time.sleep(3600 if len(x_batch) == 2 else 0)
        return [0.5] * len(x_batch)


class HangingMethod(Counting):
    """A method that does not end for the images of the first block."""

    def __call__(self, model, inputs, targets, **kwargs):
        time.sleep(3600 if len(inputs) == 2 else 0)
        return super().__call__(model, inputs, targets, **kwargs)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """Folders of runs that were ended at a cell, at 20 random moments, and by a time limit; and how their processes ended."""
    folders = [tmp_path_factory.mktemp("ended") / name for name in ("cell", "random", "late")]
    command = [sys.executable, "-c", ENDED, *folders]
    process = subprocess.run(command, cwd=Path(__file__).parents[2], check=True, capture_output=True, text=True)
    return folders, [int(line) for line in process.stdout.split()]


def test_a_process_that_is_killed(ended, tmp_path, model, whole):
    """At a cell, and at 20 random moments."""
    (at_cell, at_random, _), statuses = ended
    assert statuses[0] == signal.SIGKILL
    unfinished = Comparison.load(at_cell)
    assert 0 < unfinished.n_missing < len(unfinished.scores)
    assert f"{unfinished.n_missing} of 30 scores not done yet" in repr(unfinished)
    assert "not done yet" in unfinished.report(tmp_path / "page.html").read_text()
    for folder in (at_cell, at_random):
        assert_same(compare(model, X, Y, folder=folder, **settings()), whole)


def test_a_cell_that_takes_too_long_is_ended(ended):
    """By a metric that hangs, and by a method: each ends one process, the next does the others. A text says where."""
    (_, _, folder), statuses = ended
    assert statuses[1:] == [1, 1, 0]
    failures = Comparison.load(folder).scores.set_index(["metric", "method"])["failure"]
    too_long = "it took longer than the time limit"
    assert list(failures["hanging", "plain"]) == [too_long] * 2 + [""]
    assert not failures[["drawn", "drawn again"]].xs("plain", level="method").any()
    for metric in ("drawn", "hanging", "drawn again"):
        assert list(failures[metric, "hanging"]) == [f"the method failed: {too_long}"] * 2 + [""]
    texts = [file.read_text() for file in folder.glob("cells/*/000000/*.txt")]
    assert len(texts) == 4
    assert all("Timeout" in text and "in __call__" in text for text in texts)
    assert not list(folder.rglob("*.late"))


def test_a_method_is_added(model, tmp_path):
    one = {"plain": Counting()}
    both = compare(model, X, Y, **settings())
    compare(model, X, Y, folder=tmp_path, **settings(methods=one))
    Counting.n_samples = 0
    assert_same(compare(model, X, Y, folder=tmp_path, **settings()), both)
    of_two = Counting.n_samples
    Counting.n_samples = 0
    compare(model, X, Y, **settings())
    assert of_two < 0.7 * Counting.n_samples


def test_an_estimator_and_an_agreement_are_added_without_masks(model, whole, tmp_path):
    """Only unperturbed images are explained again, and what shows that the method is no random one."""
    everything = settings()["metrics"]
    few = {name: everything[name] for name in ("SenC", "drawn")}
    compare(model, X, Y, folder=tmp_path, **settings(metrics=few))
    Counting.n_samples = 0
    result = compare(model, X, Y, folder=tmp_path, **settings())
    with_masks = Counting.n_samples
    assert_same_scores(result, whole)
    Counting.n_samples = 0
    compare(model, X, Y, **settings(metrics={"paper": everything["paper"]}))
    assert with_masks < Counting.n_samples - 2 * 3 * 30  # for two methods and three images, nearly 40 masks


def test_images_are_added(model, whole, tmp_path):
    compare(model, X[:2], Y[:2], folder=tmp_path, **settings())
    assert_same(compare(model, X, Y, folder=tmp_path, **settings()), whole)


DAMAGE = {
    "shortened": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "a byte of an array": lambda data: data[:-600] + bytes([data[-600] ^ 1]) + data[-599:],
    "something else": lambda data: b"no archive",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_cell_is_done_again(model, whole, tmp_path, damage):
    compare(model, X, Y, folder=tmp_path, **settings())
    cell = next(tmp_path.glob("cells/*/000001/plain-* by SenC-*.npz"))
    cell.write_bytes(damage(cell.read_bytes()))
    with pytest.warns(UserWarning, match="is damaged .* and counts as not done"):
        result = compare(model, X, Y, folder=tmp_path, **settings())
    assert_same(result, whole)


@pytest.mark.parametrize("other", ["000001/double-* by SenC-*", "000000/plain-* by SenC-*"], ids=["method", "block"])
def test_a_cell_that_is_a_copy_of_another_is_done_again(model, whole, tmp_path, other):
    compare(model, X, Y, folder=tmp_path, **settings())
    cell = next(tmp_path.glob("cells/*/000001/plain-* by SenC-*.npz"))
    cell.write_bytes(next(tmp_path.glob(f"cells/*/{other}")).read_bytes())
    with pytest.warns(UserWarning, match="is damaged .*it was written as .* and counts as not done"):
        result = compare(model, X, Y, folder=tmp_path, **settings())
    assert_same(result, whole)


def test_damaged_maps_and_images_are_made_again(model, whole, tmp_path):
    compare(model, X, Y, folder=tmp_path, **settings())
    (explanation,) = (file for file in tmp_path.glob("cells/*/000000/plain-*.npz") if " by " not in file.name)
    explanation.write_bytes(b"")
    (tmp_path / "example.npz").write_bytes(b"")
    with pytest.warns(UserWarning, match="example.npz is damaged"):
        result = compare(model, X, Y, folder=tmp_path, **settings())
    assert_same(result, whole)


def test_cells_of_another_run_are_never_taken(model, whole, tmp_path):
    mine, other = tmp_path / "mine", tmp_path / "other"
    compare(other_model(), X, Y, folder=other, **settings())
    compare(model, X, Y, folder=mine, **settings(methods={"plain": Counting()}))
    shutil.copytree(other / "cells", mine / "cells", dirs_exist_ok=True)
    assert_same(compare(model, X, Y, folder=mine, **settings()), whole)
    (mine / "run.json").unlink()
    with pytest.raises(ValueError, match=r"holds other files \(cells\), but no run.json"):
        compare(model, X, Y, folder=mine, **settings())


def test_a_run_stops_when_another_process_begins_anew(model, whole, tmp_path):
    """It has its cells below its own identifier, and gives up at the next block."""

    class Begins(Counting):
        has_begun = False

        def __call__(self, model, inputs, targets, **kwargs):
            if len(inputs) > 1 and not Begins.has_begun:
                Begins.has_begun = True
                compare(image_model(), X, Y, folder=tmp_path, fresh=True, **settings())
            return super().__call__(model, inputs, targets, **kwargs)

    methods = {"plain": Begins(), "double": (Counting(), {"power": 3.0})}
    with pytest.raises(ValueError, match="was begun anew by another process, so that this one has stopped"):
        compare(model, X, Y, folder=tmp_path, **settings(methods=methods))
    assert_same(Comparison.load(tmp_path), whole)


def test_a_method_that_fails_later_fails_alone(monkeypatch, model, tmp_path):
    """Its records are there, but the metric that is to read them cannot explain the unperturbed images again."""
    methods = {"plain": FailsLater(), "double": (Counting(), {"power": 2.0})}
    senc = settings()["metrics"]["SenC"]
    compare(model, X, Y, folder=tmp_path, **settings(methods=methods, metrics={"SenC": senc}))
    monkeypatch.setattr(FailsLater, "n_calls", 3)  # two look whether it is the same, one makes the maps of the first block
    result = compare(model, X, Y, folder=tmp_path, **settings(methods=methods, metrics={"SenC": senc, "Top-2": senc.top_k(2)}))
    failures = result.scores.set_index(["metric", "method"])["failure"]
    assert list(failures["Top-2", "plain"]) == ["ArithmeticError: no map"] * 2 + ["the method failed: ArithmeticError: no map"]
    assert set(failures["Top-2", "double"]) == set(failures["SenC", "plain"]) == {""}


def test_shards_come_together(model, whole, tmp_path):
    for number in (2, 1):
        result = compare(model, X, Y, folder=tmp_path, shard=(number, 2), **settings())
    assert_same(result, whole)


def test_a_block_that_another_process_works_on_is_left_to_it(model, whole, tmp_path):
    """The others are done first; then the block, in which the process has died."""
    order, locks = [], []

    class Noting(Counting):
        def __call__(self, model, inputs, targets, **kwargs):
            if len(inputs) > 1:  # masked images, and not those that show whether the method is the same
                order.append(len(list(tmp_path.glob("cells/*/000001/*by*.npz"))))
                for lock in locks:
                    lock.release()
            return super().__call__(model, inputs, targets, **kwargs)

    methods = {"plain": Noting(), "double": (Noting(), {"power": 2.0})}
    compare(model, X, Y, folder=tmp_path, **settings(methods=methods, metrics={"drawn": Drawing()}))
    (cells,) = tmp_path.glob("cells/*")
    locks.append(FileLock(cells / "000000" / ".lock"))
    locks[0].acquire()
    order.clear()
    result = compare(model, X, Y, folder=tmp_path, **settings(methods=methods))
    assert_same_scores(result, whole)
    assert (order[0], order[-1]) == (2, 10)  # the cells of block 1 that were done at the first and at the last explanation


def test_a_failure_leaves_its_traceback_and_can_be_tried_again(model, tmp_path):
    failing = settings(methods={"plain": (Counting(), {"fails_on": int(Y[0])})}, metrics={"drawn": Drawing()})
    result = compare(model, X, Y, folder=tmp_path, **failing)
    assert result.scores["failure"].iloc[0] == "the method failed: ArithmeticError: no map"
    (text,) = tmp_path.glob("cells/*/000000/*.txt")
    assert 'raise error("no map")' in text.read_text()
    Counting.n_samples = 0
    compare(model, X, Y, folder=tmp_path, **failing)
    assert Counting.n_samples == 1  # the method is tried on one image, and fails
    compare(model, X, Y, folder=tmp_path, retry_failed=True, **failing)
    assert Counting.n_samples > 2


def test_an_interrupt_ends_the_run(model, tmp_path):
    interrupted = {"fails_on": int(Y[2]), "error": KeyboardInterrupt}
    methods = {"plain": Counting(), "double": (Counting(), interrupted)}
    with pytest.raises(KeyboardInterrupt):
        compare(model, X, Y, folder=tmp_path, **settings(methods=methods, metrics={"drawn": Drawing()}))
    result = Comparison.load(tmp_path)
    assert 0 < result.n_missing < len(result.scores)


@contextmanager
def small_disk(n_bytes):
    """Files of this process may have so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_loses_the_cell_at_hand(model, whole, tmp_path):
    folder = tmp_path / "run"
    compare(model, X, Y, folder=folder, **settings(methods={"plain": Counting()}, metrics={"drawn": Drawing()}))
    with small_disk(4000), pytest.raises(OSError, match=r"was not written .*run the same again to go on"):
        compare(model, X, Y, folder=folder, **settings())
    assert not list(folder.glob(f"cells/*/*/.*{stored_cells.BESIDE}"))
    result = compare(model, X, Y, folder=folder, **settings())
    assert_same_scores(result, whole)


def other_model():
    model = image_model()
    with torch.no_grad():
        model[0].bias[0] += 1e-3
    return model


OTHERS = {
    "the model (fingerprint: ": {"model": other_model()},
    "the images with numbers 0 to 1": {"x_batch": np.where(np.arange(3)[:, None, None, None] == 1, 0, X)},
    "the images with numbers 2 to 3": {"y_batch": np.where(np.arange(3) == 2, 0, Y)},
    "parameter 'seed' (42, now 43)": {"seed": 43},
    "parameter 'block_size' (2, now 5)": {"block_size": 5},
    "method 'double' (Counting(power=2.0), now Counting(power=3.0))": {"methods": {"double": (Counting(), {"power": 3.0})}},
    "metric 'drawn' (Drawing(), now function())": {"metrics": {"drawn": lambda **kwargs: [0.0]}},
}


def test_something_else_is_refused_and_named(model, tmp_path):
    compare(model, X, Y, folder=tmp_path, **settings(metrics={"drawn": Drawing()}))
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    for message, change in OTHERS.items():
        call = {"model": model, "x_batch": X, "y_batch": Y, **settings(metrics={"drawn": Drawing()})} | change
        with pytest.raises(ValueError, match=re.escape(message)):
            compare(folder=tmp_path, **call)
    assert before == {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    result = compare(model, X, Y, folder=tmp_path, fresh=True, **settings(metrics={"drawn": Drawing()}, seed=43))
    assert result.settings["parameters"]["seed"] == 43


def test_folders_that_are_none_of_ours(model, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds other files \(notes.txt\), but no run.json"):
        compare(model, X, Y, folder=tmp_path, **settings())
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(OSError, match="File exists"):
        compare(model, X, Y, folder=tmp_path / "notes.txt", **settings())
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_fresh_start_deletes_nothing_that_is_not_ours(model, tmp_path):
    (tmp_path / "cells" / "microscopy").mkdir(parents=True)
    mine = [tmp_path / "cells" / "microscopy" / "mine.tif", tmp_path / "example.npz", tmp_path / "run.json"]
    for file in mine:
        file.write_text("{}")
    with pytest.raises(ValueError, match="holds no description of a comparison"):
        compare(model, X, Y, folder=tmp_path, fresh=True, **settings(metrics={"drawn": Drawing()}))
    assert all(file.exists() for file in mine)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: json.dumps(json.loads(text) | {"format": 2}), "written in format 2, but .* reads format 1"),
        (lambda text: text[:-5], "holds no description of a comparison"),
        (lambda text: "[]", "holds no description of a comparison"),
    ],
)
def test_descriptions_that_cannot_be_read(model, tmp_path, spoil, message):
    compare(model, X, Y, folder=tmp_path, **settings(metrics={"drawn": Drawing()}))
    description = tmp_path / "run.json"
    description.write_text(spoil(description.read_text()))
    with pytest.raises(ValueError, match=message):
        Comparison.load(tmp_path)


@pytest.mark.parametrize("shard", [(0, 4), (5, 4), (1, 0), 3, "1/4", (1.5, 2)])
def test_shards_that_are_none(model, tmp_path, shard):
    with pytest.raises(ValueError, match="shard"):
        compare(model, X, Y, folder=tmp_path / "run", shard=shard, **settings())
    assert not (tmp_path / "run").exists()


def test_a_shard_needs_a_folder(model):
    with pytest.raises(ValueError, match="needs a folder, in which the parts come together"):
        compare(model, X, Y, shard=(1, 2), **settings())
