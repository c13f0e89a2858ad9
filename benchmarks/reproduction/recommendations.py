"""What follows for users from the results. Each text gives its figures from them, and is left out where they are missing."""

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.reproduction.claims_settings import BLIND, SHOWN
from benchmarks.reproduction.judging import shown
from benchmarks.reproduction.paper_scores import GRAD_CAM_OF

Results = Mapping[str, Mapping[str, Any]]


def _estimator(values: Mapping[str, Any]) -> str:
    points = values["number of masks"]
    paper, regression = (
        {number: point["scores"] for number, point in points[name].items()} for name in ("paper", "regression")
    )
    numbers = ", ".join(f"{number} masks {shown(scores[SHOWN])}" for number, scores in paper.items())
    return (
        f'**Take `estimator="regression"`.** By the paper\'s sums {SHOWN} gets, on MNIST: {numbers}. '
        f"By the regression it gets {shown(regression['300'][SHOWN])} from 300. "
        f"A map that never changes gets {shown(paper['5000'][BLIND])} by the paper's sums of 5,000 masks, and no score by the "
        "regression. A random map does not show this: its similarity is 0 on average, and so is its share of the common noise. "
        "Run `fixed random` beside `random`."
    )


def _masks(values: Mapping[str, Any]) -> str:
    taus = {number: point["tau to all masks"]["tau"] for number, point in values["number of masks"]["regression"].items()}
    return (
        "**Masks.** By the regression, Kendall's tau of the ranking of methods with that of all masks is "
        f"{taus['300']:.2f} from 300 masks and {taus['1000']:.2f} from 1,000."
    )


def _one_setting(values: Mapping[str, Any]) -> str:
    rates, superpixels = values["mask rate"]["regression"], values["superpixels"]["regression"]
    taus = {name: point["tau"]["tau"] for name, point in values["baseline"]["regression"].items() if name != "0"}
    baselines = ", ".join(f"{name} {tau:.2f}" for name, tau in taus.items())
    return (
        "**Compare scores of one setting alone.** By the regression "
        f"{SHOWN} gets {shown(rates['0.8']['scores'][SHOWN])} at a mask rate of 0.8, and "
        f"{shown(rates['0.2']['scores'][SHOWN])} at 0.2, where the ranking is another "
        f"(tau {rates['0.2']['tau']['tau']:.2f}). "
        f"It gets {shown(superpixels['8']['scores'][SHOWN])} with 8 superpixels, and "
        f"{shown(superpixels['40']['scores'][SHOWN])} with 40. "
        f"Other baselines change the ranking, too (tau with that of 0: {baselines}). "
        "State mask rate, superpixels, compactness and baseline with a score."
    )


def _magnitudes(values: Mapping[str, Any]) -> str:
    signed, others = values["data"], values["other settings"]["data"]
    listed = ", ".join(
        f"{name} {shown(signed['SenC, regression'][name])} and {shown(others['SenC, regression, magnitudes of maps'][name])}"
        for name in ("DeepLift", "LRP", "Grad-CAM")
    )
    return (
        "**State whether maps are ranked with their signs.** They are, unless `abs=True`. By the regression, with signs and by "
        f"magnitudes, CIFAR-10 gives: {listed}. The paper does not say which it took."
    )


def _grad_cam_layer(values: Mapping[str, Any]) -> str:
    others = values["other settings"]["data"]
    start = f"SenC, regression, {GRAD_CAM_OF} "
    layers = {name.removeprefix(start): row["Grad-CAM"] for name, row in others.items() if name.startswith(start)}
    listed = ", ".join(f"{shown(cell)} of `{layer}`" for layer, cell in layers.items())
    return (
        "**State the layer of Grad-CAM.** By the regression, CIFAR-10 gives "
        f"{shown(values['data']['SenC, regression']['Grad-CAM'])} of the last convolution, {listed}."
    )


def _two_metrics(values: Mapping[str, Any]) -> str:
    scores = values["maps"]["mnist"]["scores"]
    data, parameter = scores["SenC (regression)"], scores["Parameter SenC"]
    listed = ", ".join(f"{name} {shown(parameter[name])}" for name in ("DeepLift", "VB", "Grad-CAM", "random"))
    return (
        "**Data SenC for the input, parameter SenC for the model.** Data SenC does not see whether a map depends on the model: "
        f"an edge filter gets {shown(data['Sobel'])}, and VB {shown(data['VB'])}. Parameter SenC of the first convolution "
        f"gives the filter no score, and tells the methods apart: {listed}. Read both."
    )


def _signs(values: Mapping[str, Any]) -> str:
    by_network = {name: network["limit"]["scores"] for name, network in values["data SenC"].items()}
    alike, mixed = by_network["linear, evidence for the class"], by_network["linear, evidence for and against"]
    return (
        "**Maps with signs.** The exact effect of each feature of a linear model gets "
        f"{shown(alike['effect'])} where all features speak for the class, and {shown(mixed['effect'])} where half of them "
        f"speak against it. Its size gets {shown(mixed['size of effect'])}: the change of the confidence has no sign."
    )


_TEXTS: list[tuple[str, Callable[[Mapping[str, Any]], str]]] = [
    ("settings", _estimator),
    ("settings", _masks),
    ("settings", _one_setting),
    ("cifar10", _magnitudes),
    ("cifar10", _grad_cam_layer),
    ("critique", _two_metrics),
    ("known_truth", _signs),
]


def recommendations(results: Results) -> list[str]:
    """Paragraphs, of the experiments that have results."""
    return [f"{text(results[name]['values'])}\n" for name, text in _TEXTS if name in results]
