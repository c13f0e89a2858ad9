"""What the page shows of experiments 5 to 8: rows of cells, made of the values without a new number."""

from collections.abc import Mapping
from typing import Any

Values = Mapping[str, Any]
CRITERIA = ("IAC minor", "IAC disruptive", "IEC minor", "IEC disruptive")


def settings_tables(values: Values) -> dict[str, Any]:
    """A table for each thing that is varied: a row for each setting and estimator, and the rank correlation of methods."""
    tables: dict[str, Any] = {"settings": values["settings"]}
    for varied, by_estimator in values.items():
        if varied != "settings":
            tables[varied] = {
                f"{setting}, {estimator}": point["scores"] | _taus(point)
                for estimator, points in by_estimator.items()
                for setting, point in points.items()
            }
    for varied in ("number of masks", "reading of a mask rate of 0.8", "compactness"):
        rows = {setting: point["all three in common"] for setting, point in values[varied]["paper"].items()}
        tables[f"{varied}, top-3: share of images with all three in common, paper's sums"] = rows
    return tables


def _taus(point: Values) -> dict[str, Any]:
    return {name: {"mean": tau["tau"], "error": tau["error"]} for name, tau in point.items() if name.startswith("tau")}


def critique_tables(values: Values) -> dict[str, Any]:
    """Scores, places of the controls, noise, scales and agreement."""
    tables: dict[str, Any] = {"settings": values["settings"]}
    for data, maps in values["maps"].items():
        tables[f"{data}, scores"] = maps["scores"]
        ranks = {name: {column: {"mean": cell["rank"]} for column, cell in row.items()} for name, row in maps["scores"].items()}
        tables[f"{data}, ranks"] = ranks
        tables[f"{data}, controls"] = maps["controls"]
    tables["why edges do well, MNIST"] = values["why edges do well"]
    tables |= {f"blurred noise, {name}": rows for name, rows in values["blurred noise"].items()}
    for network, scales in values["activation scales"].items():
        tables[f"activation scales, {network}"] = scales["correlations"]
    for data, by_maps in values["agreement"].items():
        tables |= {f"{data}, Kendall's tau, {maps}": rows for maps, rows in by_maps.items()}
    return tables


def meta_tables(values: Values) -> dict[str, Any]:
    """A row for each metric: meta-consistency, and its criteria by what is perturbed."""
    tables: dict[str, Any] = {"settings": values["settings"]}
    for data, evaluated in values.items():
        if data != "settings" and "metrics" in evaluated:
            tables[f"{data}, meta-consistency"] = {name: _criteria(metric) for name, metric in evaluated["metrics"].items()}
    return tables


def _criteria(metric: Values) -> dict[str, Any]:
    cells = {f"{place}, {name}": metric[place][name] for place in ("input", "model") for name in CRITERIA}
    return {"MC": metric["MC"]} | cells


def known_tables(values: Values) -> dict[str, Any]:
    """Scores of each network's explanations, by all masks and by drawn ones; of layers; and what they depend on."""
    tables: dict[str, Any] = {"settings": values["settings"], "shortcut": values["shortcut"]}
    for part in ("limit", "regression, drawn masks", "paper's sums, drawn masks"):
        tables[f"data SenC, {part}"] = {name: network[part]["scores"] for name, network in values["data SenC"].items()}
    parameter = values["parameter SenC"]
    tables["parameter SenC"] = {name: layer["scores"] for name, layer in parameter["layers"].items()}
    for name, row in parameter["fully connected layer by"].items():
        relevant = {setting: cell["among relevant units"] for setting, cell in row.items()}
        tables[f"parameter SenC of the effect, fully connected layer, by {name}"] = {
            "score": row,
            "among relevant units": relevant,
        }
    for cause, settings in values["causes"].items():
        tables[cause] = {setting: point.get("scores", point) for setting, point in settings.items()}
    return tables


TABLES = {
    "settings": settings_tables,
    "critique": critique_tables,
    "meta_evaluation": meta_tables,
    "known_truth": known_tables,
}
