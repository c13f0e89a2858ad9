"""The rehearsal of a GPU's measurements: every part runs, here on the CPU and with a small network. Its tests are for a GPU."""

import re
import subprocess
import sys
from pathlib import Path

ROW = r"^\| lenet \| Saliency \|.*\d"
PARTS = ("calls", "speed", "profile", "batches")


def test_rehearsal(tmp_path):
    options = ["--device", "cpu", "--quick", "--parts", ",".join(PARTS), "--out", str(tmp_path)]
    command = [sys.executable, "-m", "benchmarks.gpu", *options]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    for part in PARTS:
        text = (tmp_path / f"{part}.txt").read_text()
        assert re.search(ROW, text, re.MULTILINE), text
