"""The README's Python runs, from top to bottom."""

import re
from functools import partial
from pathlib import Path

import pytest
import torch

from quantus_senc import demo

SMALLER = {  # of images, methods and masks, fewer than a reader wants
    "x_batch[:4], y_batch[:4], methods": "x_batch[:2], y_batch[:2], methods",
    '"Saliency", "GradCAM", "DeepLift", "random"': '"Saliency", "GradCAM", "random"',
    "n_masks=300": "n_masks=100",
    "x_batch[:8].numpy(), y_batch[:8]": "x_batch[:2].numpy(), y_batch[:2]",
}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_block_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for backend in (torch.backends.cudnn, torch.backends.cuda.matmul):  # a block sets them
        monkeypatch.setattr(backend, "allow_tf32", backend.allow_tf32)
    monkeypatch.setattr(demo, "train", partial(demo.train, n_epochs=1))
    text = (Path(__file__).resolve().parents[1] / "README.md").read_text()
    for written, smaller in SMALLER.items():
        assert text.count(written) == 1
        text = text.replace(written, smaller)
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) == 10
    names = {}
    for block in blocks:
        exec(block, names)
    page = (tmp_path / "results" / "report.html").read_text()
    assert page.count("<img") == 7
    assert "GradCAM" in page
    assert names["unfinished"].n_missing == 8
    assert names["result"].n_missing == 0
    means = names["results"]
    assert set(means) == {"Saliency", "InputXGradient", "random"}
    assert list(names["scores"]["Saliency"]) == ["0", "3"]
    assert "torch.Size" in capsys.readouterr().out
