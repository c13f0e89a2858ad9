"""All that is to be tested and measured on a GPU, the most important first, within nine minutes on an H100.

    python -m benchmarks.gpu --out gpu
    python -m benchmarks.gpu --out gpu --device cpu --quick    # a rehearsal of a minute

Each part is a process of its own, which is stopped when its time is over. What it prints goes to a file of its name as it is
printed. A summary is printed last. `benchmarks/gpu.sh` takes this to a machine without a network.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROWS, METHODS = "resnet18-224,resnet50,vit-b", "Saliency,IntegratedGradients"


def parts(device: str, out: Path, *, quick: bool) -> dict[str, tuple[int, list[str]]]:
    """Seconds at the most, and the arguments of Python, for each part by name."""
    rows, methods = ("lenet", "Saliency") if quick else (ROWS, METHODS)
    profiled = "lenet" if quick else "resnet18-224"
    on = ["--device", device]
    tests = ["-k", "stages"] if quick else []
    short, rounds = ("0.5", "1") if quick else ("40", "3")
    speed = ["--rows", rows, "--methods", methods, "--seconds", short, "--rounds", rounds]
    profile = ["--methods", "Saliency", "--targets", "data", "--explainers", "quantus_senc.explain", "--repeats", "1"]
    profile += ["--masks", "16"] if quick else []
    calls = ["--calls", "lenet:Saliency:2:200", "--rounds", "1"] if quick else []
    masks = ["--masks", "16,64"] if quick else []
    return {
        "tests": (150, ["-m", "pytest", "-m", "cuda", "-v", "--durations=5", *tests, "tests/devices"]),
        "calls": (150, ["-m", "benchmarks.whole_calls", *calls, *on]),
        "speed": (130, ["-m", "benchmarks.speed", *speed, *on, "--json", str(out / "speed.json")]),
        "profile": (60, ["-m", "benchmarks.profile", "--rows", profiled, *profile, *on]),
        "batches": (60, ["-m", "benchmarks.batches", "--rows", rows, "--methods", methods.split(",")[0], *masks, *on]),
    }


def main() -> None:
    """Run the parts and say how each ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="a folder for what the parts print")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--parts", help="names, of tests, calls, speed, profile and batches; all by default")
    parser.add_argument("--quick", action="store_true", help="a LeNet alone")
    options = parser.parse_args()
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "SENC_TEST_DEVICE": options.device}
    endings = []
    for name, (most, arguments) in parts(options.device, out, quick=options.quick).items():
        if options.parts and name not in options.parts.split(","):
            continue
        start = time.monotonic()
        with open(out / f"{name}.txt", "w") as log:
            given = {"stdout": log, "stderr": subprocess.STDOUT, "cwd": ROOT, "env": environment}
            try:
                limit = None if options.quick else most  # a rehearsal shows that all parts end, not how fast
                ending = f"exit {subprocess.run([sys.executable, *arguments], timeout=limit, check=False, **given).returncode}"
            except subprocess.TimeoutExpired:
                ending = "stopped"
        endings.append(f"{name}: {ending} after {time.monotonic() - start:.0f} s")
        print(f"== {endings[-1]}\n{(out / f'{name}.txt').read_text()[-3000:]}", flush=True)
    print("\n".join(endings))
    if not all("exit 0" in ending for ending in endings):
        sys.exit(1)


if __name__ == "__main__":
    main()
