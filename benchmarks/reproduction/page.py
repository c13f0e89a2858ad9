"""`benchmarks/REPRODUCTION.md` from the results: each number on it is one of theirs, or the paper's."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.reproduction.claims import CLAIMS
from benchmarks.reproduction.judging import Judgement
from benchmarks.reproduction.page_tables import TABLES
from benchmarks.reproduction.recommendations import recommendations

TITLES = {
    "mnist": "MNIST, ModelCNN",
    "cifar10": "CIFAR-10, ResNet18",
    "gtsrb": "GTSRB, MobileNetV3-small",
    "imagenet": "ImageNet images, and a transformer",
    "settings": "Settings",
    "critique": "Randomisation checks (Binder et al.)",
    "meta_evaluation": "The metrics themselves (MetaQuantus)",
    "known_truth": "Known truth",
}
_INTRODUCTION = """# The paper's experiments, again

Claims of Tan, "Evaluating Sensitivity Consistency of Explanations" (WACV 2025), and of Binder et al., "Shortcomings of
Top-Down Randomization-Based Sanity Checks" (CVPR 2023), tried with this package. `python -m benchmarks.reproduce NAME --data
FOLDER` runs an experiment, and `--page` writes this page: every figure in the column "ours" and in the tables below is a number
of the files in `benchmarks/results`. ± is one standard error over images. "Paper" is the sum of Eq. 1 and 2, "regression" the
estimator of this package with the same limit and without the shared noise of the masks. A figure counts as reproduced within
two errors of the paper's; a statement, if it holds for every method that it names. Some claims hold only in other settings than
the paper's: the verdict "only" names these, and the table "Claims that do not hold, in other settings" has their figures.

VB is vanilla backpropagation (the gradient; in this package "Saliency"), GB is Guided Backprop, IG is Integrated Gradients. The
scale "full" has the paper's numbers of images and masks, "quick" has fewer.
"""
_SETTINGS = """What the paper may have meant, and does not say: that masks keep 0.8 of the features or units instead of
eliminating them; that the ranks are of magnitudes; another number of masks; Grad-CAM of another layer. In bold: figures with
which the claim holds.
"""


def load_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Results by experiment: those of the scale "full" where they are, else "quick"."""
    results = {}
    for name in TITLES:
        paths = [path for scale in ("full", "quick") if (path := folder / f"{name}-{scale}.json").exists()]
        if paths:
            results[name] = json.loads(paths[0].read_text())
    return results


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The page in Markdown."""
    parts = [_INTRODUCTION, _made_by(results), "## Claims\n", _claims(results)]
    parts += ["## What we recommend\n", *recommendations(results)]
    parts += ["## Claims that do not hold, in other settings\n", _SETTINGS, _elsewhere(results)]
    parts += ["## Experiments\n", *(_experiment(name, result) for name, result in results.items())]
    return "\n".join(parts).rstrip() + "\n"


def write_page(results: Path) -> Path:
    """Write the page beside the folder of results."""
    path = results.parent / "REPRODUCTION.md"
    path.write_text(page(load_results(results)))
    return path


def _made_by(results: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        f"| {TITLES[name]} | {result['scale']} | {made['commit']} | {made['device']}, {made.get('workers', 1)} process(es) "
        f"| {made['torch']} | {made['seconds'] / 60:.0f} |"
        for name, result in results.items()
        for made in [result["made by"]]
    ]
    missing = [TITLES[name] for name in TITLES if name not in results]
    head = ["| experiment | scale | commit | machine | torch | minutes |", "|---|---|---|---|---|---|"]
    return "\n".join([*head, *rows, *([f"\nNot run yet: {'; '.join(missing)}."] if missing else []), ""])


def _claims(results: Mapping[str, Mapping[str, Any]]) -> str:
    rows, before = ["| claim | ours | verdict | why |", "|---|---|---|---|"], ""
    for claim in CLAIMS:
        values = claim.values(results)
        judged = claim.judged(values) if values else Judgement("", "not run")
        reason = "as above" if judged.reason and judged.reason == before else judged.reason
        rows.append(f"| {claim.text} | {judged.ours} | {judged.verdict} | {reason} |")
        before = judged.reason
    return "\n".join([*rows, ""])


def _elsewhere(results: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for each setting, with a column for each estimator."""
    lines = ["| claim | setting | paper's sums | regression |", "|---|---|---|---|"]
    for claim in CLAIMS:
        values = claim.values(results)
        cells = claim.elsewhere(values) if values else {}
        for number, setting in enumerate(dict.fromkeys(setting for setting, _ in cells)):
            pair = [cells.get((setting, estimator), ("", False)) for estimator in ("paper", "regression")]
            texts = [f"**{figures}**" if holds else figures for figures, holds in pair]
            name = setting or "the paper's"
            lines.append(f"| {'' if number else claim.text} | {name} | {' | '.join(texts)} |")
    return "\n".join([*lines, ""])


def _experiment(name: str, result: Mapping[str, Any]) -> str:
    image = f"![{TITLES[name]}](results/{name}-{result['scale']}.png)"
    values = TABLES.get(name, dict)(result["values"])
    return "\n".join([f"### {TITLES[name]}\n", image, "", *_blocks(values, "")])


def _blocks(values: Mapping[str, Any], title: str) -> list[str]:
    """Settings as a sentence, tables of cells as tables, and what holds such as blocks of their own."""
    lines: list[str] = []
    plain = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    if plain:
        lines += [f"**{title}**\n"] if title else []
        lines.append("; ".join(f"{key}: {_plain(value)}" for key, value in plain.items()) + ".\n")
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            name = f"{title}, {key}" if title else key
            lines += _table(value, name) if _is_table(value) else _blocks(value, name)
    return lines


def _is_table(value: Mapping[str, Any]) -> bool:
    """Whether it is rows of cells, each with a mean."""
    rows = list(value.values())
    return bool(rows) and all(
        isinstance(row, Mapping) and row and all(isinstance(cell, Mapping) and "mean" in cell for cell in row.values())
        for row in rows
    )


def _table(rows: Mapping[str, Mapping[str, Any]], title: str) -> list[str]:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    lines = [f"| {title} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        lines.append(f"| {name} | {' | '.join(_cell(row.get(column)) for column in columns)} |")
    return [*lines, ""]


def _cell(cell: Mapping[str, Any] | None) -> str:
    if cell is None or cell["mean"] is None:
        return ""
    return f"{cell['mean']:z.2f}" + (f" ± {cell['error']:.2f}" if cell.get("error") is not None else "")


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_plain(one) for one in value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
