"""MetaQuantus's published meta-consistencies for MNIST, tried again: its metrics' parameters, its noise, our network."""

from typing import Any

from benchmarks.reproduction.meta_metrics import HIGHER_IS_BETTER, OF_QUANTUS, as_published
from benchmarks.reproduction.meta_scores import Trial
from benchmarks.reproduction.meta_summary import meta_consistency
from benchmarks.reproduction.setup import Setup
from quantus_senc.comparison.named_methods import named_methods

PUBLISHED = {"Faithfulness Correlation": 0.54, "Pixel Flipping": 0.63, "Random Logit": 0.67, "MPRT": 0.58}
METHODS: dict[str, Any] = {  # the six published ones; Occlusion with windows that do not overlap
    "Gradient": "Gradient",
    "Saliency": "Saliency",
    "IntegratedGradients": "IntegratedGradients",
    "GradCAM": "GradCAM",
    "Occlusion": {"method": "Occlusion", "window": 7, "strides": 7},
    "GradientShap": "GradientShap",
}


def published(setup: Setup) -> dict[str, Any]:
    """For each metric the published MC and ours; and ours if higher and lower change places, and of fewer images.

    The package's settings call Pixel Flipping a metric of which higher values are better. Quantus and the linear model of our
    tests say lower, since the area under the curve of the prediction is small where the map is right.

    Parameters
    ----------
    setup
        Images, network, folder and scale.
    """
    n_images, n_copies = setup.size(quick=64, full=1024, smoke=2), setup.size(quick=3, full=15, smoke=1)
    model = setup.network("mnist").model
    x, y = setup.test_images("mnist", n_images, model)
    trial = Trial("published", model, x, y, named_methods(METHODS), as_published, n_copies, softmax=False)
    first, copies, _ = trial.run(setup, with_equal_draws=False)
    fewer = [n for n in (16, 32) if n < n_images]
    values: dict[str, Any] = {}
    for metric in OF_QUANTUS:
        better = HIGHER_IS_BETTER[metric]
        other = meta_consistency(first, copies, metric, higher_is_better=not better)
        values[metric] = {
            "published MC": PUBLISHED[metric],
            **meta_consistency(first, copies, metric, higher_is_better=better),
            "MC of the other direction": other["MC"],
            "MC by number of images": {
                str(n): meta_consistency(first, copies, metric, higher_is_better=better, images=slice(n))["MC"] for n in fewer
            },
        }
    return {"settings": {"n_images": n_images, "n_copies": n_copies, "methods": list(METHODS)}, "metrics": values}
