"""Check the contribution in a copy of a checkout of Quantus: python upstream/check.py CHECKOUT.

Quantus's linter, type checker and tests run in the environment of this Python, without the network.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from apply import OVERLAY, apply

NEW = [str(path.relative_to(OVERLAY)) for path in sorted(OVERLAY.rglob("*.py"))]
PYTEST = ["-m", "pytest", "-q", "-p", "offline"]
TESTS = [
    "tests/metrics/test_sensitivity_consistency_metrics.py",
    "tests/metrics/test_faithfulness_metrics.py",
    "tests/helpers/test_utils.py",
    "tests/test_evaluation.py",
]


def run(tree: Path, *args: str) -> "subprocess.CompletedProcess[str]":
    """Run a module of this Python in the tree, and show what it says."""
    print("$ python -m", *args, flush=True)
    paths = os.pathsep.join([str(tree), str(Path(__file__).resolve().parent)])
    offline = {"HF_HUB_OFFLINE": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment = {**os.environ, **offline, "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, "-m", *args],
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    print(done.stdout, flush=True)
    return done


def failures(tree: Path) -> "list[str]":
    """Apply the contribution to a tree; return the names of the tools that complain of it."""
    apply(tree)
    include = "--include=" + ",".join(name for name in NEW if "test" not in name)
    wide = ["--max-line-length=127", "--max-complexity=10"]
    checks = {
        "black": run(tree, "black", "--check", *NEW),
        "flake8": run(tree, "flake8", "quantus", "--select=E9,F63,F7,F82"),
        "flake8, new files": run(tree, "flake8", *wide, *NEW),
        "tests": run(tree, "coverage", "run", include, *PYTEST, *TESTS),
        "coverage": run(tree, "coverage", "report", "-m", include, "--fail-under=95"),
    }
    types = run(tree, "mypy", "quantus").stdout.splitlines()
    failed = [name for name, check in checks.items() if check.returncode]
    # Quantus has errors of its own with other versions of mypy than the one that it pins.
    ours = any(line.startswith(tuple(NEW)) and ": error" in line for line in types)
    return failed + ["mypy"] * ours


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "quantus"
        left_out = shutil.ignore_patterns(".git", "*.ipynb", "*.pt", "*.png")
        shutil.copytree(sys.argv[1], tree, ignore=left_out)
        sys.exit(f"failed: {complaints}" if (complaints := failures(tree)) else 0)
