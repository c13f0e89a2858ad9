"""Pictures show what the records say."""

import warnings
from itertools import pairwise

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import colormaps
from matplotlib import pyplot as plt
from scipy.stats import rankdata, sem

from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency, explain_random, plot
from quantus_senc.plot.style import RANK_COLOURS, look
from tests.comparisons import record
from tests.small_models import classes, gradient, image_model, inputs


@pytest.mark.parametrize("channels", [1, 3])
def test_data_sensitivity(channels):
    metric = DataSensitivityConsistency(n_masks=40, segment_func="grid", segment_func_kwargs={"patch_size": 3})
    x, records = inputs(1, channels, 8, 8), {}
    for name, explain in {"Gradient": gradient, "random": explain_random}.items():
        metric(image_model(channels), x, classes(1), explain_func=explain)
        records[name] = metric.sensitivities[0]
    figure = plot.data_sensitivity(x[0], records)
    panels = {axes.get_title().split("\n")[0]: axes for axes in figure.axes if axes.get_title()}
    assert list(panels) == ["image", "9 features", "prediction", "Gradient", "random"]
    assert f"SenC {records['random'].score:.2f}".replace("-", "−") in panels["random"].get_title()
    drawn = panels["Gradient"].get_images()[-1].get_array()
    np.testing.assert_array_equal(drawn, 2 * rankdata(records["Gradient"].explanation)[records["Gradient"].labels] - 10)
    plt.close(figure)


def texts(axes):
    """Of the tick labels of the vertical axis."""
    return [label.get_text() for label in axes.get_yticklabels()]


def drawn_in(axes):
    return axes.collections[0].get_array().ravel()


def row_record(n_columns, seed=0):
    return record(n_columns, seed, torch.arange(n_columns))


def test_columns_of_a_table_are_lines_with_names_and_values():
    """What the prediction is most sensitive to is on top, in the panels of all methods."""
    names = ["age", "a\nname $of$ more than twenty-eight characters", "fare"]
    row, records = pd.Series([31.0, -0.5, 1234.5], index=names), {"a": row_record(3), "b": row_record(3, 1)}
    figure = plot.data_sensitivity(row, records)
    order = np.argsort(-records["a"].prediction.numpy())
    labels = np.array(["age = 31", "a name $of$ more than twent… = −0.5", "fare = 1.23e+03"])
    assert texts(figure.axes[0]) == list(labels[order])
    assert figure.axes[0].yaxis_inverted()
    assert [axes.get_title().split("\n")[0] for axes in figure.axes] == ["prediction", "a", "b", ""]
    for axes, values in zip(
        figure.axes, (records["a"].prediction, *(one.explanation for one in records.values())), strict=False
    ):
        np.testing.assert_array_equal(drawn_in(axes), (2 * rankdata(values) - 4)[order])
    figure.draw_without_rendering()
    plt.close(figure)
    figure = plot.data_sensitivity(row.to_numpy(), records)
    assert texts(figure.axes[0])[0].startswith(f"column {order[0]} = ")
    plt.close(figure)


def test_names_stand_where_they_fit():
    """Of many columns, the first have names, whose lines do not overlap; and every column has its colour."""
    row, many = pd.Series(np.zeros(200), index=[f"c{place}" for place in range(200)]), row_record(200)
    figure = plot.data_sensitivity(row, {"a": many})
    order = np.argsort(-many.prediction.numpy())
    assert texts(figure.axes[0]) == [*(f"c{place} = 0" for place in order[:30]), "170 more columns"]
    np.testing.assert_array_equal(drawn_in(figure.axes[0]), np.arange(199, -200, -2))
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert all(below.y1 < above.y0 for above, below in pairwise(boxes))
    plt.close(figure)


def test_columns_that_are_one_feature_have_one_rank():
    labels = torch.tensor([1, 0, 1, 0, 0])
    figure = plot.data_sensitivity(np.arange(5.0), {"a": record(2, 0, labels)})
    prediction = record(2).prediction
    top = [place for place in range(5) if labels[place] == prediction.argmax()]
    assert texts(figure.axes[0])[: len(top)] == [f"column {place} = {place}" for place in top]
    np.testing.assert_array_equal(drawn_in(figure.axes[0]), [1] * len(top) + [-1] * (5 - len(top)))
    plt.close(figure)


def test_colours_are_ordered_in_grey_print():
    """Sensitive features are lighter than others, all the way, also without the colours."""
    red, green, blue, _ = colormaps[RANK_COLOURS](np.linspace(0, 1, 50)).T
    assert (np.diff(0.299 * red + 0.587 * green + 0.114 * blue) > 0).all()


def test_methods_look_different():
    assert len({look(index) for index in range(72)}) == 72
    assert len({(look(index).marker, look(index).hatch) for index in range(8)}) == 8


def parameter_run(**parameters):
    metric = ParameterSensitivityConsistency(n_masks=40, **parameters)
    scores = metric(image_model(), inputs(3, 1, 8, 8), classes(3), explain_func=gradient)
    return metric, scores


def test_parameter_sensitivity():
    metric, _ = parameter_run(layers="linear")
    record = metric.sensitivities["4"][0]
    figure = plot.parameter_sensitivity({"a": record, "b": record})
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [
        "prediction",
        *(f"{name}\nSenC {record.score:.2f}".replace("-", "−") for name in "ab"),
        "",
    ]  # the last is the bar
    assert texts(figure.axes[-1]) == ["least", "most\nsensitive"]
    drawn = figure.axes[1].collections[0].get_array()
    np.testing.assert_array_equal(drawn.ravel(), 2 * rankdata(record.explanation) - 65)
    plt.close(figure)
    with pytest.raises(ValueError, match=r"of \[4, 64\] units; pass records of one layer"):
        plot.parameter_sensitivity({"a": record, "b": parameter_run(layers="conv")[0].sensitivities["0"][0]})
    with pytest.raises(ValueError, match=r"64 units is not of an image; draw it with plot.parameter_sensitivity"):
        plot.data_sensitivity(np.zeros((1, 8, 8)), {"a": record})


def test_layer_scores():
    _, scores = parameter_run(return_layer_scores=True)
    scores["0"][1] = np.nan
    figure = plot.layer_scores({"a": scores, "b": {name: np.zeros(3) for name in scores}})
    (axes,) = figure.axes
    heights = [bar.get_height() for bar in axes.patches]
    np.testing.assert_allclose(heights, [np.nanmean(scores["0"]), np.mean(scores["4"]), 0, 0])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "4"]
    plt.close(figure)
    with pytest.raises(ValueError, match="pass the same layers for every method"):
        plot.layer_scores({"a": scores, "b": {"0": [1.0]}})


def test_the_legend_of_layer_scores_has_every_name():
    names = ["_private", "", "$\\frac{$"]
    figure = plot.layer_scores({name: {"$0$": [0.5]} for name in names})
    figure.draw_without_rendering()
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == names
    plt.close(figure)


def test_errors_of_layer_scores_are_standard_errors_of_the_mean():
    scores = {"conv": [0.1, 0.4, 0.2, np.nan], "linear": [0.5, np.nan, np.nan, np.nan], "none": [np.nan] * 4}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plot.layer_scores({"a": scores})
    (errors,) = figure.axes[0].collections
    lengths = [np.ptp(segment[:, 1]) / 2 for segment in errors.get_segments() if len(segment)]
    np.testing.assert_allclose(lengths, [sem([0.1, 0.4, 0.2])])  # one image has no spread
    plt.close(figure)


def test_pictures_that_cannot_be_drawn():
    with pytest.raises(ValueError, match="holds no record"):
        plot.data_sensitivity(np.zeros((1, 8, 8)), {})
    metric = DataSensitivityConsistency(n_masks=10, segment_func="grid", disable_warnings=True)
    metric(image_model(), inputs(1, 1, 8, 8), classes(1), explain_func=gradient)
    with pytest.raises(ValueError, match=r"image of shape \(1, 8, 9\) does not fit features of shape \(8, 8\)"):
        plot.data_sensitivity(np.zeros((1, 8, 9)), {"a": metric.sensitivities[0]})


def test_records_are_on_the_host_in_double_precision():
    metric = DataSensitivityConsistency(n_masks=10, segment_func="grid", disable_warnings=True)
    metric(image_model(), inputs(1, 1, 8, 8), classes(1), explain_func=gradient)
    record = metric.sensitivities[0]
    assert record.prediction.dtype == record.explanation.dtype == torch.float64
    assert record.prediction.device.type == "cpu"
