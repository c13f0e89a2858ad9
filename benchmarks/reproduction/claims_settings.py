"""What the paper says of its settings (sections 4 and S1.3), and what decides the scores."""

from collections.abc import Callable

from benchmarks.reproduction.judging import NO, YES, Claim, Judgement, Values, shown, verdict

SHOWN = "LRP"  # the method of which the paper gives a figure
BLIND = "fixed random"  # a map that sees neither model nor image


def _same_ranking(varied: str, estimator: str) -> Callable[[Values], Judgement]:
    def judge(values: Values) -> Judgement:
        taus = {setting: point["tau"] for setting, point in values[varied][estimator].items()}
        ours = "tau: " + ", ".join(f"{setting}: {tau['tau']:.2f} ± {tau['error']:.2f}" for setting, tau in taus.items())
        levels = ", ".join(
            f"{setting}: {shown(point['scores'][SHOWN])}" for setting, point in values[varied][estimator].items()
        )
        return Judgement(f"{ours}. {SHOWN}: {levels}", verdict([tau["tau"] > 0.5 for tau in taus.values()]))

    return judge


def _level_changes(varied: str) -> Callable[[Values], Judgement]:
    def judge(values: Values) -> Judgement:
        cells = {setting: point["scores"][SHOWN] for setting, point in values[varied]["paper"].items()}
        means = [cell["mean"] for cell in cells.values()]
        errors = [cell["error"] for cell in cells.values()]
        apart = max(means) - min(means) > 4 * max(errors)
        ours = ", ".join(f"{setting}: {shown(cell)}" for setting, cell in cells.items())
        return Judgement(f"{SHOWN}: {ours}", YES if apart else NO)

    return judge


def _blind(values: Values) -> Judgement:
    by_number = {
        estimator: {number: point["scores"][BLIND] for number, point in values["number of masks"][estimator].items()}
        for estimator in ("paper", "regression")
    }
    ours = "; ".join(
        f"{estimator}: " + ", ".join(f"{number} masks {shown(cell)}" for number, cell in cells.items())
        for estimator, cells in by_number.items()
    )
    drawn = [cell for number, cell in by_number["paper"].items() if number != "all"]
    reason = (
        "Its similarity is 1 under every mask, so that its sum counts how often a feature is kept. So does a part of the "
        "other sum. A random map is at 0 only because its similarity is 0 on average."
    )
    return Judgement(
        ours, YES if all(cell["mean"] is not None and cell["mean"] > 4 * cell["error"] for cell in drawn) else NO, reason
    )


TEXTS = {
    "The mask rate hardly matters: ranking by the paper's sums": _same_ranking("mask rate", "paper"),
    "Ranking by the regression": _same_ranking("mask rate", "regression"),
    "A mask rate of 0.8 may mean eliminated or kept: same ranking": _same_ranking("reading of a mask rate of 0.8", "paper"),
    "SLIC's compactness decides the level on MNIST": _level_changes("compactness"),
    "So does the number of masks, by the paper's sums": _level_changes("number of masks"),
    "The baseline does not change the ranking by the paper's sums": _same_ranking("baseline", "paper"),
    "nor by the regression": _same_ranking("baseline", "regression"),
    "The paper's sums give a map that sees nothing a score": _blind,
}
CLAIMS = [Claim("settings", text, judge) for text, judge in TEXTS.items()]
