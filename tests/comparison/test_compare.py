import functools
import json
import re
import warnings

import jaxtyping
import numpy as np
import pandas as pd
import pytest
import quantus
import torch
from matplotlib import pyplot as plt
from torch import nn

from quantus_senc import (
    Comparison,
    DataSensitivityConsistency,
    ParameterSensitivityConsistency,
    available_metrics,
    compare,
    explain,
    explain_blob,
    explain_random,
)
from quantus_senc.comparison.report_pictures import pictures
from tests import networks
from tests.small_models import table_model

pytestmark = pytest.mark.xdist_group("compare")  # one process makes the comparison that they look at
FAST = {"n_masks": 60, "segment_func": "grid", "segment_func_kwargs": {"patch_size": 4}}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return networks.randomised(networks.PlainCNN())


@pytest.fixture(scope="module")
def images():
    return torch.rand(4, 3, 12, 12, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 4, 2])


@pytest.fixture(scope="module")
def result(model, images):
    return compare(model, *images, methods=["Saliency", "GradCAM", "random"], **FAST)


def test_every_metric_for_every_method_and_image(result):
    frame = result.to_frame()
    assert list(frame["metric"].unique()) == available_metrics()
    assert list(frame["method"].unique()) == ["Saliency", "GradCAM", "random"]
    assert len(frame) == len(available_metrics()) * 3 * 4
    assert ((frame["failure"] == "") == frame["score"].notna()).all()
    assert frame.query("metric != 'Smooth MPRT'")["score"].notna().all()  # Grad-CAM of random weights may be constant
    known = frame["standard_error"].notna()
    assert set(frame.loc[known, "metric"]) == {"SenC", "SenC (regression)", "Parameter SenC"}


@pytest.mark.parametrize("name", ["SenC", "SenC (regression)", "Parameter SenC"])
def test_scores_are_those_of_the_metric_alone(result, model, images, name):
    masks = {"n_masks": 60, "estimator": "paper" if name == "SenC" else "regression"}
    data = {key: value for key, value in FAST.items() if key != "n_masks"}
    metric = (
        ParameterSensitivityConsistency(layers="first_conv", **masks)
        if name == "Parameter SenC"
        else DataSensitivityConsistency(**masks, **data)
    )
    x, y = images
    scores = metric(model, x.numpy(), y.numpy(), explain_func=explain, explain_func_kwargs={"method": "GradCAM"})
    rows = result.scores.query("metric == @name and method == 'GradCAM'")
    np.testing.assert_allclose(rows["score"], scores, atol=1e-6)
    np.testing.assert_allclose(rows["standard_error"], metric.standard_errors, atol=1e-6)


def test_the_regression_stands_first_in_table_and_verdict(result):
    assert result.summary()["metric"].iloc[0] == "SenC (regression)"
    (first, *_) = result.verdict()
    assert first.startswith("Sensitivity consistency: ")
    assert re.findall(r"by (SenC \(regression\)|SenC|Top-\d|Parameter SenC)", first)[0] == "SenC (regression)"


def test_same_again_and_global_generators_go_on(result, model, images):
    np.random.seed(3)
    torch.manual_seed(3)
    expected = np.random.random(), torch.rand(1)
    np.random.seed(3)
    torch.manual_seed(3)
    again = compare(model, *images, methods=["Saliency"], **FAST)
    assert (np.random.random(), torch.rand(1)) == expected
    first = result.scores.query("method == 'Saliency'").reset_index(drop=True)
    np.testing.assert_allclose(again.scores["score"], first["score"], atol=1e-6)


def test_settings_say_how_it_came_about(result, tmp_path):
    assert result.settings["controls"] == ["random"]
    assert result.settings["methods"]["GradCAM"] == "explain(method='GradCAM')"
    assert result.settings["parameters"]["n_masks"] == 60
    assert result.settings["images"] == {"number": 4, "shape": [3, 12, 12]}
    assert set(result.settings["versions"]) >= {"quantus_senc", "quantus", "captum", "torch", "numpy", "python"}
    assert set(result.settings["seconds"]["random"]) == {"explanation", *available_metrics()}
    json.dumps(result.settings)
    result.save(tmp_path)
    assert Comparison.load(tmp_path).to_frame().equals(result.to_frame())
    assert "Spearman" not in result.metrics.set_index("metric").loc["SenC", "parameters"]
    assert "n_masks=60" in result.metrics.set_index("metric").loc["SenC", "parameters"]


def test_examples_are_of_the_first_image(result, images):
    examples = result.examples
    assert np.array_equal(examples.image, images[0][0].numpy())
    assert list(examples.maps) == list(examples.features) == list(examples.units) == ["Saliency", "GradCAM", "random"]
    scores = result.scores.query("metric == 'SenC (regression)' and image == 0")["score"].tolist()
    assert [record.score for record in examples.features.values()] == scores
    assert examples.maps["GradCAM"].shape == (12, 12)


class Failing:
    """A metric that fails, or returns what is no score an image."""

    def __init__(self, returns):
        self.returns = returns

    def __call__(self, model, x_batch, y_batch, a_batch, s_batch, explain_func, explain_func_kwargs, batch_size):
        if isinstance(self.returns, Exception):
            with torch.no_grad():
                next(model.parameters()).add_(1)
            raise self.returns
        return self.returns


def explain_badly(model, inputs, targets, **kwargs):
    raise RuntimeError("no explanation today\nand none tomorrow")


def test_a_failure_costs_its_own_cell(model, images):
    metrics = {
        "raises": Failing(AssertionError("all maps\nare negative")),
        "aggregate": Failing([1.0]),
        "curves": Failing([[1.0, 2.0]] * 4),
        "dict": Failing({"layer": [1.0] * 4}),
        "fine": Failing(np.arange(4)),
        "SenC": "SenC",
    }
    before = [parameter.clone() for parameter in model.parameters()]
    result = compare(model, *images, methods={"bad": explain_badly, "Saliency": "Saliency"}, metrics=metrics, **FAST)
    failures = result.summary().set_index(["method", "metric"])["failure"]
    assert failures["Saliency", "raises"] == "AssertionError: all maps"
    for name in ("aggregate", "curves", "dict"):
        assert "not one number for each of 4 images" in failures["Saliency", name]
    assert (failures["Saliency"][["fine", "SenC"]] == "").all()
    assert set(failures["bad"]) == {"the method failed: RuntimeError: no explanation today"}
    assert result.scores.query("method == 'Saliency' and metric == 'fine'")["score"].tolist() == [0, 1, 2, 3]
    assert result.scores.query("method == 'bad'")["score"].isna().all()
    assert all(torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))


def test_names_are_checked_before_any_method_runs(model, images):
    explained = []

    def recording(model, inputs, targets, **kwargs):
        explained.append(len(inputs))
        return inputs

    with pytest.raises(ValueError, match=r"methods hold '\\ud800', which cannot be written in UTF-8"):
        compare(model, *images, methods={"recording": recording, "\ud800": "Saliency"}, metrics="Pixel Flipping", **FAST)
    assert explained == []


def test_reasons_in_any_letters_can_be_saved(model, images, tmp_path):
    metrics = {"raises": Failing(ValueError("no file images\udcff.npz"))}
    result = compare(model, *images, methods="Saliency", metrics=metrics, **FAST)
    result.save(tmp_path)
    assert set(Comparison.load(tmp_path).scores["failure"]) == {"ValueError: no file images\\udcff.npz"}


def test_interrupts_are_not_failures(model, images):
    def interrupted(model, inputs, targets, **kwargs):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(model, *images, methods={"interrupted": interrupted}, metrics="SenC", **FAST)


def test_method_that_never_changes_has_no_score_and_the_reason_is_given(model, images):
    result = compare(model, *images, methods={"blob": explain_blob}, metrics=["SenC (regression)", "Top-1"], **FAST)
    assert result.summary()["failure"].tolist() == ["an explanation that no mask changes"] * 2


def test_methods_may_be_given_in_every_form(model, images):
    methods = {
        "ig": {"method": "IntegratedGradients", "n_steps": 3},
        "GradCAM": {"layer": "0"},
        "mine": functools.partial(explain, method="Saliency"),
        "pair": (quantus.explain, {"method": "Saliency"}),
        "noise": "random",
        "seeded": functools.partial(explain_random, seed=1),
    }
    result = compare(model, *images, methods=methods, metrics=["SenC"], **FAST)
    means = result.summary().set_index("method")["mean"]
    assert means["mine"] == pytest.approx(means["pair"], abs=1e-6)
    assert means["noise"] != means["seeded"]
    assert means.notna().all()
    assert result.settings["controls"] == ["noise", "seeded"]


def test_any_metric_of_quantus_can_be_put_in(model, images):
    metrics = {"complexity": quantus.Complexity(disable_warnings=True), "mine": "SenC"}
    result = compare(model, *images, methods="Saliency", metrics=metrics, **FAST)
    assert result.metrics["direction"].tolist() == ["lower", "higher"]
    assert result.metrics["category"].tolist() == ["Complexity", "Sensitivity consistency"]
    assert result.scores["score"].notna().all()


def test_work_that_metrics_and_methods_share_is_done_once(model, images):
    counting, segmented = networks.Counting(model), []

    def segment(image):
        segmented.append(1)
        return torch.arange(144).view(12, 12) // 16

    kwargs = {"metrics": ["SenC (regression)", "Top-1", "Top-3", "SenC"], "n_masks": 60, "segment_func": segment}
    compare(counting, *images, methods=["Saliency"], **kwargs)
    one, counting.samples.n = int(counting.samples.n), 0
    compare(counting, *images, methods=["Saliency", "Gradient", "InputXGradient"], **kwargs)
    assert len(segmented) == 2 * (4 + 3 * 4)  # three metrics that read the first method's run look a second time
    # For two more methods: a first image and all four for two runs and three second looks, and for each run what shows whether
    # the method is flawed.
    assert counting.samples.n - one <= 2 * (5 * 5 + 2 * 105)


class Drawing:
    """A metric of random numbers from the global generator of NumPy."""

    def __call__(self, model, x_batch, y_batch, a_batch, s_batch, explain_func, explain_func_kwargs, batch_size):
        return np.random.random(len(x_batch))


class Pairs(torch.utils.data.Dataset):
    """Notes which images it is asked for."""

    def __init__(self, images):
        self.images, self.asked = images, []

    def __len__(self):
        return len(self.images[0])

    def __getitem__(self, place):
        self.asked.append(place)
        return self.images[0][place], self.images[1][place].item()


def test_datasets_are_read_by_blocks(model, images):
    kwargs = {"methods": ["Saliency"], "metrics": ["SenC", "Faithfulness Correlation"], "block_size": 2, **FAST}
    expected, pairs = compare(model, *images, **kwargs), Pairs(images)
    result = compare(model, pairs, **kwargs)
    pd.testing.assert_frame_equal(result.scores, expected.scores)
    np.testing.assert_array_equal(result.examples.image, expected.examples.image)
    assert pairs.asked[-4:] == [0, 1, 2, 3]
    assert len(pairs.asked) == 2 + 2 * 4 + 1  # the first, then classes and blocks, and the example
    loader = torch.utils.data.DataLoader(pairs, batch_size=3, shuffle=True)
    pd.testing.assert_frame_equal(compare(model, loader, images[1], **kwargs).scores, expected.scores)


def test_an_array_that_is_mapped_to_a_file(model, images, tmp_path):
    np.save(tmp_path / "x.npy", images[0].numpy().astype(">f4"))  # in the other order of bytes
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    kwargs = {"methods": ["Saliency"], "metrics": ["SenC"], **FAST}
    pd.testing.assert_frame_equal(compare(model, mapped, images[1], **kwargs).scores, compare(model, *images, **kwargs).scores)


def test_large_images_have_no_more_features_than_the_masks_afford(model):
    """With the defaults; whoever asks for superpixels gets as many as asked for."""
    torch.manual_seed(0)
    large = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(32, 3))
    x, y = torch.rand(2, 1, 96, 96), torch.tensor([0, 1])
    kwargs = {"methods": ["Saliency"], "metrics": ["SenC (regression)", "Top-1"], "n_masks": 200}
    with pytest.warns(UserWarning, match="Images of 96 x 96 pixels have about 25 superpixels, because n_masks=200") as warned:
        result = compare(large, x, y, **kwargs)
    assert len(warned) == 1
    assert result.scores["score"].notna().all()
    assert 20 <= int(result.examples.features["Saliency"].labels.max()) + 1 <= 36
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asked = compare(large, x, y, **kwargs, segment_func_kwargs={"pixels_per_segment": 50})
    assert "n_masks=200 is too few for estimator='regression'" in asked.scores["failure"].iloc[0]


class Endless(torch.utils.data.IterableDataset):
    def __iter__(self):
        yield torch.zeros(3, 12, 12), 0


DATASETS = {
    "a Endless without a length": Endless(),
    "a TensorDataset of no items": torch.utils.data.TensorDataset(torch.zeros(0, 3), torch.zeros(0)),
    "item 0 is a Tensor, not a pair": torch.utils.data.Subset([torch.zeros(3)], [0]),
    r"item 1 has the shape \(3, 9, 9\), and item 0 \(3, 12, 12\)": torch.utils.data.Subset(
        [(torch.zeros(3, 12, 12), 0), (torch.zeros(3, 9, 9), 0)], [0, 1]
    ),
    "item 1 has the class 1.7; classes are integers": torch.utils.data.Subset(
        [(torch.zeros(3, 12, 12), 0), (torch.zeros(3, 12, 12), 1.7)], [0, 1]
    ),
    "item 0 has the class 'cat'": torch.utils.data.Subset([(torch.zeros(3, 12, 12), "cat")], [0]),
    "y_batch=None needs a dataset": torch.zeros(2, 3, 12, 12),
}


@pytest.mark.parametrize("message", DATASETS)
def test_datasets_that_are_none(model, message):
    with pytest.raises(ValueError, match=message):
        compare(model, DATASETS[message], **FAST)


def test_whole_blocks_have_the_scores_of_all_images(model, images):
    """Bit for bit, also by metrics that draw random numbers."""
    metrics = {name: name for name in ("SenC", "Top-3", "Faithfulness Correlation", "MPRT")} | {"drawn": Drawing()}
    kwargs = {"methods": ["Saliency", "random"], "metrics": metrics, "block_size": np.int64(2), **FAST}
    whole = compare(model, *images, **kwargs).scores
    parts = [
        compare(model, *(values[places] for values in images), image_ids=places, **kwargs).scores for places in ([3, 2], [0, 1])
    ]
    key = ["metric", "method", "image"]
    joined = pd.concat(parts).set_index(key).loc[pd.MultiIndex.from_frame(whole[key])].reset_index()
    pd.testing.assert_frame_equal(joined, whole)
    assert whole.query("metric == 'drawn' and method == 'random'")["score"].nunique() == 4


def test_blocks_have_random_numbers_of_their_own(model, images):
    """The same image in two blocks, by a metric of Quantus that draws subsets of its values."""
    same = images[0][[0, 0]], images[1][[0, 0]]
    one, other = compare(model, *same, methods="Saliency", metrics="Faithfulness Correlation", block_size=1).scores["score"]
    assert one != other


def test_sensitivity_consistency_does_not_depend_on_the_size_of_blocks(model, images):
    kwargs = {"methods": ["Saliency"], "metrics": ["SenC", "SenC (regression)", "Top-1", "Parameter SenC"], **FAST}
    one, three = (compare(model, *images, block_size=size, **kwargs).scores for size in (1, 3))
    np.testing.assert_allclose(one["score"], three["score"], atol=1e-6)


def test_a_failure_costs_the_images_of_its_block(model, images):
    class FailsOnce:
        def __call__(self, model, x_batch, y_batch, a_batch, s_batch, explain_func, explain_func_kwargs, batch_size):
            if images[1][3].item() in y_batch:
                raise ArithmeticError("no score")
            return np.ones(len(x_batch))

    result = compare(model, *images, methods=["Saliency"], metrics={"once": FailsOnce()}, block_size=3, **FAST)
    assert result.scores["score"].tolist()[:3] == [1, 1, 1]
    assert result.scores["failure"].tolist() == ["", "", "", "ArithmeticError: no score"]
    assert result.summary()["failure"].tolist() == ["ArithmeticError: no score (1 of 4 images)"]


def test_a_part_of_the_images_has_the_scores_of_the_whole(model, images, tmp_path):
    kwargs = {"methods": ["Saliency"], "metrics": ["SenC", "Top-3", "Parameter SenC"], **FAST}
    ids, key = [7, 3, 10**6, 2**63 - 1], ["metric", "method", "image"]
    whole = compare(model, *images, image_ids=ids, **kwargs)
    assert list(whole.scores["image"]) == ids * 3
    part = compare(model, images[0][[2, 1]], images[1][[2, 1]], image_ids=torch.tensor(ids)[[2, 1]], **kwargs)
    assert list(part.scores["image"].unique()) == [10**6, 3]
    columns = ["score", "standard_error"]
    values, expected = (one.scores.set_index(key)[columns] for one in (part, whole))
    np.testing.assert_allclose(values, expected.loc[values.index], atol=1e-6)
    assert (whole.summary()["n_images"] == 4).all()
    assert len(whole.agreement(20)) == 3
    first = whole.scores.query("metric == 'SenC' and image == 3")["score"].tolist()
    assert [record.score for record in whole.examples.features.values()] == first
    whole.save(tmp_path)
    assert Comparison.load(tmp_path).to_frame().equals(whole.to_frame())


@pytest.mark.parametrize("shape", [(5,), (2, 16)])
def test_tables_and_series(shape):
    torch.manual_seed(0)
    layers = [nn.Flatten(), nn.Linear(np.prod(shape), 8), nn.ReLU(), nn.Linear(8, 3)]
    data = torch.rand(4, *shape)
    result = compare(nn.Sequential(*layers), data, [0, 1, 2, 0], methods=["Saliency", "InputXGradient"], n_masks=60)
    assert result.summary().query("metric != 'SenC'")["failure"].eq("").mean() > 0.8
    assert set(result.scores["metric"]) == set(available_metrics()) - {"Region Perturbation"}
    assert (result.examples is None) == (len(shape) > 1)


@pytest.fixture
def frame():
    """A table of several types of numbers."""
    draw = np.random.default_rng(0)
    columns = {"age": draw.normal(size=4), 7: [True, False, True, True], "n = $1$": pd.array([3, 1, 2, 2], dtype="Int64")}
    return pd.DataFrame(columns | {"single": draw.random(4, np.float32), "": [0, 1, 2, 3]}, index=[4, 2, 9, 9])


NAMES = ["age", "column 7", "n = $1$", "single", ""]
TABLE = {"methods": ["Saliency"], "metrics": ["SenC"], "n_masks": 30}


def test_a_frame_is_a_table_whose_columns_have_names(frame, tmp_path):
    classes = [0, 1, 2, 0]
    result = compare(table_model(5), frame, pd.Series(classes, index=list("abcd")), **TABLE)
    expected = compare(table_model(5), frame.to_numpy(np.float64), classes, **TABLE)
    pd.testing.assert_frame_equal(result.scores, expected.scores, check_exact=True)
    assert result.scores["score"].notna().all()
    assert (result.examples.columns, expected.examples.columns) == (NAMES, None)
    result.save(tmp_path)
    loaded = Comparison.load(tmp_path)
    assert loaded.examples.columns == NAMES
    labels = [label.get_text() for label in loaded.plot.data_sensitivity().axes[0].get_yticklabels()]
    assert sorted(label.rpartition(" = ")[0] for label in labels) == sorted(NAMES)
    labels = [label.get_text() for label in loaded.plot.attributions().axes[0].get_yticklabels()]
    assert sorted(label.rpartition(" = ")[0] for label in labels) == sorted(NAMES)
    plt.close("all")
    headings = [picture.heading for picture in pictures(loaded)]
    assert headings[-2:] == ["Attribution maps of one row of the table", "Sensitivity of its features"]


def test_names_of_columns_are_kept_in_a_folder(frame, tmp_path):
    """Also if the call that began the run had none."""
    numbers, classes = frame.to_numpy(np.float64), [0, 1, 2, 0]
    compare(table_model(5), numbers, classes, folder=tmp_path, **TABLE)
    assert Comparison.load(tmp_path).examples.columns is None
    assert compare(table_model(5), frame, classes, folder=tmp_path, **TABLE).examples.columns == NAMES
    compare(table_model(5), numbers, classes, folder=tmp_path, **TABLE)
    assert Comparison.load(tmp_path).examples.columns == NAMES


def test_columns_that_are_not_numeric_are_named(frame):
    frame = frame.assign(colour=list("abca"), when=pd.Timestamp(0), kind=pd.Categorical([1, 2, 1, 2]))
    columns = r"'colour' \(.*\), 'when' \(datetime.*\) and 'kind' \(category\)"
    with pytest.raises(ValueError, match=f"x_batch is a DataFrame whose columns {columns} are not numeric; encode them"):
        compare(table_model(5), frame, [0, 1, 2, 0])
    many = pd.DataFrame({f"c{place}": list("abca") for place in range(200)})
    with pytest.raises(ValueError, match=r"'c9' \(\w+\) and 190 more are not numeric"):
        compare(table_model(5), many, [0, 1, 2, 0])


def test_volumes(tmp_path):
    """Pictures show the middle slice."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv3d(1, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 4 * 6 * 6, 3)).eval()
    volumes = torch.rand(2, 1, 4, 6, 6)
    kwargs = {"methods": ["Saliency", "GradCAM"], "metrics": ["SenC", "MPRT", "Pixel Flipping"], "n_masks": 60}
    result = compare(model, volumes, [0, 1], **kwargs, segment_func_kwargs={"n_segments": 8})
    assert result.scores["score"].notna().all()
    assert "Attribution maps of one volume, its middle slice" in result.report(tmp_path / "page.html").read_text()
    middle = result.examples.middle_slice()
    np.testing.assert_array_equal(middle.image, volumes[0, :, 2])
    np.testing.assert_array_equal(middle.maps["GradCAM"], result.examples.maps["GradCAM"][2])
    assert torch.equal(middle.features["Saliency"].labels, result.examples.features["Saliency"].labels[2])


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"methods": ["Salincy"]}, "unknown method 'Salincy'; did you mean 'Saliency'"),
        ({"methods": ["randon"]}, "did you mean 'random'"),
        ({"methods": []}, "methods=.* must name at least one"),
        ({"methods": {"mine": 3}}, "explain_func=3 must be a callable"),
        ({"metrics": ["Senc"]}, "unknown metric 'Senc'; did you mean 'SenC'"),
        ({"metrics": []}, "metrics=.* must name at least one"),
        ({"metrics": {"mine": quantus.Complexity}}, "pass an instance"),
        ({"n_masks": 1}, "n_masks=1"),
        ({"block_size": 0}, "block_size=0 must be an integer from 1"),
        ({"y_batch": torch.tensor([0, 1, 9, 2])}, "the model has classes 0 … 4"),
        ({"y_batch": torch.tensor([0, 1])}, "pass one class an input"),
        ({"image_ids": [0, 1, 2, 1]}, "image_ids hold 1 more than once"),
        ({"image_ids": [0, 1, 2]}, r"image_ids of shape \(3,\) must be \(4,\)"),
        ({"segment_func": "slik"}, "did you mean 'slic'"),
        ({"methods": {1: "Saliency", "1": "random"}}, "methods hold the name 1, which is no string; pass a dict whose keys"),
        ({"methods": [explain]}, "methods hold the name <function explain.*, which is no string"),
        ({"methods": ["Saliency", "random", "Saliency"]}, "methods hold the name 'Saliency' 2 times; leave it there once"),
        ({"metrics": {None: "SenC"}}, "metrics hold the name None, which is no string"),
        ({"metrics": ["SenC", "SenC"]}, "metrics hold the name 'SenC' 2 times"),
        ({"metrics": {"\ud800": "SenC"}}, r"metrics hold '\\ud800', which cannot be written in UTF-8"),
    ],
)
def test_wrong_arguments_raise_before_any_work(model, images, kwargs, message):
    call = {"x_batch": images[0], "y_batch": images[1], **FAST, **kwargs}
    with pytest.raises(ValueError, match=message):
        compare(model, **call)


def explain_destructively(model, inputs, targets, **kwargs):
    maps = inputs * 2
    inputs *= 0
    targets *= 0
    return maps


class Destructive:
    def __call__(self, model, x_batch, y_batch, a_batch, s_batch, explain_func, explain_func_kwargs, batch_size):
        scores = [float(image.sum()) for image in a_batch]
        x_batch[:], y_batch[:], a_batch[:] = 0, 0, 7
        return scores


def test_methods_and_metrics_cannot_alter_what_others_are_given(model, images):
    x, y = images[0].numpy().copy(), images[1].numpy().copy()
    methods = {"destructive": explain_destructively, "Saliency": "Saliency"}
    metrics = {"destructive": Destructive(), "again": Destructive(), "Pixel Flipping": "Pixel Flipping"}
    result = compare(model, x, y, methods=methods, metrics=metrics, **FAST)
    alone = compare(model, x, y, methods=["Saliency"], metrics=["Pixel Flipping"], **FAST)
    assert np.array_equal(x, images[0].numpy())
    assert np.array_equal(y, images[1].numpy())
    scores = result.scores.set_index(["metric", "method"])["score"]
    assert scores["destructive"].tolist() == scores["again"].tolist()
    assert scores["Pixel Flipping", "Saliency"].tolist() == alone.scores["score"].tolist()


@pytest.mark.parametrize("precision", [torch.float64, torch.float16])
def test_models_in_another_precision(images, precision):
    torch.manual_seed(0)
    model = networks.randomised(networks.PlainCNN())
    kwargs = {"methods": ["Saliency"], "metrics": ["SenC", "Pixel Flipping", "MPRT", "Efficient MPRT", "Random Logit"], **FAST}
    expected = compare(model, *images, **kwargs).summary()
    converted = compare(model.to(precision), *images, **kwargs).summary()
    assert (converted["failure"] == "").all()
    np.testing.assert_allclose(converted["mean"], expected["mean"], atol=0.2)
    assert next(model.parameters()).dtype is precision


def test_maps_that_have_no_score_are_said_to_be_so(model, images):
    methods = {
        "constant": lambda model, inputs, targets, **kwargs: inputs * 0 + 1,
        "nan": lambda model, inputs, targets, **kwargs: inputs * np.nan,
        "short": lambda model, inputs, targets, **kwargs: inputs[:2],
        "names": lambda model, inputs, targets, **kwargs: np.full((len(inputs), 1), "a"),
    }
    failures = compare(model, *images, methods=methods, metrics=["Pixel Flipping"], **FAST).summary()["failure"].tolist()
    assert failures[0] == "a constant attribution"
    assert failures[1] == "an attribution that is not finite"
    assert failures[2].startswith("the method failed: ValueError: it returned maps of shape (2, 3, 12, 12)")
    assert failures[3].startswith("the method failed: ValueError: it returned maps of shape (4, 1)")


@pytest.fixture
def unchecked_types():
    """Calls get what the annotations forbid, as calls of users may."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"x_batch": torch.rand(4, 1, 4, 4, 4)}, "the model fails on x_batch of shape"),
        (
            {"metrics": {"all": quantus.Sparseness(return_aggregate=True)}},
            "return_aggregate=True, but every image needs a score",
        ),
        ({"estimator": "paper"}, "estimator is no argument of a comparison; take metrics="),
        ({"s_batch": torch.zeros(2)}, "must have one entry for each of 4 images"),
        ({"x_batch": torch.rand(4, 2, 12, 12)}, r"the model fails on x_batch of shape \(4, 2, 12, 12\)"),
        ({"methods": 5}, "methods=5 must be names"),
        ({"metrics": 5}, "metrics=5 must be names"),
    ],
)
def test_more_wrong_arguments(model, images, kwargs, message):
    with pytest.raises(ValueError, match=message):
        compare(model, **{"x_batch": images[0], "y_batch": images[1], **FAST, **kwargs})


def test_short_in_a_notebook(result):
    assert repr(result) == "Comparison of 12 metrics, 3 methods, 4 images; see summary(), agreement(), verdict(), report(path)"
