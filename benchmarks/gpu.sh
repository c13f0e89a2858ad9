#!/bin/sh
# Prepares a run of benchmarks/gpu.py on a machine with a GPU and without a network, and prints the command for it.
#
#     benchmarks/gpu.sh
#
# That machine is expected to have Python 3.12 with torch, numpy, pandas, scipy, scikit-image, scikit-learn, OpenCV, matplotlib,
# jaxtyping, jinja2, tqdm and pytest. What else is needed goes as wheels into the folder gpu-wheels, which git ignores. Copy this
# checkout with the folder.
set -eu
cd "$(dirname "$0")/.."
rm -rf gpu-wheels
pinned() { grep -i "^$1==" constraints.txt; }
for package in quantus captum beartype cachetools; do
    "${PYTHON:-python3}" -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 \
        --dest gpu-wheels "$(pinned "$package")"
done
"${PYTHON:-python3}" -m pip wheel --quiet --no-deps --wheel-dir gpu-wheels .
du -sh gpu-wheels
cat <<'END'
Run this there, in the checkout:

    python3 -m pip install --no-index --no-deps --target gpu-site gpu-wheels/*.whl &&
    PYTHONPATH=$PWD:$PWD/gpu-site python3 -m benchmarks.gpu --out gpu
END
