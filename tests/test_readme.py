"""The Python of the README and of the documentation's pages runs, from top to bottom."""

import re
from functools import partial
from pathlib import Path

import pytest
import torch

from quantus_senc import demo

ROOT = Path(__file__).resolve().parents[1]
PAGES = {  # of blocks; the later pages go on from the first ones
    "README.md": 1,
    "docs/start.md": 2,
    "docs/runs.md": 1,
    "docs/usage.md": 5,
    "docs/choosing.md": 1,
    "docs/how.md": 3,
}
SMALLER = {  # of images, methods and masks, fewer than a reader wants
    "n_masks=200": "n_masks=100",
    "x_batch[:4],\n    y_batch[:4],\n    methods": "x_batch[:2],\n    y_batch[:2],\n    methods",
    '"GradCAM", "DeepLift", "random"],\n    n_masks=300': '"GradCAM", "random"],\n    n_masks=100',
    "x_batch[:4].numpy(), y_batch[:4]": "x_batch[:2].numpy(), y_batch[:2]",
    "x_batch[:8].numpy(), y_batch[:8]": "x_batch[:2].numpy(), y_batch[:2]",
}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_block_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for backend in (torch.backends.cudnn, torch.backends.cuda.matmul):  # a block sets them
        monkeypatch.setattr(backend, "allow_tf32", backend.allow_tf32)
    monkeypatch.setattr(demo, "train", partial(demo.train, n_epochs=1))
    texts = {name: (ROOT / name).read_text() for name in PAGES}
    for written in SMALLER:
        assert any(written in text for text in texts.values()), written
    names = {}
    for name, text in texts.items():
        blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
        assert len(blocks) == PAGES[name], name
        for block in blocks:
            for written, smaller in SMALLER.items():
                block = block.replace(written, smaller)
            exec(block, names)
    assert "GradCAM" in (tmp_path / "report.html").read_text()
    page = (tmp_path / "results" / "report.html").read_text()
    assert page.count("<img") == 7
    assert "GradCAM" in page
    assert names["unfinished"].n_missing == 8
    assert names["result"].n_missing == 0
    means = names["results"]
    assert set(means) == {"Saliency", "InputXGradient", "random"}
    assert list(names["scores"]["Saliency"]) == ["0", "3"]
    assert "torch.Size" in capsys.readouterr().out


def test_the_readme_names_the_two_commands_and_pages_that_exist():
    text = (ROOT / "README.md").read_text()
    assert "make demo" in text
    assert "make test" in text
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert "docs/start.md" in links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_pages_have_no_block_that_is_not_run():
    with_blocks = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md") if "```python" in page.read_text()}
    assert with_blocks == set(PAGES) - {"README.md"}
