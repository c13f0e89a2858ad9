"""The wheel and the source archive, built without a network."""

import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import quantus_senc

STATIC = {"docs/_static/site.css", "docs/_static/rank_lines.png"}
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--target", "sdist", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def test_the_wheel_holds_the_package_and_nothing_else(built):
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        metadata = Parser().parsestr(wheel.read(next(name for name in names if name.endswith("/METADATA"))).decode())
        scripts = wheel.read(next(name for name in names if name.endswith("/entry_points.txt"))).decode()
    information = f"quantus_senc-{quantus_senc.__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"quantus_senc", information}
    modules = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "quantus_senc").rglob("*.py*") if path.suffix in (".py", ".pyi")
    }
    templates = {path.relative_to(ROOT).as_posix() for path in (ROOT / "quantus_senc").rglob("*.j2")}
    others = {"quantus_senc/py.typed"} | templates
    assert len(templates) == 2
    assert {name for name in names if name.startswith("quantus_senc/")} == modules | others
    assert {f"{information}/licenses/LICENSE", f"{information}/licenses/COPYING"} <= names
    assert metadata["Version"] == quantus_senc.__version__
    assert "quantus-senc = quantus_senc.cli:main" in scripts


def test_the_source_archive_holds_what_builds_and_tests_need(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "COPYING",
        "CHANGELOG.md",
        "CITATION.cff",
        "Makefile",
        "constraints.txt",
    }
    assert needed <= names
    assert {
        "quantus_senc/py.typed",
        "quantus_senc/__init__.pyi",
        "tests/test_packaging.py",
        "docs/start.md",
        "docs/gallery/plot_digits.py",
    } <= names
    assert not {
        name for name in names if "__pycache__" in name or name.startswith(("docs/_build", "docs/auto_gallery", ".venv"))
    }
