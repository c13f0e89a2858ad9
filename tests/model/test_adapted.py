import copy
import pickle

import pytest
import torch
from torch import nn

from quantus_senc import adapt, explain
from tests import adapted_models as returned
from tests.adapted_models import Returns, scores_alone
from tests.small_models import image_model, table_model

X = torch.arange(4 * 64, dtype=torch.float32).reshape(4, 1, 8, 8).sin()
Y = torch.tensor([0, 2, 1, 0])


def model(make):
    return Returns(image_model(), make)


PICKED = [
    (returned.as_logits, "logits"),
    (returned.as_logits, 0),
    (returned.as_dict, "scores"),
    (returned.as_tuple, 1),
    (returned.as_tuple, -1),
    (returned.as_pair, "scores"),
    (returned.as_record, "scores"),
    (returned.as_two, lambda pair: (pair[0] + pair[1] - 1) / 2),
    (scores_alone, None),
]


@pytest.mark.parametrize(("make", "output"), PICKED)
def test_scores_are_picked_from_what_the_model_returns(make, output):
    torch.testing.assert_close(adapt(model(make), output=output)(X), image_model()(X))


RECOGNISED = [returned.as_logits, returned.as_dict, returned.as_tuple, returned.as_pair, returned.as_record]


@pytest.mark.parametrize("method", ["Saliency", "LRP", "GradCAM"])
@pytest.mark.parametrize("make", RECOGNISED)
def test_scores_that_are_the_only_ones_are_recognised_and_that_is_said_once(make, method, recwarn):
    adapted = adapt(model(make))
    maps = explain(adapted, X, Y, method=method)
    explain(adapted, X[:2], Y[:2], method=method)
    assert sum("is taken for the scores of the classes" in str(one.message) for one in recwarn) == 1
    torch.testing.assert_close(maps, explain(model(scores_alone), X, Y, method=method), rtol=0, atol=0)


@pytest.mark.parametrize("method", ["Saliency", "DeepLift"])
def test_a_prepared_method_takes_the_model_that_it_was_prepared_for(method):
    given = model(returned.as_dict)
    prepared = explain.prepare(given, X, method=method)
    expected = explain(model(scores_alone), X, Y, method=method)
    torch.testing.assert_close(prepared(given, X, Y), expected, rtol=0, atol=0)


UNCLEAR = [
    (returned.as_two, {}, r"tuple\(\[0\]: shape \(4, 3\), \[1\]: shape \(4, 3\)\) for 4 .*output=0\), or another of \[1\]"),
    (returned.as_dict, {"output": "logits"}, r"output='logits' is not in what the model returned, dict\('features': shape"),
    (returned.as_tuple, {"output": 7}, r"output=7 is not in what the model returned"),
    (returned.as_dict, {"output": "features"}, r"shape \(4, 1, 8, 8\) .*output=lambda returned: returned.mean\(\(2, 3\)\)"),
    (lambda scores, x: {"out": x}, {}, r"output=lambda returned: returned\['out'\].mean\(\(2, 3\)\)"),
    (lambda scores, x: None, {}, r"returned NoneType for 4 inputs.*output=function\), where the function makes \(4, classes\)"),
    (lambda scores, x: scores[:2], {}, r"returned shape \(2, 3\) for 4 inputs"),
    (scores_alone, {"activation": "binary"}, r"takes one logit an input, but the model returned 3; pass activation='softmax'"),
]


@pytest.mark.parametrize(("make", "arguments", "message"), UNCLEAR)
def test_an_error_shows_what_came_back_and_the_line_to_write(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        explain(adapt(model(make), **arguments), X, Y, method="Saliency")


def test_such_an_error_is_sent_to_other_processes():
    with pytest.raises(ValueError, match="returned tuple") as raised:
        explain(model(returned.as_two), X, Y, method="Saliency")
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


def test_one_value_an_input_without_an_axis_of_classes():
    with pytest.raises(ValueError, match=r"shape \(4,\) for 4 .*'binary'\) if it is the logit of class 1, or .*None"):
        explain(model(returned.as_flat), X, Y, method="Saliency")


def test_modules_and_parameters_have_the_names_that_they_have_inside():
    inside = model(returned.as_dict)
    adapted = adapt(inside, output="scores")
    named = [name for name, _ in inside.named_modules()]
    assert [name for name, module in adapted.named_modules() if module is not adapted] == named
    assert all(adapted.get_submodule(name) is inside.get_submodule(name) for name in named if name)
    assert [name for name, _ in adapted.named_parameters()] == [name for name, _ in inside.named_parameters()]
    assert adapted.make is returned.as_dict
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        adapted.nothing  # noqa: B018


def test_a_module_is_replaced_by_its_name():
    adapted = adapt(model(returned.as_dict), output="scores")
    adapted.network = nn.Flatten()
    torch.testing.assert_close(adapted(X), X.flatten(1))


def test_copies_and_pickles_are_models_of_their_own():
    adapted = adapt(model(returned.as_dict), output="scores", activation="sigmoid", spread=1)
    before = adapted(X, activated=True)
    for other in (copy.deepcopy(adapted), pickle.loads(pickle.dumps(adapted))):
        assert torch.equal(other(X, activated=True), before)
        other.network[0].reset_parameters()
        assert not torch.equal(other(X, activated=True), before)
    assert torch.equal(adapted(X, activated=True), before)


def test_one_logit_makes_two_classes_that_both_have_maps():
    z, adapted = model(returned.as_flat)(X), adapt(model(returned.as_flat), activation="binary")
    torch.testing.assert_close(adapted(X).softmax(1), torch.stack([1 - z.sigmoid(), z.sigmoid()], 1))
    gradients = [explain(adapted, X, torch.full((4,), one), method="Gradient", reduce_axes=()) for one in (0, 1)]
    torch.testing.assert_close(gradients[0], -gradients[1])
    expected = explain(model(scores_alone), X, Y * 0, method="Gradient", reduce_axes=()) / 2
    torch.testing.assert_close(gradients[1], expected)


ACTIVATED = [
    ({"activation": "softmax"}, lambda z: z.softmax(1)),
    ({"activation": "sigmoid"}, lambda z: z.sigmoid()),
    ({"activation": None}, lambda z: z),
    ({"activation": None, "spread": [1.0, 2.0, 4.0]}, lambda z: z / torch.tensor([1.0, 2.0, 4.0])),
]


@pytest.mark.parametrize(("arguments", "expected"), ACTIVATED)
def test_predictions_are_activated_and_scores_are_not(arguments, expected):
    adapted = adapt(model(scores_alone), **arguments)
    torch.testing.assert_close(adapted(X), image_model()(X))
    torch.testing.assert_close(adapted(X, activated=True), expected(image_model()(X)))


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.image, self.table = image_model(), table_model()

    def forward(self, columns, pixels, *, scale=1.0):
        return scale * torch.cat([self.image(pixels), self.table(columns)], 1)


@pytest.mark.parametrize("method", ["Saliency", "GuidedBackprop", "DeepLift"])
@pytest.mark.parametrize("perturb", ["pixels", lambda x: {"pixels": x}])
def test_other_inputs_stay_as_they_are(perturb, method):
    row = torch.arange(6.0)[None]

    class ByHand(TwoInputs):
        def forward(self, x):
            return super().forward(torch.zeros_like(x.flatten(1)[:, :6]) + row, x, scale=2.0)

    adapted = adapt(TwoInputs().eval(), perturb=perturb, forward_kwargs={"columns": row, "scale": 2.0})
    torch.testing.assert_close(explain(adapted, X, Y, method=method), explain(ByHand().eval(), X, Y, method=method))


def test_lrp_of_modules_that_another_input_alone_reaches_is_refused():
    adapted = adapt(TwoInputs().eval(), perturb="pixels", forward_kwargs={"columns": torch.rand(1, 6)})
    with pytest.raises(ValueError, match=r"method='LRP': .* some here depend on fixed values alone"):
        explain(adapted, X, Y, method="LRP")


def test_rows_for_several_inputs_are_refused():
    adapted = adapt(TwoInputs().eval(), perturb="pixels", forward_kwargs={"columns": torch.rand(3, 6)})
    with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
        adapted(X)


WRONG = [
    ({"output": 1.5}, r"output=1.5 must be a key, an index, a function"),
    ({"activation": "sigmoids"}, r"unknown activation 'sigmoids'; did you mean 'sigmoid'\?"),
    ({"activation": None, "spread": [1.0, 0.0]}, r"spread=\[1.0, 0.0\] must be positive"),
    ({"activation": "sigmoid", "spread": 2.0}, r"spread=2.0 is for activation=None, and not for 'sigmoid'; leave it out"),
    ({"perturb": 3}, r"perturb=3 must be the name of an argument, a function"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        adapt(nn.Identity(), **arguments)


def test_what_is_no_module_is_named():
    with pytest.raises(ValueError, match=r"model=function must be a torch.nn.Module"):
        adapt(scores_alone)
