import functools
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import quantus_senc
from quantus_senc import Comparison, available_methods, available_metrics, cli_commands, cli_inputs, demo
from quantus_senc.cli import main
from quantus_senc.comparison.named_methods import DEFAULT_METHODS
from quantus_senc.controls import CONTROLS

COMMAND = Path(sys.executable).parent / "quantus-senc"
MODELS = """
import multiprocessing
import os
import signal

import torch
from torch import nn

def trained():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, 3))

class Fragile(nn.Sequential):
    # The first process that it is sent to dies.

    def __setstate__(self, state):
        super().__setstate__(state)
        if multiprocessing.parent_process() and not os.path.exists("died"):
            open("died", "w").close()
            os.kill(os.getpid(), signal.SIGKILL)

def fragile():
    return Fragile(*trained())

def mapping():
    return {}

def broken():
    raise RuntimeError("weights.pt is missing")

def leaves():
    raise SystemExit(0)

weights = 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "some_models.py").write_text(MODELS)
    (tmp_path / "broken_module.py").write_text("import no_such_package")
    x = np.random.default_rng(0).random((5, 1, 12, 12), dtype=np.float32)
    y = np.array([0, 1, 2, 0, 1])
    files = {
        "images": {"x": x, "y": y},
        "no_y": {"x": x, "labels": y},
        "flat": {"x": x.ravel(), "y": y},
        "short": {"x": x, "y": y[:3]},
        "classes": {"x": x, "y": y + 1},
        "floats": {"x": x, "y": y / 2},
        "colour": {"x": x.repeat(3, 1), "y": y},
        "objects": {"x": x, "y": np.array([0, 1, 2, 0, None])},
    }
    for name, arrays in files.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
    np.save(tmp_path / "one.npy", x)
    np.savez_compressed(tmp_path / "damaged.npz", x=x, y=y)
    damaged = (tmp_path / "damaged.npz").read_bytes()
    (tmp_path / "damaged.npz").write_bytes(damaged[:60] + b"\xff" * 40 + damaged[100:])
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "file").write_text("no folder")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "some_models", raising=False)
    return tmp_path


def run(*changes, **options):
    given = {"model": "some_models:trained", "data": "images.npz", "out": "out", "methods": "Saliency", "metrics": "SenC"}
    given |= {"n_masks": 60, "segment_func": "grid", "segment_func_kwargs": "patch_size=4"} | options
    return main(["compare", *(f"--{name.replace('_', '-')}={value}" for name, value in given.items()), *changes])


def test_compare(folder, capsys):
    assert run(methods="Saliency,Grad-CAM,random", metrics="SenC (regression),Top-1,MPRT", images=3, seed=1) == 0
    shown = capsys.readouterr()
    rows = [line for line in shown.out.splitlines() if "±" in line][1:4]
    assert [row.split("  ")[0] for row in rows] == ["SenC (regression) ↑", "Top-1 ↑", "MPRT ↓"]
    sentences = [line for line in shown.out.splitlines() if line.startswith("- ")]
    assert sentences[0].startswith("- Sensitivity consistency: ")
    assert "Tables, pictures, settings: out/report.html" in shown.out
    result = Comparison.load(folder / "out")
    assert result.scores["image"].nunique() == 3
    assert result.settings["parameters"]["seed"] == 1
    assert result.settings["data"] == "images.npz"
    assert "<table" in (folder / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "some_models"}, "must be module:function"),
        ({"model": "other_models:trained"}, "'other_models' cannot be imported (ModuleNotFoundError"),
        ({"model": "broken_module:trained"}, "'broken_module' cannot be imported (ModuleNotFoundError"),
        ({"model": "some_models:train"}, "unknown function of 'some_models' 'train'; did you mean 'trained'"),
        ({"model": "some_models:weights"}, "unknown function of 'some_models' 'weights'"),
        ({"model": "some_models:mapping"}, "the function returned a dict, not a torch.nn.Module"),
        ({"model": "some_models:leaves"}, "the function raised SystemExit"),
        ({"model": "some_models:broken"}, "the function raised RuntimeError: weights.pt is missing"),
        ({"data": "nothing.npz"}, "FileNotFoundError"),
        ({"data": "text.npz"}, "--data 'text.npz'"),
        ({"data": "no_y.npz"}, "it holds no y, but x, labels"),
        ({"data": "flat.npz"}, "x of shape (720,) must be tables (B, F), series (B, C, T), images (B, C, H, W)"),
        ({"data": "short.npz"}, "y of shape (3,) must be one class for each of 5"),
        ({"data": "classes.npz"}, "classes from 1 to 3, but the model has classes 0 … 2"),
        ({"data": "floats.npz"}, "must be one class index an image"),
        ({"data": "objects.npz"}, "--data 'objects.npz'"),
        ({"data": "one.npy"}, "it holds one array, not x and y"),
        ({"data": "damaged.npz"}, "--data 'damaged.npz'"),
        ({"data": "colour.npz"}, "the model fails on x_batch of shape (5, 3, 12, 12)"),
        ({"methods": "Salency"}, "unknown method 'Salency'; did you mean 'Saliency'"),
        ({"metrics": "SenK"}, "unknown metric 'SenK'; did you mean 'SenC'"),
        ({"methods": "Saliency,Saliency"}, "methods hold the name 'Saliency' 2 times"),
        ({"out": "file/below"}, "--out 'file/below' cannot be written"),
        ({"out": "file"}, "--out 'file' cannot be written"),
        ({"images": 6}, "--images 6: the file has 5"),
        ({"images": 0}, "--images 0"),
        ({"device": "qpu"}, "device 'qpu'"),
        ({"n_masks": 1}, "n_masks=1"),
        ({"tolerance": -1}, "tolerance=-1"),
        ({"segment_func": "slik"}, "did you mean 'slic'"),
        ({"segment_func_kwargs": "patch=4"}, "did you mean 'patch_size'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(folder, capsys, options, message):
    assert run(**options) == 2
    shown = capsys.readouterr()
    lines = shown.err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("quantus-senc compare: ")
    assert message in lines[0]
    assert shown.out == ""


@pytest.mark.parametrize("arguments", [[], ["compare"], ["compare", "--n-masks", "many"], ["nothing"]])
def test_bad_command_line_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_nothing_scored_is_exit_code_1(folder, capsys):
    assert run(methods="blob", metrics="SenC (regression)") == 1
    assert "SenC (regression) for blob: an explanation that no mask changes" in capsys.readouterr().err
    assert Comparison.load(folder / "out").scores["score"].isna().all()


def test_report_of_another_run_does_not_stay_beside_new_scores(folder):
    assert run() == 0
    assert (folder / "out" / "report.html").exists()
    assert run("--fresh", methods="blob", metrics="SenC (regression)") == 1
    assert not (folder / "out" / "report.html").exists()


def test_an_interrupted_run_says_how_to_go_on(folder, capsys, monkeypatch):
    x = np.load("images.npz")["x"]

    def interrupted(model, inputs, targets, **kwargs):
        if (np.asarray(inputs)[:, None] == x[3]).any():
            raise KeyboardInterrupt
        return np.asarray(inputs)

    with monkeypatch.context() as patch:
        patch.setitem(CONTROLS, "input", interrupted)
        assert run(methods="input", metrics="Pixel Flipping", block_size=2) == 130
    told = capsys.readouterr().err
    assert told == (
        "quantus-senc compare: interrupted; 2 of 5 scores are in 'out'. The same command goes on, and `quantus-senc report` "
        "shows them.\n"
    )
    assert main(["report", "out"]) == 0
    shown = capsys.readouterr().out
    assert "Pixel Flipping for input: not done yet (3 of 5 images)" in shown
    assert "not done yet" in (folder / "out" / "report.html").read_text()


def test_shards_and_a_fresh_start(folder, capsys):
    options = {"metrics": "Pixel Flipping", "block_size": 2}
    for number in (3, 1, 2):
        assert run(shard=f"{number}/3", **options) == 0
    assert "not done yet" not in capsys.readouterr().out.splitlines()[-1]
    assert Comparison.load("out").n_missing == 0
    assert run(seed=3, **options) == 2
    assert "parameter 'seed' (42, now 3); pass another folder, or fresh=True (--fresh)" in capsys.readouterr().err
    assert run("--fresh", seed=3, **options) == 0
    assert "Deleting 3 cells of an earlier comparison in 'out'." in capsys.readouterr().err
    assert run(shard="4/3", **options) == 2


def test_a_dry_run_says_what_is_to_be_done(folder, capsys):
    assert run("--dry-run", methods="Saliency", metrics="SenC,Pixel Flipping", block_size=2, workers=2, out="new") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("6 cells (a method by a metric on a block of images), of which 0 are done; ")
    assert "in one process, as the first image says." in shown
    assert "With 2 workers, at best" in shown
    assert not (folder / "new").exists()


def test_channels_last(folder):
    x = np.load("images.npz")
    np.savez("last.npz", x=np.moveaxis(x["x"], 1, -1), y=x["y"])
    assert run(metrics="Pixel Flipping", out="first") == 0
    assert run("--channels-last", metrics="Pixel Flipping", data="last.npz") == 0
    pd.testing.assert_frame_equal(*(Comparison.load(out).scores for out in ("out", "first")))


def test_many_images_are_timed_before_the_run(folder, capsys, monkeypatch):
    monkeypatch.setattr(cli_commands, "_MANY", 5)
    assert run(methods="Saliency", metrics="Pixel Flipping") == 0
    assert capsys.readouterr().err.startswith("1 cells (a method by a metric")


@pytest.mark.unwatched("all")
def test_a_cluster_does_the_work_of_a_process_that_dies(folder):
    options = {"model": "some_models:fragile", "metrics": "SenC,Faithfulness Correlation", "block_size": 2}
    assert run(workers=1, out="by workers", **options) == 0
    assert (folder / "died").exists()
    assert run(**options) == 0
    by_workers, here = (Comparison.load(folder / out).scores for out in ("by workers", "out"))
    pd.testing.assert_frame_equal(by_workers, here)


def test_clusters_that_are_none(folder, capsys, monkeypatch):
    monkeypatch.setattr(cli_inputs, "_PATIENCE", 0.1)
    for options, message in (
        ({"workers": 0}, "--workers 0: pass 1 or more"),
        ({"workers": 1, "scheduler": "tcp://localhost:1"}, "pass one of them"),
        ({"scheduler": "tcp://localhost:1"}, "--scheduler 'tcp://localhost:1' cannot be reached"),
    ):
        assert run(**options) == 2
        assert message in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert run(workers=1) == 2
    assert "need Dask (" in capsys.readouterr().err


def test_a_report_needs_a_comparison(folder, capsys):
    assert main(["report", "nowhere"]) == 2
    assert "quantus-senc report: folder='nowhere' holds no" in capsys.readouterr().err


def test_terminals_without_arrows(folder, monkeypatch):
    shown, errors = io.BytesIO(), io.BytesIO()
    monkeypatch.delenv("PYTEST")  # Quantus shows no bar where it is set
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii", write_through=True))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(errors, encoding="ascii", write_through=True))
    assert run(metrics="Pixel Flipping") == 0
    assert b"Pixel Flipping ?" in shown.getvalue()
    assert errors.getvalue() == b""  # no progress bar in a file


def test_reader_that_has_read_enough(folder):
    command = f"set -o pipefail; {COMMAND} compare --help | head -1"
    process = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, "")


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as exit:
        main(["compare", "--help"])
    shown = capsys.readouterr().out
    assert exit.value.code == 0
    for taught in (
        "numpy.savez",
        "my_models:trained",
        "Saliency",
        "Parameter SenC",
        "published score",
        "exit codes",
        "--tolerance",
    ):
        assert taught in shown


def test_help_lists_what_there_is(capsys):
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    shown = "".join(capsys.readouterr().out.split())  # lines break at any place
    for before, names, after in (
        ("--methodsMETHODSdefault:", DEFAULT_METHODS, "--metrics"),
        ("aboutthemodel):", available_methods(), "metrics("),
        ("firstconvolution):", available_metrics(), "exitcodes:"),
    ):
        assert f"{before}{','.join(names).replace(' ', '')}{after}" in shown


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["compare", "--help"]])
def test_help_does_not_wait_for_pytorch(arguments):
    code = "import sys; from quantus_senc.cli import main\ntry: main()\nfinally: print('torch' in sys.modules)"
    process = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.splitlines()[-1] == "False"


def test_version(capsys):
    with pytest.raises(SystemExit) as exit:
        main(["--version"])
    assert exit.value.code == 0
    assert capsys.readouterr().out == f"quantus-senc {quantus_senc.__version__}\n"


def test_demo(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(demo, "train", functools.partial(demo.train, n_epochs=2))
    assert main(["demo", "--out", str(tmp_path), "--images", "1", "--n-masks", "100"]) == 0
    shown = capsys.readouterr().out
    assert "held-out digits" in shown
    assert 'The control "random" ranks' in shown
    result = Comparison.load(tmp_path)
    assert list(result.scores["method"].unique())[-2:] == ["random", "Sobel"]
    failed = result.summary().query("failure != ''")
    assert failed[["metric", "method"]].values.tolist() == [["Parameter SenC", "Sobel"]]  # which sees no parameter
    assert (tmp_path / "report.html").stat().st_size > 100_000


@pytest.mark.parametrize(("option", "value"), [("--n-masks", "20"), ("--images", "0"), ("--images", "1000")])
def test_demo_says_what_it_needs(tmp_path, capsys, option, value):
    assert main(["demo", "--out", str(tmp_path), option, value]) == 2
    assert capsys.readouterr().err.startswith("quantus-senc demo: n_")
