"""Claims of Binder et al. (CVPR 2023), and what they mean for SenC."""

from collections.abc import Callable

from benchmarks.reproduction.judging import NO, PARTLY, YES, Claim, Judgement, Values, shown, verdict

DATA = "mnist"
RANDOMISATION = ("MPRT top-down", "MPRT bottom-up", "Smooth MPRT", "Random Logit")
ABOVE = "random above: activation and contribution"
SHUFFLED = "random above: activation of shuffled channels and contribution"


def _controls_below(metrics: tuple[str, ...], *, all_below: bool) -> Callable[[Values], Judgement]:
    def judge(values: Values) -> Judgement:
        places = values["maps"][DATA]["controls"]["methods below the best control"]
        best = values["maps"][DATA]["best control"]
        ours = "; ".join(f"{name}: {places[name]['mean']:.0f} of 6 methods below {best[name]}" for name in metrics)
        worst = [places[name]["mean"] == 6 if all_below else places[name]["mean"] == 0 for name in metrics]
        return Judgement(ours, verdict(worst), "" if all(worst) else _why_edges(values))

    return judge


def _why_edges(values: Values) -> str:
    rows = values["why edges do well"]
    inked, left = rows["superpixels with ink"], rows["superpixels with ink, ink partialled out"]
    return (
        "Edges change where there is ink, and so does the prediction. Over superpixels with ink the filter gets "
        f"{shown(inked['Sobel'])}; with the amount of ink partialled out, {shown(left['Sobel'])}, and Grad-CAM "
        f"{shown(left['Grad-CAM'])}. "
        "Parameter SenC gives the filter no score, for it does not change with the weights."
    )


def _independent_pixels(values: Values) -> Judgement:
    curves = values["blurred noise"]["width in pixels"]
    rank, ssim, spread = curves["MPRT"], curves["MPRT by SSIM"], curves["deviation of an image's MPRT"]
    narrow, wide = next(iter(rank)), list(rank)[-1]
    ours = (
        f"white noise: MPRT {shown(rank[narrow])}, by SSIM {shown(ssim[narrow])}, deviation {shown(spread[narrow])}; "
        f"the widest blur: {shown(rank[wide])}, {shown(ssim[wide])}, {shown(spread[wide])}"
    )
    reason = (
        "By rank correlation every width scores 0 on average, and the covariance of pixels sets how far single images scatter. "
        "By SSIM, which Binder et al. use, covariance costs a map its score, unless maps are stretched to full contrast."
    )
    low_by_ssim = ssim[narrow]["mean"] < ssim[wide]["mean"]
    return Judgement(ours, YES if low_by_ssim and abs(rank[narrow]["mean"]) < 0.05 else NO, reason)


def _scales(network: str) -> Callable[[Values], Judgement]:
    def judge(values: Values) -> Judgement:
        rows = values["activation scales"][network]["correlations"]
        pairs = {layer: (rows[ABOVE][layer], rows[SHUFFLED][layer]) for layer in rows[ABOVE]}
        holds = [one["mean"] - chance["mean"] > 2 * (one["error"] + chance["error"]) for one, chance in pairs.values()]
        ours = ", ".join(f"`{layer}` {shown(one)}" for layer, (one, _) in pairs.items())
        return Judgement(ours, verdict(holds), "Chance, with shuffled channels, is in the table below.")

    return judge


def _disagree(values: Values) -> Judgement:
    taus = values["agreement"][DATA]["all maps"]
    pairs = [("MPRT top-down", other) for other in ("Faithfulness Correlation", "Pixel Flipping", "SenC (regression)", "SenC")]
    cells = {other: taus[one][other] for one, other in pairs}
    ours = ", ".join(f"{name} {cell['mean']:.2f} ({cell['low']:.2f} to {cell['high']:.2f})" for name, cell in cells.items())
    return Judgement(ours, verdict([cell["high"] < 0 for cell in cells.values()]))


def _agree(values: Values) -> Judgement:
    taus = values["agreement"][DATA]["all maps"]
    cells = {name: taus["Faithfulness Correlation"][name] for name in ("SenC (regression)", "SenC", "Parameter SenC")}
    ours = ", ".join(f"{name} {cell['mean']:.2f} ({cell['low']:.2f} to {cell['high']:.2f})" for name, cell in cells.items())
    holds = [cell["low"] > 0 for cell in cells.values()]
    reason = "Of the six methods alone, data SenC by the regression goes the other way; see the last table."
    return Judgement(ours, YES if all(holds) else PARTLY if any(holds) else NO, reason)


TEXTS = {
    "Randomisation checks rank a map of noise above every method": _controls_below(RANDOMISATION, all_below=True),
    "Parameter SenC ranks maps without information below every method": _controls_below(("Parameter SenC",), all_below=False),
    "So does data SenC": _controls_below(("SenC (regression)", "SenC"), all_below=False),
    "Maps whose pixels do not covary score high in MPRT": _independent_pixels,
    "Channels with large activations contribute much also below random weights: ModelCNN": _scales("mnist"),
    "with shortcuts (ResNet18 of width 8, GTSRB)": _scales("gtsrb_shortcuts"),
    "without shortcuts": _scales("gtsrb_no_shortcuts"),
    "MPRT and faithfulness rank maps against each other (Kendall's tau of MPRT with …)": _disagree,
    "SenC goes with faithfulness (tau of Faithfulness Correlation with …)": _agree,
}
CLAIMS = [Claim("critique", text, judge) for text, judge in TEXTS.items()]
