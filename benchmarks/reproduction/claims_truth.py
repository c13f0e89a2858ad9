"""Whether SenC finds what is known by construction, and how it does by MetaQuantus's criteria."""

from collections.abc import Callable

from benchmarks.reproduction.claims import NO, PARTLY, YES, Claim, Judgement, Values, shown, verdict

PUBLISHED = ("Faithfulness Correlation", "Pixel Flipping", "Random Logit", "MPRT")
SENC = ("Data SenC, regression", "Data SenC, paper", "Parameter SenC, regression", "Parameter SenC, paper")


def _first(network: str, part: str, faithful: str) -> Callable[[Values], Judgement]:
    def judge(values: Values) -> Judgement:
        results = values["data SenC"][network][part]
        stands, scores = results["standing"][faithful], results["scores"]
        others = [name for name in stands["order"] if name != faithful][:3]
        ours = f"rank {stands['rank']}: {shown(scores[faithful])}; " + ", ".join(
            f"{one} {shown(scores[one])}" for one in others
        )
        beside = stands["not below it by two errors"]
        reason = f"Not below it by two errors: {', '.join(beside)}." if beside else ""
        return Judgement(ours, YES if stands["rank"] == 1 and not beside else PARTLY if stands["rank"] == 1 else NO, reason)

    return judge


def _layer(layer: str) -> Callable[[Values], Judgement]:
    def judge(values: Values) -> Judgement:
        results = values["parameter SenC"][layer]
        stands, scores = results["standing"]["effect"], results["scores"]
        ours = f"rank {stands['rank']}: " + ", ".join(f"{name} {shown(cell)}" for name, cell in scores.items())
        beside = stands["not below it by two errors"]
        reason = f"Not below it by two errors: {', '.join(beside)}." if beside else ""
        return Judgement(ours, YES if stands["rank"] == 1 and not beside else PARTLY if stands["rank"] == 1 else NO, reason)

    return judge


def _consistency(values: Values) -> Judgement:
    metrics = values["mnist"]["metrics"]
    ours = ", ".join(f"{name} {shown(metrics[name]['MC'])}" for name in metrics)
    best_other = max(metrics[name]["MC"]["mean"] for name in metrics if name not in SENC)
    return Judgement(ours, verdict([metrics[name]["MC"]["mean"] >= best_other for name in SENC]))


NETWORKS = {
    "shortcut": "a planted shortcut",
    "two patches": "a network that reads two patches",
    "linear, evidence for the class": "a linear model whose features all speak for the class",
    "linear, evidence for and against": "a linear model whose features speak for and against the class",
}
CLAIMS = [
    Claim("meta_evaluation", "SenC is at least as consistent as the other metrics (MetaQuantus)", _consistency),
    *(
        Claim("known_truth", f"The exact effect of each feature is first, near 1: {text}", _first(name, "limit", "effect"))
        for name, text in NETWORKS.items()
    ),
    *(
        Claim("known_truth", f"Parameter SenC ranks the exact effect first: {layer}", _layer(layer))
        for layer in ("convolution", "fully connected layer")
    ),
]
