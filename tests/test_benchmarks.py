"""The rehearsal of what a GPU is to be tested and measured by: every part runs, here on the CPU and with a small network."""

import re
import subprocess
import sys
from pathlib import Path

ROW = r"^\| lenet \| Saliency \|.*\d"
EXPECTED = {"tests": r"\d+ passed", "calls": ROW, "speed": ROW, "profile": ROW, "batches": ROW}


def test_rehearsal(tmp_path):
    command = [sys.executable, "-m", "benchmarks.gpu", "--device", "cpu", "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert {path.stem for path in tmp_path.glob("*.txt")} == EXPECTED.keys()
    for part, line in EXPECTED.items():
        text = (tmp_path / f"{part}.txt").read_text()
        assert re.search(line, text, re.MULTILINE), text
        assert not re.search("failed|skipped", text), text
