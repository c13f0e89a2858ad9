"""The documentation: quick examples run, and nothing public and no page is left out. Sphinx is not needed."""

import re
import runpy
import sys
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

import quantus_senc
from quantus_senc import demo

DOCS = Path(__file__).resolve().parents[1] / "docs"
MADE_BY = {"TopKAgreement": ".top_k(", "StandardError": ".standard_error()", "Sensitivity": ".sensitivities[0]"}
REFERENCE = (DOCS / "reference.rst").read_text()


def public_names(module):
    return {name for name in dir(module) if not name.startswith("_") and not isinstance(getattr(module, name), type(sys))}


def named_under(module):
    """Names that the reference page documents of a module."""
    parts = re.split(r"^\.\. currentmodule:: (\S+)$", REFERENCE, flags=re.MULTILINE)
    text = "".join(text for name, text in zip(parts[1::2], parts[2::2], strict=True) if name == module)
    return set(re.findall(r"^\.\. (?:auto(?:function|class)|py:data):: (\w+)$", text, flags=re.MULTILINE))


@pytest.mark.parametrize("module", [quantus_senc, quantus_senc.plot])
def test_every_public_name_is_in_the_reference(module):
    assert named_under(module.__name__) == public_names(module)


def test_every_public_name_has_an_example():
    blocks = "".join(re.findall(r"code-block:: python\n\n((?: +.*\n|\n)+)", REFERENCE))
    for module in (quantus_senc, quantus_senc.plot):
        for name in public_names(module):
            assert ">>>" in (getattr(module, name).__doc__ or "") or MADE_BY.get(name, name) in blocks, name


def test_every_page_is_in_a_toctree():
    (tree,) = re.findall(r"```\{toctree\}\n:hidden:\n\n(.*?)```", (DOCS / "index.md").read_text(), flags=re.DOTALL)
    pages = {page.stem for page in (*DOCS.glob("*.md"), *DOCS.glob("*.rst"))} - {"index", "sg_execution_times"}
    assert set(tree.split()) == pages | {"auto_gallery/index"}


def test_every_example_has_its_place_in_the_gallery():
    (order,) = re.findall(r"^_ORDER = \[(.*?)\]", (DOCS / "conf.py").read_text(), flags=re.DOTALL | re.MULTILINE)
    assert {f"plot_{name}.py" for name in re.findall(r"\w+", order)} == {path.name for path in (DOCS / "gallery").glob("*.py")}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["series", "evaluation"])
def test_quick_examples_run(name, monkeypatch, capsys):
    monkeypatch.setattr(demo, "train", partial(demo.train, n_epochs=1))
    with torch.random.fork_rng(devices=[]), plt.ioff():
        names = runpy.run_path(str(DOCS / "gallery" / f"plot_{name}.py"), run_name="__main__")
    plt.close("all")
    assert np.isfinite(names["record"].score)
    assert capsys.readouterr().out


def test_defects_of_a_site_are_said(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    check_site = pytest.importorskip("check_site")
    (tmp_path / "a.html").write_text('<p id="here"><a href="b.html#there"></a><a href="#here"></a><a href="https://a.org"></a>')
    (tmp_path / "b.html").write_text('<p id="there"><a href="a.html"></a>')
    assert check_site.defects(tmp_path) == []
    (tmp_path / "b.html").write_text('<a href="c.html"></a><script src="https://a.org/x.js"></script>')
    assert check_site.defects(tmp_path) == [
        "a.html: b.html#there names no place of that page.",
        "b.html: c.html does not exist.",
        "b.html: https://a.org/x.js is loaded from elsewhere.",
    ]
