"""Images in files below a folder, as the command line takes them."""

import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from quantus_senc import Comparison, cli_commands, compare
from quantus_senc.cli import main
from quantus_senc.cli_folder import FolderImages

MODELS = """
import numpy as np
import torch
from torch import nn

def trained():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, 3))

class Probabilities(nn.Module):
    def forward(self, scores):
        return scores.exp() / scores.exp().sum(1, keepdim=True)

def sure():
    return nn.Sequential(trained(), Probabilities())

def resized(image):
    assert image.mode == "RGB"
    return torch.tensor(np.asarray(image.resize((12, 12))) / 255).movedim(-1, 0).float()

def jittered(image):
    return resized(image) + torch.rand(3, 12, 12)

def as_they_are(image):
    return np.asarray(image)[:12, :12].transpose(2, 0, 1) / 255

def last(image):
    return resized(image).movedim(0, -1)

def unchanged(image):
    return image.resize((12, 12))

def flat(image):
    return np.asarray(image).ravel()
"""
GRID = {"segment_func": "grid", "segment_func_kwargs": {"patch_size": 4}}
OPTIONS = [
    "--segment-func",
    "grid",
    "--segment-func-kwargs",
    "patch_size=4",
    "--methods",
    "Saliency,random",
    "--metrics",
    "SenC (regression)",
    "--n-masks",
    "100",
    "--out",
    "out",
]
WHAT = ["compare", "--model", "folder_models:trained", "--data", "pictures", "--transform"]


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Pictures of two sizes in grey, colour and with a palette, written in another order than that of their names."""
    (tmp_path / "folder_models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "folder_models", raising=False)
    folder, values = tmp_path / "pictures", np.random.default_rng(0).integers(0, 256, (4, 12, 16, 3), np.uint8)
    values[::2, :6], values[1, :, 8:] = 0, 255
    folder.mkdir()
    for name, pixels, mode in zip(("d.png", "b.jpg", "a.bmp", "c.PNG"), values, ("RGB", "L", "P", "RGB"), strict=True):
        Image.fromarray(pixels).convert(mode).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_text("no image")
    return folder


def in_classes(folder):
    for name, label in {"a.bmp": "wolf", "b.jpg": "cat", "c.PNG": "wolf", "d.png": "dog"}.items():
        (folder / label).mkdir(exist_ok=True)
        (folder / name).rename(folder / label / name)


def arrays(folder):
    """What the transform makes of the images, in the order of their paths."""
    files = sorted(file for file in folder.glob("**/*.*") if file.suffix.lower() in (".png", ".jpg", ".bmp"))
    opened = [Image.open(file).convert("RGB").resize((12, 12)) for file in files if file.name[0] != "."]
    return np.stack([np.asarray(image) / 255 for image in opened]).transpose(0, 3, 1, 2).astype(np.float32)


def expected(x, y):
    from folder_models import trained

    return compare(trained(), x, y, methods=["Saliency", "random"], metrics=["SenC (regression)"], n_masks=100, **GRID)


def test_without_folders_the_predicted_class_is_explained(pictures):
    assert main([*WHAT, "folder_models:resized", *OPTIONS]) == 0
    import torch
    from folder_models import trained

    x = arrays(pictures)
    y = trained()(torch.tensor(x)).argmax(1).numpy()
    assert len(set(y)) > 1
    pd.testing.assert_frame_equal(Comparison.load("out").scores, expected(x, y).scores)
    assert main([*WHAT, "folder_models:last", *OPTIONS[:-1], "last", "--channels-last"]) == 0
    pd.testing.assert_frame_equal(Comparison.load("last").scores, expected(x, y).scores)


def test_folders_are_classes_in_the_order_of_their_names(pictures):
    in_classes(pictures)
    assert main([*WHAT, "folder_models:resized", *OPTIONS, "--images", "3"]) == 0
    x = arrays(pictures)[:3]  # cat/b.jpg, dog/d.png, wolf/a.bmp
    pd.testing.assert_frame_equal(Comparison.load("out").scores, expected(x, np.array([0, 1, 2])).scores)


def test_a_transform_that_draws_at_random_draws_the_same_again(pictures):
    """Images are read more than once; else the second call would have others than the first."""
    for _ in range(2):
        assert main([*WHAT, "folder_models:jittered", *OPTIONS]) == 0
    assert Comparison.load("out").settings["transform"] == "folder_models:jittered"


def test_predicting_classes_leaves_each_module_in_its_mode(pictures, monkeypatch):
    monkeypatch.syspath_prepend(pictures.parent)
    from folder_models import resized, trained

    model = trained().train()
    model[0].eval()
    before = [module.training for module in model.modules()]
    FolderImages(pictures, resized, None).classes(model, channel_first=True)
    assert [module.training for module in model.modules()] == before


def test_doubts_about_the_model_are_said_once(pictures, monkeypatch, recwarn):
    monkeypatch.setattr(cli_commands, "_MANY", 1)  # so that the time is expected before the run
    assert main([*WHAT[:2], "folder_models:sure", *WHAT[3:], "folder_models:resized", *OPTIONS]) == 0
    assert len([one for one in recwarn if "returns probabilities already" in str(one.message)]) == 1


def refused(arguments, capsys):
    assert main([*arguments, *OPTIONS]) == 2
    return capsys.readouterr().err


def test_what_cannot_be_taken_is_named(pictures, capsys):
    assert "--data 'pictures' is a folder; pass --transform module:function with it" in refused(WHAT[:-1], capsys)
    assert "unknown function of 'folder_models' 'nothing'" in refused([*WHAT, "folder_models:nothing"], capsys)
    shapes = refused([*WHAT, "folder_models:flat"], capsys)
    assert "--transform returned a ndarray (576,) for 'pictures/a.bmp'; return a tensor or an array (C, H, W)" in shapes
    assert "returned a Image for 'pictures/a.bmp'" in refused([*WHAT, "folder_models:unchanged"], capsys)
    assert "--images 5: the folder has 4; pass 1 to 4" in refused([*WHAT, "folder_models:resized", "--images", "5"], capsys)
    Image.new("RGB", (5, 5)).save(pictures / "e.png")
    other = "--transform returned (3, 5, 5) for 'pictures/e.png', and (3, 12, 12) for 'pictures/a.bmp'"
    assert other in refused([*WHAT, "folder_models:as_they_are"], capsys)
    (pictures / "e.png").write_text("no image")
    assert "'pictures/e.png' cannot be read and transformed" in refused([*WHAT, "folder_models:resized"], capsys)
    in_classes(pictures)
    (pictures / "e.png").rename(pictures / "wolf" / "e.png")
    (pictures / "fox").mkdir()
    assert "has 4 folders, but the model 3 classes" in refused([*WHAT, "folder_models:resized"], capsys)
    (pictures / "wolf" / "e.png").rename(pictures / "e.png")
    assert "holds images both in folders, one a class, and beside them" in refused([*WHAT, "folder_models:resized"], capsys)


def test_a_folder_without_images(pictures, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    what = [*WHAT[:4], "empty", "--transform", "folder_models:resized"]
    assert "--data 'empty' holds no images" in refused(what, capsys)


def test_a_transform_needs_a_folder(pictures, tmp_path, capsys):
    np.savez("images.npz", x=np.zeros((1, 3, 12, 12)), y=[0])
    what = [*WHAT[:4], "images.npz", "--transform", "folder_models:resized"]
    assert "needs a folder of images as --data, not 'images.npz'" in refused(what, capsys)
