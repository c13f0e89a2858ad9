"""Put the contribution into a checkout of Quantus: python upstream/apply.py TREE.

New files are copied from `overlay`. One entry is added to each file of `ENTRIES`, after its anchor: the one line that matches
a regular expression. Unless every anchor matches exactly once, nothing is changed. A second run changes nothing.
"""

import re
import shutil
import sys
from pathlib import Path

OVERLAY = Path(__file__).parent / "overlay"
PAPER = "https://openaccess.thecvf.com/WACV2025"
FOLDER = "quantus.metrics.faithfulness"

# The file, the anchor, and the lines that come after it.
ENTRIES = [
    (
        "quantus/metrics/faithfulness/__init__.py",
        rf"from {FOLDER}\.sufficiency import .*",
        f"from {FOLDER}.data_sensitivity_consistency import (\n    DataSensitivityConsistency,\n)\n"
        f"from {FOLDER}.parameter_sensitivity_consistency import (\n    ParameterSensitivityConsistency,\n)",
    ),
    (
        "quantus/helpers/constants.py",
        r' +"Sufficiency": .*',
        '        "Data Sensitivity Consistency": DataSensitivityConsistency,\n'
        '        "Parameter Sensitivity Consistency": ParameterSensitivityConsistency,',
    ),
    (
        "README.md",
        r" +<li><b>Sufficiency </b>.*",
        f'    <li><b>Data and Parameter Sensitivity Consistency </b><a href="{PAPER}">(Tan, 2025)</a>: correlates the '
        "sensitivities of prediction and explanation to the same input features, or to the same units of the model",
    ),
    (
        f"docs/source/docs_api/{FOLDER}.rst",
        rf" +{FOLDER}\.sufficiency",
        f"   {FOLDER}.data_sensitivity_consistency\n   {FOLDER}.parameter_sensitivity_consistency",
    ),
    (
        "docs/source/docs_api/quantus.helpers.rst",
        r" +quantus\.helpers\.plotting",
        "   quantus.helpers.sensitivity_utils",
    ),
]


def edited(tree: Path) -> "dict[Path, str]":
    """Return the new text of each file that gets an entry; raise SystemExit if an anchor does not match exactly once."""
    texts = {}
    for name, anchor, entry in ENTRIES:
        path = tree / name
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if entry in text:
            continue
        matches = list(re.finditer(f"^{anchor}$", text, re.MULTILINE))
        if len(matches) != 1:
            raise SystemExit(
                f"{path}: {len(matches)} lines match {anchor!r}, but one must; nothing is changed"
            )
        end = matches[0].end()
        texts[path] = f"{text[:end]}\n{entry}{text[end:]}"
    return texts


def apply(tree: Path) -> None:
    """Copy the new files and add the entries."""
    for path, text in edited(tree).items():
        path.write_text(text, encoding="utf-8")
    for source in OVERLAY.rglob("*"):
        if source.suffix in (".py", ".rst"):
            target = tree / source.relative_to(OVERLAY)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


if __name__ == "__main__":
    apply(Path(sys.argv[1]))
