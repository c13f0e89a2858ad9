"""Pictures in axes of a user, and as methods of a comparison."""

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.text import Text

from quantus_senc import plot
from tests.comparisons import METHODS, METRICS, comparison, examples, scattered, typical

LAYERS = {"a": {"conv1": [0.4, 0.5], "fc": [0.1, 0.3]}, "b": {"conv1": [0.2, 0.1], "fc": [0.0, 0.2]}}
PICTURES = {
    "rank_lines": lambda ax=None: plot.rank_lines(typical(), ax),
    "agreement": lambda ax=None: plot.agreement(typical(), ax=ax),
    "layer_scores": lambda ax=None: plot.layer_scores(LAYERS, ax=ax),
}


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def texts(axes):
    return [text.get_text() for text in axes.findobj(Text)]


@pytest.mark.parametrize("name", PICTURES)
def test_axes_of_a_user_are_drawn_in(name):
    alone = PICTURES[name]().axes[0]
    figure, (first, second) = plt.subplots(1, 2, figsize=(14, 5))
    before = plt.get_fignums()
    assert PICTURES[name](second) is figure
    assert plt.get_fignums() == before
    assert not first.has_data()
    assert [label.get_text() for label in second.get_xticklabels()] == [label.get_text() for label in alone.get_xticklabels()]
    assert len(second.patches) == len(alone.patches)
    for line, expected in zip(second.lines, alone.lines, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), expected.get_ydata())
    assert not second.spines["top"].get_visible()


@pytest.mark.parametrize("name", PICTURES)
def test_axes_in_a_part_of_a_figure(name):
    figure = plt.figure(figsize=(14, 5), layout="constrained")
    assert PICTURES[name](figure.subfigures(1, 2)[1].subplots()) is figure


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["agreement", "layer_scores"])
def test_vectors_in_the_width_of_a_column(name, tmp_path):
    figure, axes = plt.subplots(figsize=(3.4, 3), layout="constrained")
    PICTURES[name](axes).savefig(tmp_path / "column.pdf")
    figure.draw_without_rendering()
    assert (tmp_path / "column.pdf").read_bytes().startswith(b"%PDF")
    inside = axes.get_tightbbox().transformed(figure.dpi_scale_trans.inverted())
    assert inside.x0 >= -0.01
    assert inside.x1 <= 3.41


def test_names_of_methods_do_not_leave_axes_of_a_user():
    figure, axes = plt.subplots(figsize=(6, 4))
    plot.rank_lines(typical(), axes)
    figure.draw_without_rendering()
    names = [text.get_window_extent() for text in axes.texts if text.get_text() in METHODS]
    assert len(names) == 2 * len(METHODS)
    assert all(axes.bbox.x0 <= box.x0 <= box.x1 <= axes.bbox.x1 for box in names)


def test_axes_that_are_too_narrow_for_names():
    _, axes = plt.subplots(figsize=(3.4, 3))
    with pytest.raises(ValueError, match=r"ax is 2.6 inches wide, but 3 metrics .* take 4.4; make it wider, or leave ax out"):
        plot.rank_lines(typical(), axes)


@pytest.mark.parametrize("picture", [plot.rank_lines, plot.agreement])
def test_names_are_not_formulas_in_axes_that_have_labels_already(picture):
    metrics = {f"$m_{index}$": (f"$c_{index}$", "higher") for index in range(3)}
    made = comparison(scattered({name: range(3) for name in metrics}, ["$a$", "$b$", "$c$"], n_images=2), metrics)
    figure, axes = plt.subplots()
    figure.draw_without_rendering()
    picture(made, axes)
    figure.draw_without_rendering()
    names = [text for text in axes.findobj(Text) if "$" in text.get_text()]
    assert names
    assert not any(text.get_parse_math() for text in names)


@pytest.mark.parametrize("name", ["mean_scores", "score_distributions", "rank_lines", "agreement"])
def test_a_comparison_draws_itself(name):
    made = typical()
    assert texts(getattr(made.plot, name)().axes[0]) == texts(getattr(plot, name)(made).axes[0])


@pytest.mark.parametrize("name", ["rank_lines", "agreement"])
def test_a_comparison_draws_itself_in_axes(name):
    figure, axes = plt.subplots(figsize=(9, 5))
    assert getattr(typical().plot, name)(ax=axes) is figure


def test_a_comparison_draws_its_example():
    draw = typical(examples=examples()).plot
    assert draw.attributions().axes[1].get_title() == METHODS[0]
    assert draw.data_sensitivity().axes[1].get_title() == "9 features"
    assert draw.parameter_sensitivity(n_columns=2).axes[0].get_title() == "prediction"
    assert "rank_lines()" in repr(draw)


def test_every_picture_of_the_package_is_a_method_but_for_that_of_layers():
    methods = {name for name in dir(typical().plot) if not name.startswith("_")}
    public = {name for name in dir(plot) if callable(getattr(plot, name))}
    assert methods == public - {"layer_scores"}


@pytest.mark.parametrize(
    ("name", "kind"), [("attributions", "maps"), ("data_sensitivity", "features"), ("parameter_sensitivity", "units")]
)
def test_a_comparison_without_an_example(name, kind):
    with pytest.raises(ValueError, match=rf"examples hold no {kind}, .* pass them to the function in quantus_senc.plot"):
        getattr(typical().plot, name)()


def test_a_table_of_metrics_by_methods():
    made = typical()
    table = made.table()
    assert list(table.index) == list(METRICS)
    assert list(table.columns) == list(METHODS)
    cells = made.summary().set_index(["metric", "method"])
    assert table.loc["MPRT", "random"] == cells.loc[("MPRT", "random"), "mean"]
    assert made.table("rank").loc["MPRT", "random"] == 1
    with pytest.raises(ValueError, match="unknown column 'eror'; did you mean 'error'"):
        made.table("eror")
