"""The rehearsal of a GPU's measurements: every part runs, here on the CPU and with a small network. Its tests are for a GPU."""

import re
import runpy
import subprocess
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout

import pytest

from benchmarks import gpu

ROW = r"^\| lenet \| Saliency \|.*\d"
PARTS = ("calls", "speed", "profile", "batches")


@pytest.mark.unwatched("generators")
def test_rehearsal(tmp_path, monkeypatch, capsys):
    """In this process, because each of its own would import everything first."""
    run = subprocess.run

    def run_here(command, *, stdout=None, **kwargs):
        if command[:2] != [sys.executable, "-m"]:
            return run(command, stdout=stdout, **kwargs)
        _, _, module, *arguments = command
        with monkeypatch.context() as patch, redirect_stdout(stdout), redirect_stderr(stdout), warnings.catch_warnings():
            patch.setattr(sys, "argv", [module, *arguments])
            patch.setenv("CUDA_LAUNCH_BLOCKING", "0")  # a part sets it
            runpy.run_module(module, run_name="__main__")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run_here)
    options = ["--device", "cpu", "--quick", "--parts", ",".join(PARTS), "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["gpu", *options])
    gpu.main()
    endings = capsys.readouterr().out.splitlines()[-len(PARTS) :]
    assert [line.split(" after")[0] for line in endings] == [f"{one}: exit 0" for one in PARTS]
    for part in PARTS:
        text = (tmp_path / f"{part}.txt").read_text()
        assert re.search(ROW, text, re.MULTILINE), text
