"""What users are told after a call: one warning for each kind of trouble."""

from collections import Counter

from quantus_senc.core.record import Sensitivity
from quantus_senc.model.pass_size import BatchLimit

_DISAGREEMENT = (
    "{}: a_batch is not what explain_func returns for these inputs; the scores are those of explain_func. (quantus.evaluate "
    "computes a_batch with the default method where xai_methods is a dict of dicts; a method that draws at random never "
    "agrees.)"
)
HOOKS_LEFT = (
    "explain_func has left hooks in the model at its first call. They are removed at the end of this call, because the model "
    "is put back as it was. A method that relies on them would see nothing at the next call: let it add them before the call, "
    "or at each call of explain_func."
)
_BELOW_ZERO = (
    "Without softmax the mean of 1 - confidence change is below 0 for {} of {} {}. The noise that the paper's two sums "
    "share then anticorrelates them, and scores can be strongly negative whatever the explanation does. Use "
    "estimator='regression', which has no such noise, softmax=True, or for a regression a larger spread in quantus_senc.adapt."
)
_ONE_BY_ONE = (
    "{}: the explanation or prediction of an image changes with the other images of its batch, so that every masked image is "
    "run in a pass of its own. That takes up to {:,} passes instead of {:,}. Rewrite explain_func (or the model) so that it "
    "treats each image by itself, and it is fast again."
)

_OUT_OF_MEMORY = (
    "{}: the device had no memory for a pass of {} perturbed samples, so that passes became smaller. max_batch_size={} "
    "saves the tries."
)


def memory_warning(name: str, limit: BatchLimit) -> list[str]:
    """That passes had to become smaller; nothing if they had not."""
    return [] if limit.too_many is None else [_OUT_OF_MEMORY.format(name, limit.too_many, limit.size)]


def disagreement_warning(name: str) -> str:
    """That the maps that were passed to a metric are not those that it explains."""
    return _DISAGREEMENT.format(name)


def channels_moved(given: tuple[int, ...], moved: tuple[int, ...]) -> str:
    """That the axes of the inputs were moved, because the last one is taken for the channels."""
    return (
        f"x_batch of shape {given} is taken to have its channels last, and the model is given {moved}. Pass channel_first=True "
        "if they come first; or channel_first=False, and this is not said."
    )


def one_by_one_warning(name: str, n_pairs: int, pass_size: int) -> str:
    """What it costs that a method depends on the batch, for so many pairs of image and mask."""
    return _ONE_BY_ONE.format(name, n_pairs, -(-n_pairs // pass_size))


def score_warnings(name: str, estimator: str, sensitivities: list[Sensitivity] | dict[str, list[Sensitivity]]) -> list[str]:
    """Return which records of a metric have no score and why, and which scores are doubtful."""
    if isinstance(sensitivities, dict):
        records, what = [record for layer in sensitivities.values() for record in layer], "pairs of layer and image"
    else:
        records, what = sensitivities, "images"
    messages = []
    reasons = Counter(record.undefined for record in records if record.undefined)
    if reasons:
        counts = "; ".join(f"{count} with {reason}" for reason, count in reasons.most_common())
        messages.append(f"{name} is NaN for {reasons.total()} of {len(records)} {what}: {counts}.")
    constant = sum(record.n_constant > record.n_masks / 2 and not record.undefined for record in records)
    if constant:
        messages.append(
            f"For {constant} of {len(records)} {what}, more than half of the masks made the attribution constant; a "
            "constant attribution has no ranks, and its similarity counted as 0. A lower mask_rate may help."
        )
    below_zero = sum(record.weights[:, 0].mean().item() < 0 for record in records)
    if below_zero and estimator == "paper":
        messages.append(_BELOW_ZERO.format(below_zero, len(records), what))
    return messages
