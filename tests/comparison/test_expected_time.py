"""What a comparison says of itself before it runs."""

import re

import pytest

from quantus_senc import ParameterSensitivityConsistency, compare, expected_time
from tests.comparison.test_runs import GRID, Counting, X, Y, other_model, settings
from tests.small_models import image_model


@pytest.fixture(scope="module")
def model():
    return image_model()


def amounts(expected):
    return expected.table.set_index(["metric", "method"])[["n_images", "masked_samples"]].apply(tuple, axis=1).to_dict()


def test_masked_samples_are_counted(model):
    """Metrics that read the run of another mask nothing; parameter SenC masks every layer; few features have few masks."""
    metrics = settings()["metrics"] | {"layers": ParameterSensitivityConsistency(50, estimator="paper")}
    metrics["few"] = type(metrics["SenC"])(
        10**6, estimator="regression", segment_func="grid", segment_func_kwargs={"patch_size": 4}
    )
    expected = amounts(expected_time(model, X, Y, **settings(metrics=metrics, methods={"plain": Counting()})))
    assert expected == {
        ("SenC", "plain"): (3, 120),
        ("Top-2", "plain"): (3, 0),
        ("error", "plain"): (3, 0),
        ("paper", "plain"): (3, 0),
        ("drawn", "plain"): (3, 0),
        ("layers", "plain"): (3, 300),
        ("few", "plain"): (3, 3 * 2**4),
    }


def test_what_is_done_is_not_counted(model, tmp_path):
    compare(model, X, Y, folder=tmp_path, shard=(1, 2), **settings(methods={"plain": Counting()}))
    expected = expected_time(model, X, Y, folder=tmp_path, **settings())
    assert amounts(expected)["SenC", "plain"] == (1, 40)
    assert amounts(expected)["SenC", "double"] == (3, 120)
    assert str(expected).startswith("20 cells (a method by a metric on a block of images), of which 5 are done; 160 masked")
    assert amounts(expected_time(model, X, Y, shard=(2, 2), **settings()))["SenC", "plain"] == (1, 40)
    with pytest.raises(ValueError, match="holds another comparison: other than in the call that began it are the model"):
        expected_time(other_model(), X, Y, folder=tmp_path, **settings())


def test_nothing_is_written_and_the_folder_need_not_be_there(model, tmp_path):
    expected_time(model, X, Y, folder=tmp_path / "new", **settings())
    assert not list(tmp_path.iterdir())


def test_what_fails_is_said(model):
    methods = {"plain": (Counting(), {"fails_on": int(Y[0])}), "double": (Counting(), {"power": 2.0})}
    too_few = {"SenC": "SenC", "Top-1": "Top-1"}
    text = str(expected_time(model, X, Y, methods=methods, metrics=too_few, n_masks=40, block_size=2))
    assert "SenC fails for plain: the method failed: ArithmeticError: no map\n" in text
    assert re.search(r"SenC fails for double: ValueError: every image has a single feature", text)


@pytest.mark.parametrize(
    ("more", "advice"),
    [
        ({"metrics": {"SenC": "SenC"}}, r"About .* 100% of it is SenC: tolerance=0.05 \(--tolerance 0.05\) ends"),
        ({"metrics": {"SenC": "SenC"}, "tolerance": 0.1}, r"At most about .* 100% of it is SenC: a larger tolerance or fewer"),
        ({"metrics": {"drawn": "MPRT"}}, "100% of it is drawn: leave it out, or take fewer images"),
    ],
)
def test_the_advice_names_what_takes_most(model, more, advice):
    text = str(expected_time(model, X, Y, **settings(methods={"plain": Counting()}, n_masks=5000, **GRID, **more)))
    assert re.search(advice, text)
