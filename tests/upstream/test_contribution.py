"""The contribution in `upstream/` fits Quantus as it is installed here, and scores as the package does."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import quantus

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
UPSTREAM = ROOT / "upstream"
APPLY = [sys.executable, str(UPSTREAM / "apply.py")]
LISTS = {  # files that are not in the installed package, each with the line after which the entry comes
    "README.md": "    <li><b>Sufficiency </b> is one of the metrics",
    "docs/source/docs_api/quantus.metrics.faithfulness.rst": "   quantus.metrics.faithfulness.sufficiency",
    "docs/source/docs_api/quantus.helpers.rst": "   quantus.helpers.plotting",
}
EXAMPLE = re.compile(r"^### (\d+\..*?)\n.*?^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
DEFECTS = dict(EXAMPLE.findall((UPSTREAM / "PULL_REQUEST.md").read_text()))


@pytest.fixture
def tree(tmp_path):
    """The installed package as a checkout would have it."""
    shutil.copytree(Path(quantus.__file__).parent, tmp_path / "quantus", ignore=shutil.ignore_patterns("__pycache__"))
    for name, line in LISTS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"before\n{line}\nafter\n")
    return tmp_path


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_contribution_is_equal_to_the_package_and_passes_its_tests(tree):
    subprocess.run([*APPLY, str(tree)], check=True)
    tests = tree / "tests"
    shutil.copy(HERE / "stand_in_conftest.py", tests / "conftest.py")
    shutil.copy(HERE / "equal_scores.py", tests / "test_equal_scores.py")
    (tree / "pytest.ini").write_text("[pytest]\nmarkers =\n    faithfulness\n    evaluate_func\n    tf_model\n")
    paths = os.pathsep.join([str(tree), str(ROOT)])
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:xdist", "-p", "no:cacheprovider", str(tests)]
    done = subprocess.run(
        command, cwd=tree, env={**os.environ, "PYTHONPATH": paths, "PYTEST": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d{2} passed", done.stdout)


def test_applying_it_twice_is_applying_it_once(tree):
    subprocess.run([*APPLY, str(tree)], check=True)
    once = contents(tree)
    subprocess.run([*APPLY, str(tree)], check=True)
    assert contents(tree) == once
    for name, line in LISTS.items():
        lines = (tree / name).read_text().splitlines()
        assert lines[:2] == ["before", line]
        assert lines[-1] == "after"
        assert all("sensitivity" in entry.lower() for entry in lines[2:-1])


@pytest.mark.parametrize("text", ["before\nafter\n", "   quantus.helpers.plotting\n" * 2])
def test_a_tree_that_has_changed_is_left_as_it_is(tree, text):
    (tree / "docs/source/docs_api/quantus.helpers.rst").write_text(text)
    before = contents(tree)
    done = subprocess.run([*APPLY, str(tree)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "but one must; nothing is changed" in done.stderr
    assert contents(tree) == before


@pytest.mark.parametrize("path", sorted((UPSTREAM / "overlay").rglob("*.py")), ids=lambda path: path.name)
def test_the_oldest_python_of_quantus_reads_it(path):
    ast.parse(path.read_text(), feature_version=(3, 8))


def test_every_defect_has_an_example():
    headings = re.findall(r"^### (\d+)\. ", (UPSTREAM / "PULL_REQUEST.md").read_text(), re.MULTILINE)
    assert [title.partition(".")[0] for title in DEFECTS] == headings == [str(n + 1) for n in range(len(headings))]


@pytest.mark.unwatched("all")  # the examples show, among others, that Quantus seeds generators
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("title", DEFECTS)
def test_defects_of_quantus_are_still_there(title):
    exec(compile(DEFECTS[title], title, "exec"), {})
