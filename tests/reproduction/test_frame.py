"""Image sets, networks and parts of the reproduction."""

import os
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import reproduce
from benchmarks.reproduction import training
from benchmarks.reproduction.images import load_images
from benchmarks.reproduction.networks import named_resnet18, plain_resnet18
from benchmarks.reproduction.parameter_scores import paper_score
from benchmarks.reproduction.setup import Setup
from benchmarks.reproduction.training import Recipe, trained
from benchmarks.reproduction.values import comparison_values, sample_values
from quantus_senc import ParameterSensitivityConsistency, compare, explain


def write_images(folder, name, n=40, n_classes=2):
    """Grey images of 28×28 whose class is the half that is bright."""
    y = np.arange(n) % n_classes
    x = np.zeros((n, 28, 28), np.uint8)
    for image, half in zip(x, y, strict=True):
        image[:, 14 * half : 14 * half + 14] = 200
    np.savez(folder / f"{name}.npz", x=x, y=y)
    return x, y


def test_images_of_an_array(tmp_path):
    x, y = write_images(tmp_path, "mnist_test")
    images, classes = load_images(tmp_path, "mnist_test")
    assert images.shape == (40, 1, 28, 28)
    torch.testing.assert_close(images[:, 0], torch.from_numpy(x) / 255)
    assert classes.tolist() == y.tolist()


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 3)])
def test_images_of_sheets(tmp_path, shape):
    x = np.random.default_rng(0).integers(0, 256, (3, *shape)).astype(np.uint8)
    padded = np.concatenate([x, np.zeros((1, *shape), np.uint8)])
    rows = [np.concatenate(list(padded[start : start + 2]), 1) for start in (0, 2)]
    path = tmp_path / "sheet.png"
    Image.fromarray(np.concatenate(rows)).save(path)
    blob = np.frombuffer(path.read_bytes(), np.uint8)
    np.savez(tmp_path / "set.npz", y=[0, 1, 2], side=2, grey=len(shape) == 2, ends=[len(blob)], blob=blob)
    images, _ = load_images(tmp_path, "set")
    expected = torch.from_numpy(x[..., None] if len(shape) == 2 else x).movedim(-1, 1) / 255
    torch.testing.assert_close(images, expected)


def test_missing_images_are_named(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"mnist_test\.npz.*--data"):
        load_images(tmp_path, "mnist_test")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ModuleNotFoundError, match="pip install datasets"):
        load_images(None, "mnist_test")


def test_a_network_is_trained_once(tmp_path, monkeypatch, capsys):
    for part in ("train", "test"):
        write_images(tmp_path, f"halves_{part}", n=1024)
    recipe = Recipe("halves", (28, 28), 3e-3, "adam", 0.0, padding=2)
    monkeypatch.setitem(training.NETWORKS, "halves", (training.paper_cnn, recipe))
    first = trained("halves", tmp_path, tmp_path / "models")
    assert first.accuracy == 1.0
    assert "halves: 100.00%" in capsys.readouterr().out
    again = trained("halves", tmp_path / "nowhere", tmp_path / "models")
    x = torch.rand(2, 1, 28, 28)
    torch.testing.assert_close(first.model(x), again.model(x), rtol=0, atol=0)
    shorter = Recipe("halves", (28,), 3e-3, "adam", 0.0)
    monkeypatch.setitem(training.NETWORKS, "halves", (training.paper_cnn, shorter))
    once = trained("halves", tmp_path, tmp_path / "models").model
    assert not torch.equal(once(x), again.model(x))
    two_cycles = Recipe("halves", (28,), 3e-3, "adam", 0.0, again=(28,))
    monkeypatch.setitem(training.NETWORKS, "halves", (training.paper_cnn, two_cycles))
    assert not torch.equal(trained("halves", tmp_path, tmp_path / "models").model(x), once(x))


def test_parts_are_not_computed_twice(tmp_path):
    setup = Setup(None, tmp_path)
    assert setup.part("one", "part", lambda: {"value": 1.5}) == {"value": 1.5}
    assert setup.part("one", "part", lambda: pytest.fail("computed again")) == {"value": 1.5}
    assert Setup(None, tmp_path, "full").part("one", "part", lambda: 2) == 2
    assert Setup(None, tmp_path, seed=7).part("one", "part", lambda: 3) == 3
    assert Setup(None, tmp_path, commit="another").part("one", "part", lambda: 4) == 4


def test_workers_share_the_parts(tmp_path):
    setup = Setup(None, tmp_path, workers=2)
    processes = setup.parts("mine", {"first": os.getpid, "second": os.getpid})
    assert list(processes) == ["first", "second"]
    assert os.getpid() not in processes.values()
    assert replace(setup, workers=1).parts("mine", {"third": os.getpid, "first": os.getpid}) == {
        "third": os.getpid(),
        "first": processes["first"],
    }


def test_layers_have_the_names_of_the_paper():
    network = named_resnet18(4)
    assert {"conv1", "layer1.0.conv1", "layer1.1.conv2", "fc"} <= dict(network.named_modules()).keys()
    plain = plain_resnet18(4, 10)
    plain.load_state_dict(network.state_dict(), strict=False)
    x = torch.rand(2, 3, 32, 32)
    block, bare = network.layer1[0].eval(), plain.layer1[0].eval()
    inner = torch.rand(2, 4, 8, 8)
    torch.testing.assert_close(torch.relu(block.bn2(block.conv2(block.relu1(block.bn1(block.conv1(inner)))))), bare(inner))
    assert not torch.allclose(block(inner), bare(inner))
    assert plain.eval()(x).shape == (2, 10)


def test_values_of_a_comparison():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)).eval()
    result = compare(model, torch.rand(5, 6), [0, 1, 2, 0, 1], methods=["Saliency"], metrics=["SenC", "Top-1"], n_masks=200)
    values = comparison_values(result)
    scores = result.scores.query("metric == 'Top-1'")["score"]
    cell = values["Top-1"]["Saliency"]
    assert cell["mean"] == round(scores.mean(), 4)
    assert cell["variance"] == round(scores.var(), 4)
    assert cell["n_images"] == 5
    assert cell["all in common"] == round((scores == 1).mean(), 4)
    assert cell["none in common"] == round((scores == 0).mean(), 4)
    assert sample_values([1.0, float("nan"), 3.0]) == {"n_images": 2, "mean": 2.0, "error": 1.0, "variance": 2.0}


def test_the_papers_sums_read_the_masks_of_the_regression():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 30), torch.nn.ReLU(), torch.nn.Linear(30, 3)).eval()
    x, y = torch.rand(2, 6).numpy(), np.array([0, 1])
    call = {"explain_func": explain, "explain_func_kwargs": {"method": "Saliency"}}
    metrics = {name: ParameterSensitivityConsistency(200, estimator=name, layers=["2"]) for name in ("paper", "regression")}
    scores = metrics["paper"](model, x, y, **call)
    metrics["regression"](model, x, y, **call)
    np.testing.assert_allclose([paper_score(record) for record in metrics["regression"].sensitivities["2"]], scores)


def test_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["reproduce", "nothing"])
    with pytest.raises(SystemExit):
        reproduce.main()
    assert "no experiment nothing" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["reproduce", "mnist", "--data", str(tmp_path), "--out", str(tmp_path)])
    with pytest.raises(SystemExit):
        reproduce.main()
    assert "mnist_train.npz" in capsys.readouterr().err
