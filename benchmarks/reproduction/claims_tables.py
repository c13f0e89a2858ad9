"""Claims of sections 4.2 and 4.3 of the paper."""

from collections.abc import Callable

from benchmarks.reproduction.judging import (
    PAPER,
    Claim,
    Judgement,
    Tried,
    Values,
    above,
    as_random,
    best,
    clearly_above,
    falls,
    figure_is,
    informative,
    listed,
    shown,
    verdict,
)

ALL = "all layers, paper"
FALLS = {"VB": 0.17, "Grad-CAM": 0.13, "GB": 0.27, "LRP": 0.27, "IG": 0.25, "DeepLift": 0.1}
CONSISTENT = ["VB", "GB", "IG", "LRP", "DeepLift"]


def _data(*methods: str) -> Tried:
    return Tried("data", PAPER, methods)


def _parameter(*methods: str) -> Tried:
    return Tried("parameter", ALL, methods)


def _variance(values: Values) -> Judgement:
    row = values["data"][PAPER]
    others = [name for name in row if name not in ("Grad-CAM", "random")]
    highest = all(row["Grad-CAM"]["variance"] > row[name]["variance"] for name in others)
    return Judgement(f"Grad-CAM {shown(row['Grad-CAM'], 'variance')}; {listed(row, others, 'variance')}", verdict([highest]))


def _random(values: Values) -> Judgement:
    paper, regression = (values["data"][name]["random"] for name in (PAPER, "SenC, regression"))
    ours = f"{shown(paper)} (regression {shown(regression)})"
    shared = "Both sums share the noise of their masks, which correlates them whatever a method does. The regression has none."
    chance = "A mean is two errors below its limit in one of forty samples; the regression of the same masks is nearer."
    zero = abs(paper["mean"]) <= 2 * paper["error"]
    return Judgement(ours, verdict([zero]), "" if zero else shared if paper["mean"] > 0 else chance)


def _top_3(values: Values) -> Judgement:
    row = values["data"]["Top-3"]
    ours = f"all: {listed(row, CONSISTENT, 'all in common')}; none: {listed(row, CONSISTENT, 'none in common')}"
    holds = [row[name]["all in common"] > 0.2 for name in CONSISTENT] + [
        row[name]["none in common"] < 0.05 for name in CONSISTENT
    ]
    return Judgement(ours, verdict(holds))


def _top_3_cifar(values: Values) -> Judgement:
    row = values["data"]["Top-3"]
    names = ["VB", "GB", "IG", "DeepLift"]
    some = {name: 1 - row[name]["none in common"] > 0.6 for name in names}
    best_of_all = max(row, key=lambda name: row[name]["mean"]) == "DeepLift"
    return Judgement(
        f"none: {listed(row, names, 'none in common')}; {listed(row, names)}", verdict([*some.values(), best_of_all])
    )


def _convolutions_above_dense(convolutions: list[str], dense: list[str], estimator: str) -> Callable[[Values], Judgement]:
    def judge(values: Values) -> Judgement:
        holds, ours = [], []
        for method in ("VB", "GB", "IG", "DeepLift"):
            cells = {layer: values["parameter"][f"{layer}, {estimator}"][method] for layer in [*convolutions, *dense]}
            ours.append(f"{method}: " + ", ".join(f"`{layer}` {shown(cell)}" for layer, cell in cells.items()))
            holds += [clearly_above(cells[one], cells[other]) for one in convolutions for other in dense]
        return Judgement("; ".join(ours), verdict(holds))

    return judge


def _between(metric: str, names: list[str], low: float, high: float) -> Callable[[Values], Judgement]:
    def judge(values: Values) -> Judgement:
        row = values["parameter"][metric]
        return Judgement(listed(row, names), verdict([low <= (row[name]["mean"] or 0.0) <= high for name in names]))

    return judge


def _worst(names: list[str]) -> Callable[[Values], Judgement]:
    def judge(values: Values) -> Judgement:
        row = values["data"][PAPER]
        order = informative(row)
        return Judgement(listed(row, order), verdict([name in order[-len(names) :] for name in names]))

    return judge


EFFICIENTNET, TRANSFORMER = "EfficientNet-Lite0, ImageNet", "transformer, GTSRB"
LEVEL = (
    "The paper's level comes out with fewer masks, or if 0.8 of the features are kept: the tables of Settings. "
    "The paper does not say how compact its superpixels are."
)
HIGHER = (
    "More masks lower the paper's sums to the regression's level. With 0.8 kept, or of magnitudes of maps, it is nearer "
    "to the paper's figures. The paper does not give the network's widths."
)
UNITS = "The more units a layer has, the more noise do the paper's sums share. The regression has no such noise."
SIGNS = "Magnitudes of maps give LRP the paper's level, and DeepLift far less than the paper's figure."
LAYER = "Grad-CAM's layer decides, and the paper does not name it. Here it is the last convolution."
MNIST_LAYERS = (["conv1", "conv2"], ["fc1", "fc2"])
CIFAR_LAYERS = (["conv1", "layer1.0.conv1"], ["fc"])
GTSRB_LAYERS = (["0", "3.body.0"], ["19", "21"])
CLAIMS = [
    Claim(
        "mnist",
        "MNIST, data SenC: all but Grad-CAM above 0.6",
        above("data", PAPER, CONSISTENT, 0.6),
        LEVEL,
        _data(*CONSISTENT),
    ),
    Claim("mnist", "LRP 0.609", figure_is("data", PAPER, "LRP", 0.609), LEVEL, _data("LRP")),
    Claim(
        "mnist",
        "Grad-CAM varies most: variance 0.13",
        _variance,
        "",
        Tried("data", PAPER, ("Grad-CAM", *CONSISTENT), "variance"),
    ),
    Claim("mnist", "Random maps are expected at 0", _random),
    Claim("mnist", "Top-1 agreement around 0.8, but for Grad-CAM", above("data", "Top-1", CONSISTENT, 0.7)),
    Claim(
        "mnist",
        "Top-3: all three in common in more than 0.2 of the images, none in less than 0.05, but for Grad-CAM",
        _top_3,
        "",
        Tried("data", "Top-3", tuple(CONSISTENT), "all in common"),
    ),
    Claim("mnist", "Parameter SenC: GB 0.29", figure_is("parameter", ALL, "GB", 0.29), HIGHER, _parameter("GB")),
    Claim("mnist", "IG 0.32", figure_is("parameter", ALL, "IG", 0.32), HIGHER, _parameter("IG")),
    Claim("mnist", "Grad-CAM 0.14", figure_is("parameter", ALL, "Grad-CAM", 0.14), HIGHER, _parameter("Grad-CAM")),
    Claim(
        "mnist",
        "VB, LRP and DeepLift 0.2 to 0.3",
        _between(ALL, ["VB", "LRP", "DeepLift"], 0.2, 0.3),
        HIGHER,
        _parameter("VB", "LRP", "DeepLift"),
    ),
    Claim("mnist", "Convolutions far above fully connected layers", _convolutions_above_dense(*MNIST_LAYERS, "paper"), UNITS),
    Claim("mnist", "The same by the regression", _convolutions_above_dense(*MNIST_LAYERS, "regression")),
    Claim("cifar10", "CIFAR-10, data SenC: LRP −0.012", figure_is("data", PAPER, "LRP", -0.012), SIGNS, _data("LRP")),
    Claim("cifar10", "Grad-CAM 0.052", figure_is("data", PAPER, "Grad-CAM", 0.052), LAYER, _data("Grad-CAM")),
    Claim("cifar10", "DeepLift 0.351", figure_is("data", PAPER, "DeepLift", 0.351), "", _data("DeepLift")),
    Claim("cifar10", "DeepLift highest", best("data", PAPER, ["DeepLift"]), LAYER, _data("DeepLift", "LRP", "VB", "Grad-CAM")),
    Claim(
        "cifar10",
        "LRP and Grad-CAM at random's level",
        as_random("data", [PAPER, "SenC, regression"], ["LRP", "Grad-CAM"]),
        LAYER,
        _data("LRP", "Grad-CAM"),
    ),
    Claim("cifar10", "Top-3: VB, GB, IG, DeepLift share one or more in over 0.6 of the images; DeepLift best", _top_3_cifar),
    Claim(
        "cifar10", "Parameter SenC: DeepLift above 0.1", above("parameter", ALL, ["DeepLift"], 0.1), "", _parameter("DeepLift")
    ),
    Claim(
        "cifar10",
        "LRP at random's level",
        as_random("parameter", [ALL, "all layers, regression"], ["LRP"]),
        "",
        _parameter("LRP"),
    ),
    Claim(
        "mnist, cifar10",
        "From MNIST, parameter SenC falls: VB by 0.17, Grad-CAM by 0.13, GB and LRP by 0.27, IG by 0.25, DeepLift by 0.1",
        falls("parameter", ALL, FALLS),
        "The layers are others, and so are their numbers of units and of masks, on which the paper's sums depend.",
    ),
    Claim(
        "mnist, cifar10",
        "The same by the regression",
        falls("parameter", "all layers, regression", FALLS),
    ),
    Claim("cifar10", "IG and DeepLift best at conv1", best("parameter", "conv1, paper", ["IG", "DeepLift"])),
    Claim("cifar10", "and at layer1.0.conv1", best("parameter", "layer1.0.conv1, paper", ["IG", "DeepLift"])),
    Claim("cifar10", "Convolutions above the fully connected layer", _convolutions_above_dense(*CIFAR_LAYERS, "paper"), UNITS),
    Claim("cifar10", "The same by the regression", _convolutions_above_dense(*CIFAR_LAYERS, "regression")),
    Claim(
        "gtsrb",
        "GTSRB, data SenC: GB, IG and DeepLift best",
        best("data", PAPER, ["GB", "IG", "DeepLift"]),
        "",
        _data("VB", "GB", "LRP", "Grad-CAM"),
    ),
    Claim("gtsrb", "VB worst", _worst(["VB"])),
    Claim(
        "gtsrb",
        "Parameter SenC of the first two layers: VB, LRP, Grad-CAM at random's level",
        as_random("parameter", ["0, regression", "3.body.0, regression"], ["VB", "LRP", "Grad-CAM"]),
        "",
        Tried("parameter", "0, regression", ("VB", "LRP", "Grad-CAM")),
    ),
    Claim("gtsrb", "IG and DeepLift better than these", best("parameter", "0, paper", ["IG", "DeepLift"])),
    Claim(
        "gtsrb",
        "Convolutions above the last two fully connected layers (`19` and `21`)",
        _convolutions_above_dense(*GTSRB_LAYERS, "paper"),
        UNITS,
    ),
    Claim("gtsrb", "The same by the regression", _convolutions_above_dense(*GTSRB_LAYERS, "regression")),
    Claim(
        "imagenet",
        "ImageNet, data SenC: IG and Grad-CAM best (here EfficientNet-Lite0)",
        best("data", PAPER, ["IG", "Grad-CAM"]),
        LAYER,
        _data("Grad-CAM", "VB"),
        within=EFFICIENTNET,
    ),
    Claim(
        "imagenet",
        "VB and DeepLift worst (GB does not apply)",
        _worst(["VB", "DeepLift"]),
        LAYER,
        _data("Grad-CAM", "VB"),
        within=EFFICIENTNET,
    ),
    Claim(
        "imagenet",
        "The same of a transformer (here a small one, GTSRB): IG and Grad-CAM best",
        best("data", PAPER, ["IG", "Grad-CAM"]),
        "Its only convolution embeds the patches, and Grad-CAM is of that, before any attention. The paper does not say which "
        "layer it took; tokens of later blocks do better.",
        _data("IG", "VB", "Grad-CAM"),
        within=TRANSFORMER,
    ),
]
