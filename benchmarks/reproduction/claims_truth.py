"""Whether SenC finds what is known by construction, and how it does by MetaQuantus's criteria."""

from collections.abc import Callable
from dataclasses import replace

from benchmarks.reproduction.judging import NO, PARTLY, YES, Claim, Judgement, Values, near, shown, verdict

SENC = ("Data SenC, regression", "Data SenC, paper", "Parameter SenC, regression", "Parameter SenC, paper")


def _standing(results: Values, faithful: str) -> Judgement:
    """First, and above all others by two errors, but for itself in other words."""
    stands, scores = results["standing"][faithful], results["scores"]
    rivals = [name for name in stands["order"] if name not in SAME]
    first = all(scores[faithful]["mean"] >= (scores[name]["mean"] or 0.0) for name in rivals)
    beside = [name for name in stands["not below it by two errors"] if name not in SAME]
    ours = ", ".join(f"{name} {shown(scores[name])}" for name in [faithful, *rivals[:3]])
    near_one = (scores[faithful]["mean"] or 0.0) > NEAR_ONE
    reasons = [f"Not below it by two errors: {', '.join(beside)}."] if beside else []
    reasons += [] if near_one else ["Not near 1."]
    return Judgement(ours, YES if first and near_one and not beside else PARTLY if first else NO, " ".join(reasons))


def _first(network: str, faithful: str) -> Callable[[Values], Judgement]:
    def judge(values: Values) -> Judgement:
        judged = _standing(values["data SenC"][network]["limit"], faithful)
        return judged if judged.verdict == YES else replace(judged, reason=f"{judged.reason} {REASONS[network]}".strip())

    return judge


def _layer(layer: str) -> Callable[[Values], Judgement]:
    def judge(values: Values) -> Judgement:
        judged = _standing(values["parameter SenC"]["layers"][layer], "effect")
        return replace(judged, reason=f"{judged.reason} {UNITS}") if "Not near" in judged.reason else judged

    return judge


def _consistency(values: Values) -> Judgement:
    metrics = values["metrics"]
    ours = ", ".join(f"{name} {shown(metrics[name]['MC'])}" for name in metrics)
    undefined = [name for name, metric in metrics.items() if metric["MC"]["mean"] is None]
    means = {name: -1.0 if name in undefined else metric["MC"]["mean"] for name, metric in metrics.items()}
    best_other = max(mean for name, mean in means.items() if name not in SENC)
    above = [name for name, mean in means.items() if name not in SENC and mean > max(means[one] for one in SENC)]
    first = [name for name in SENC if means[name] > best_other]
    reason = f"Above every SenC: {', '.join(above)}." if above else f"Above all other metrics: {', '.join(first) or 'none'}."
    if undefined:
        reason += f" Undefined, since too few images have a score under disruptive noise: {', '.join(undefined)}."
    return Judgement(ours, verdict([means[name] >= best_other for name in SENC]), reason)


NEAR_ONE = 0.9
UNITS = (
    "Most units have no effect, so that the noise of the masks, which all images share, ranks them among each other; "
    "see the tables by units, masks and seed."
)
SAME = ("effect", "size of effect", "positive part of effect")
WORDS = {"effect": "The exact effect of each feature", "size of effect": "The size of the exact effect"}


def _published(values: Values) -> Judgement:
    metrics = values["published"]["metrics"]
    names = {name: (metric["MC"], metric["published MC"]) for name, metric in metrics.items()}
    ours = ", ".join(f"{name} {shown(cell)} (published {published:.2f})" for name, (cell, published) in names.items())
    turned = metrics["Pixel Flipping"]["MC of the other direction"]
    reason = f"If more is better in Pixel Flipping, as its published code has it, its mean is {shown(turned)}."
    return Judgement(ours, verdict([near(*pair) for pair in names.values()]), reason)


REASONS = {
    "shortcut": "Features that speak against the class rank low in the map; see the table of causes.",
    "two patches": "",
    "linear, evidence for the class": "",
    "linear, evidence for and against": "To remove the lowest of a map moves its ranks as much as to remove the highest.",
}
NETWORKS = {
    "shortcut": "a planted shortcut",
    "two patches": "a network that reads two patches",
    "linear, evidence for the class": "a linear model whose features all speak for the class",
    "linear, evidence for and against": "a linear model whose features speak for and against the class",
}
CLAIMS = [
    Claim("meta_evaluation", "Published means of meta-consistency on MNIST (Hedström et al. 2023)", _published),
    Claim("meta_evaluation", "MNIST: SenC is at least as consistent as the other metrics", _consistency, within="mnist"),
    Claim(
        "meta_evaluation",
        "CIFAR-10, with less disruptive noise: SenC is at least as consistent as the other metrics",
        _consistency,
        within="cifar10",
    ),
    *(
        Claim("known_truth", f"{WORDS[name]} is first, near 1: {text}", _first(network, name))
        for name in WORDS
        for network, text in NETWORKS.items()
    ),
    *(
        Claim("known_truth", f"Parameter SenC ranks the exact effect first, near 1: {layer}", _layer(layer))
        for layer in ("convolution", "fully connected layer")
    ),
]
