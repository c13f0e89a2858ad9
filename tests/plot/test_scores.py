"""Pictures of comparisons show the numbers, and say what is missing."""

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from quantus_senc import plot
from tests.comparisons import METHODS, METRICS, comparison, examples, scattered, typical

PICTURES = [plot.mean_scores, plot.score_distributions, plot.rank_lines, plot.agreement]
HIGHER = {"a": ("Faithfulness", "higher"), "b": ("Faithfulness", "higher")}


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def gappy():
    """One cell that failed, one without a score."""
    scores = scattered()
    scores["MPRT"]["Saliency"][:] = np.nan
    scores["SenC"]["LayerGradCam"][:] = np.nan
    return comparison(scores, failures={("MPRT", "Saliency"): "no gradient"}, settings={"controls": ["random"]})


def labels(axes):
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("picture", [plot.mean_scores, plot.score_distributions])
def test_a_panel_a_metric_a_row_a_method(picture):
    figure = picture(typical())
    assert [axes.get_title() for axes in figure.axes] == ["SenC ↑", "Faithfulness Corr. ↑", "MPRT ↓"]
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(METHODS)
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first method is on top
    assert not any(labels(axes) for axes in figure.axes)


@pytest.mark.parametrize("picture", [plot.mean_scores, plot.score_distributions])
def test_rows_without_scores_say_why(picture):
    figure = picture(gappy())
    assert [[(text.get_text(), text.xy[1]) for text in axes.texts] for axes in figure.axes] == [
        [("no score", 1)], [], [("failed", 0)],
    ]  # fmt: skip


def test_mean_scores_are_bars_with_errors():
    made = gappy()
    summary = made.summary().dropna(subset="mean")
    for name, axes in zip(METRICS, plot.mean_scores(made).axes, strict=True):
        rows = summary[summary["metric"] == name]
        np.testing.assert_allclose([bar.get_width() for bar in axes.patches], rows["mean"])
        segments = [np.ptp(line.get_segments()[0][:, 0]) / 2 for line in axes.collections]
        np.testing.assert_allclose(segments, rows["error"])
        assert len({bar.get_hatch() for bar in axes.patches}) == len(rows)


def test_boxes_have_the_median_and_few_images_their_points():
    made = typical(n_images=7)
    axes = plot.score_distributions(made).axes[2]
    scores = made.scores[made.scores["metric"] == "MPRT"].groupby("method", sort=False)["score"]
    points = [line for line in axes.lines if line.get_marker() == "."]
    assert [sorted(line.get_xdata()) for line in points] == [sorted(values) for _, values in scores]
    medians = [line.get_xdata()[0] for line in axes.lines if line.get_linewidth() == 1.6]
    np.testing.assert_allclose(medians, scores.median())
    many = plot.score_distributions(typical(n_images=31)).axes[2]
    assert not any(len(line.get_xdata()) == 31 for line in many.lines)


def lines_of(figure):
    return {line.get_label(): line for line in figure.axes[0].lines if line.get_label() in METHODS}


def test_rank_lines_follow_the_ranks():
    made = typical()
    figure = plot.rank_lines(made)
    ranks = made.summary().pivot(index="method", columns="metric", values="rank")
    lines = lines_of(figure)
    for name, line in lines.items():
        np.testing.assert_array_equal(line.get_ydata(), ranks.loc[name, list(METRICS)])
        assert line.get_linestyle() == ("--" if name == "random" else "-")
    assert len({line.get_marker() for line in lines.values()}) == len(METHODS)
    axes = figure.axes[0]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # 1st is on top
    ends = [(text.get_text(), text.xy) for text in axes.texts if text.get_text() in METHODS]
    assert sorted(ends) == sorted((name, (end, ranks.loc[name].iloc[at])) for name in METHODS for end, at in ((0, 2), (2, 1)))
    assert {"Sensitivity\nconsistency", "Faithfulness", "Randomisation"} <= set(labels(axes))


def test_ties_stand_side_by_side_on_a_bar():
    alike = [1.0, 2.0]
    made = comparison({"a": {"p": alike, "q": alike, "r": [3, 3]}, "b": {"p": [0, 0], "q": [1, 1], "r": [2, 2]}}, HIGHER)
    axes = plot.rank_lines(made).axes[0]
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    assert lines["p"][0] < 2.5 < lines["q"][0]
    assert lines["p"][0] + lines["q"][0] == 5
    (bar,) = [line for line in axes.lines if line.get_gid() == "tie"]
    np.testing.assert_array_equal(bar.get_ydata(), [lines["p"][0], lines["q"][0]])


def test_methods_without_a_rank_stand_below():
    figure = plot.rank_lines(gappy())
    axes = figure.axes[0]
    assert "no score" in [label.get_text() for label in axes.get_yticklabels()]
    assert np.isnan(lines_of(figure)["Saliency"].get_ydata()).tolist() == [False, False, True]
    last = next(text for text in axes.texts if text.get_text() == "Saliency" and text.xy[0] == 2)
    assert last.xy[1] == 5
    whole = plot.rank_lines(typical()).axes[0]
    assert "no score" not in [label.get_text() for label in whole.get_yticklabels()]


def test_agreement_shows_what_is_sure():
    made = typical()
    axes = plot.agreement(made).axes[0]
    assert labels(axes) == ["0.67", "−0.67", "−1.00"]
    assert all(cell.get_hatch() is None for cell in axes.patches)
    assert [label.get_text() for label in axes.get_xticklabels()] == list(METRICS)[:2]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(METRICS)[1:]


@pytest.mark.parametrize("unsure", [typical(n_images=1), comparison(scattered(spread=3.0))], ids=["one image", "scatter"])
def test_agreement_shows_what_is_not_sure(unsure):
    axes = plot.agreement(unsure).axes[0]
    cells = [cell for cell in axes.patches if isinstance(cell, Rectangle)]
    assert len(cells) == 3
    assert all(cell.get_hatch() for cell in cells)
    assert all(text.startswith("(") and text.endswith(")") for text in labels(axes))


def test_attribution_maps():
    made = examples(channels=1)
    maps = {"signed": made.maps["random"], "positive": np.abs(made.maps["random"]), "flat": np.zeros((12, 12))}
    maps["positive"][0, 0] = np.nan
    figure = plot.attributions(made.image, maps)
    panels = {axes.get_title(): axes for axes in figure.axes}
    assert list(panels)[:4] == ["image", *maps]
    shown = panels["signed"].get_images()[0]
    np.testing.assert_array_equal(shown.get_array(), maps["signed"])
    largest = np.abs(maps["signed"]).max()
    assert shown.get_clim() == (-largest, largest)
    assert panels["signed"].get_xlabel() == f"−{largest:.2g} … {largest:.2g}"
    assert panels["positive"].get_images()[0].get_clim()[0] == 0
    assert panels["positive"].get_images()[0].get_array().mask[0, 0]
    assert panels["flat"].get_xlabel() == "0 … 0"


def test_maps_of_channels_are_summed():
    made = examples()
    figure = plot.attributions(made.image, {"a": made.image})
    np.testing.assert_allclose(figure.axes[1].get_images()[0].get_array(), made.image.sum(0))


def test_maps_of_a_row_of_a_table():
    """The columns with the largest attributions are on top, whatever their signs."""
    row = pd.Series([0.5, 1.5, -2.0], index=["a", "b", "c"])
    maps = {"signed": np.array([[0.1, -4.0, 1.0]]), "positive": np.array([0.0, 0.2, np.nan])}
    figure = plot.attributions(row, maps)
    assert [axes.get_title() for axes in figure.axes[:2]] == list(maps)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["b = 1.5", "c = −2", "a = 0.5"]
    first, second = (axes.collections[0] for axes in figure.axes[:2])
    np.testing.assert_array_equal(first.get_array().ravel(), [-4.0, 1.0, 0.1])
    assert (first.get_clim(), second.get_clim()) == ((-4.0, 4.0), (0.0, 0.2))
    assert figure.axes[0].get_xlabel() == "−4 … 4"
    assert second.get_array().mask.ravel().tolist() == [False, True, False]


def test_maps_that_cannot_be_drawn():
    with pytest.raises(ValueError, match=r"map 'a' of shape \(3,\) does not fit .* or the row of a table \(F,\) and maps"):
        plot.attributions(np.zeros(4), {"a": np.zeros(3)})
    with pytest.raises(ValueError, match="holds no attribution map; pass one"):
        plot.attributions(np.zeros((1, 8, 8)), {})
    with pytest.raises(ValueError, match=r"map 'a' of shape \(8, 9\) does not fit an image of shape \(1, 8, 8\)"):
        plot.attributions(np.zeros((1, 8, 8)), {"a": np.zeros((8, 9))})


@pytest.mark.parametrize("picture", PICTURES)
def test_nothing_to_draw(picture):
    message = "two are needed" if picture is plot.agreement else "holds no score; its `failure` column may say why"
    for scores in ({}, {"a": {"p": [np.nan]}}):
        with pytest.raises(ValueError, match=message):
            picture(comparison(scores, HIGHER))


@pytest.mark.parametrize("settings", [{}, {"text.usetex": True}], ids=["plain", "TeX"])
@pytest.mark.parametrize("picture", PICTURES)
def test_names_are_not_formulas(picture, settings):
    """Those of labels that Matplotlib makes when it draws are not, either."""
    metrics = {f"$m_{index}$": (f"$c_{index}$", "higher") for index in range(5)}
    made = comparison(scattered({name: range(3) for name in metrics}, ["$a$", "$b$", "$c$"], n_images=2), metrics)
    with mpl.rc_context(settings):
        figure = picture(made)
    figure.draw_without_rendering()
    names = [text for text in figure.findobj(Text) if "$" in text.get_text()]
    assert {text.get_text()[:2] for text in names} >= {"$m"} if picture is plot.agreement else {"$m", "$a", "$b"}
    assert not any(text.get_parse_math() or text.get_usetex() for text in names)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("n_metrics", [2, 7])
def test_pictures_of_any_size_and_names(picture, n_metrics, tmp_path):
    """Neither formulas nor long names nor many metrics stop Matplotlib."""
    metrics = {f"$\\frac{{{index}$": ("of a very long name " * 3, "lower") for index in range(n_metrics)}
    methods = ["$x$ and $", "$\\frac{$", "a name that does not end " * 5, "", "two\nlines", "e", "f", "g", "h", "i"]
    made = comparison(scattered({name: range(10) for name in metrics}, methods, n_images=3), metrics)
    picture(made).savefig(tmp_path / "picture.png", dpi=20)
