"""The pictures of a report, with captions that explain how to read them."""

import base64
import io
from collections.abc import Iterator
from typing import NamedTuple, Protocol, runtime_checkable

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from quantus_senc import plot
from quantus_senc.comparison.examples import Examples
from quantus_senc.core.wording import listed
from quantus_senc.plot.tables import ComparisonTables

_DPI = 144
_CSS_DPI = 96  # CSS pixels per inch
_KINDS = {1: "row of the table", 3: "image", 4: "volume, its middle slice"}  # by their axes

_RANKS = (
    "The rank of each method from metric to metric; rank 1 is on top. If lines cross between two categories, the choice of "
    "the metric decides which method is called best: Binder et al. (CVPR 2023) found such a gap between randomisation checks "
    "and faithfulness, because maps of noise pass randomisation checks. Controls are dashed: a metric that puts them high "
    "rewards something other than information about the model. Methods on one grey bar tie. Hollow marks below the ranks have "
    "no score. Ranks have errors, too: see the means."
)
_MEANS = (
    "Mean scores over images by method, one panel per metric, with standard errors (spread of the images). Each metric has "
    "its own scale. ↑: higher is better; ↓: lower is better."
)
_DISTRIBUTIONS = (
    "The scores of single images. A box spans the quartiles, the line in it is the median, and whiskers are at most 1.5 times "
    "as long as the box; if there are few images, each is a point. Boxes that overlap may still differ clearly, because all "
    "methods explain the same images: the verdict compares image by image."
)
_AGREEMENT = (
    "Do two metrics rank the methods alike? Kendall's tau is 1 if they rank them in the same order and −1 if in the opposite "
    "order, each in its own better direction. Numbers in brackets on white stripes are not sure: the 95 % interval (bootstrap "
    "over images) includes 0 or is unknown."
)
_MAPS = (
    "What each method attributes the prediction to. Every map has its own scale, from its darkest to its "
    "lightest value, which stands below it. The scale of a map with negative values is symmetric around 0."
)
_FEATURES = (
    "Are prediction and explanation sensitive to the same features (Tan, WACV 2025)? Random groups of features are "
    "eliminated. The lighter a feature, the more of the prediction, or of the explanation, remains when the feature does. The "
    "number is the rank correlation of the picture of a method with that of the prediction, by the first such metric in the "
    "table (by default SenC (regression)). A consistent method looks like the prediction here, whatever its attribution map "
    "looks like."
)
_LINES = (
    " A line is a column of the table, with its name and its value in this row. {} are on top; where columns are many, the "
    "others have no names."
)
_UNITS = (
    "The same for the units of a layer, such as the output channels of a convolution. A square is a unit; the lighter, the "
    "more sensitive. A consistent method looks like the prediction."
)


@runtime_checkable
class ReportedComparison(ComparisonTables, Protocol):
    """What a report reads of a `quantus_senc.Comparison`; see there."""

    @property
    def examples(self) -> Examples | None:
        """One image, or one row of a table, with its maps and sensitivities."""

    def verdict(self) -> list[str]:
        """Sentences on the scores."""


class Picture(NamedTuple):
    """A figure as a page shows it: a PNG in base64 with its width in CSS pixels."""

    heading: str
    png: str
    width: int
    alt: str
    caption: str


def pictures(comparison: ReportedComparison) -> Iterator[Picture]:
    """The pictures of a comparison, without those that would be empty."""
    scored = comparison.summary().dropna(subset="mean")
    methods, metrics = list(scored["method"].unique()), list(scored["metric"].unique())
    by = f"{listed(methods)} by {listed(metrics)}; the numbers are in the table of means"
    if len(methods) > 1 and len(metrics) > 1:
        yield _picture("Ranks from metric to metric", f"Ranks of {by}.", _RANKS, plot.rank_lines(comparison))
    yield _picture("Mean scores", f"Bars of the mean scores of {by}.", _MEANS, plot.mean_scores(comparison))
    if scored["n_images"].max() > 1:
        boxes = plot.score_distributions(comparison)
        yield _picture("Scores of single images", f"Boxes of the scores of {by}.", _DISTRIBUTIONS, boxes)
    if comparison.agreement()["tau"].notna().any():
        alt = f"Matrix of Kendall's tau of {listed(metrics)}; the numbers are in the table of agreement."
        yield _picture("Kendall's tau of every two metrics", alt, _AGREEMENT, plot.agreement(comparison))
    if comparison.examples is not None:
        yield from _of_image(comparison.examples)


def small_picture(comparison: ReportedComparison) -> Picture:
    """The picture that says most in one: ranks from metric to metric, or means if there is nothing to rank."""
    return next(pictures(comparison))


def _of_image(examples: Examples) -> Iterator[Picture]:
    what, examples = _KINDS[examples.image.ndim], examples.middle_slice()
    is_row = examples.image.ndim == 1
    of = f"of one {what}, explained class {examples.target}"
    if examples.maps:
        alt = f"Attribution maps {of}, by {listed(list(examples.maps))}."
        figure = plot.attributions(examples.drawn(), examples.maps)
        caption = _MAPS + (_LINES.format("Those with the largest attributions, without their signs,") if is_row else "")
        yield _picture(f"Attribution maps of one {what}", alt, caption, figure)
    if examples.features:
        alt = f"Sensitivity of the features {of}: prediction, {listed(list(examples.features))}."
        figure = plot.data_sensitivity(examples.drawn(), examples.features)
        caption = _FEATURES + (_LINES.format("Those to which the prediction is most sensitive") if is_row else "")
        yield _picture("Sensitivity of its features", alt, caption, figure)
    if examples.units:
        alt = f"Sensitivity of a layer's units {of}: prediction, {listed(list(examples.units))}."
        figure = plot.parameter_sensitivity(examples.units, n_columns=6)
        yield _picture("Sensitivity of a layer's units", alt, _UNITS, figure)


def _picture(heading: str, alt: str, caption: str, figure: Figure) -> Picture:
    """Draw a figure to a PNG and close it."""
    file = io.BytesIO()
    try:
        figure.savefig(file, format="png", dpi=_DPI)
    finally:
        plt.close(figure)
    width = round(figure.get_figwidth() * _CSS_DPI)
    return Picture(heading, base64.b64encode(file.getvalue()).decode("ascii"), width, alt, caption)
