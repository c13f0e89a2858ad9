"""
A run on two workers, resumed
=============================

A comparison with a folder writes each score as soon as it is there. The same command goes on where an earlier one stopped.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

import quantus_senc
from quantus_senc import demo

place = Path(tempfile.mkdtemp())
images, labels, x_batch, y_batch = demo.digits()
torch.save(demo.train(images, labels), place / "model.pt")
np.savez(place / "images.npz", x=x_batch[:8].numpy(), y=y_batch[:8].numpy())

# %%
# The command takes the model from a function of yours.

(place / "my_models.py").write_text(
    """
import torch

def trained():
    # A file that you have not made yourself could run code here
    return torch.load("model.pt", weights_only=False)
"""
)
command = [
    *(sys.executable, "-m", "quantus_senc.cli", "compare"),
    *("--model", "my_models:trained"),
    *("--data", "images.npz"),
    *("--methods", "Saliency,random"),
    *("--metrics", "SenC (regression),Top-3"),
    *("--n-masks", "200"),
    *("--block-size", "2"),
    *("--out", "run"),
]


def run(*more):
    """Run the command, and show what it prints."""
    done = subprocess.run([*command, *more], cwd=place, capture_output=True, text=True)
    print(done.stdout or done.stderr)


# %%
# The first half, as one task of a cluster would do it: every second block of two images. The folder can be read at any time.

run("--shard", "1/2")
print(quantus_senc.Comparison.load(place / "run"))

# %%
# Two workers do the rest. The blocks that are done are not done again, and the scores are bit for bit those of one process.

run("--workers", "2")
result = quantus_senc.Comparison.load(place / "run")
print(result)
figure = quantus_senc.plot.score_distributions(result)
