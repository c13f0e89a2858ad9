"""The README's Python runs, from top to bottom."""

import re
from pathlib import Path

import pytest
import torch


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_block_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for backend in (torch.backends.cudnn, torch.backends.cuda.matmul):  # a block sets them
        monkeypatch.setattr(backend, "allow_tf32", backend.allow_tf32)
    text = (Path(__file__).resolve().parents[1] / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) == 8
    names = {}
    for block in blocks:
        exec(block, names)
    assert (tmp_path / "results" / "report.html").exists()
    means = names["results"]
    assert set(means) == {"Saliency", "InputXGradient", "random"}
    assert list(names["scores"]["Saliency"]) == ["0", "3"]
    assert "torch.Size" in capsys.readouterr().out
