"""
Digits in a minute
==================

Train a small network on handwritten digits, and ask which explanation method reacts to what the network reacts to.
"""

import quantus_senc
from quantus_senc import demo

images, labels, x_batch, y_batch = demo.digits()
model = demo.train(images, labels)
result = quantus_senc.compare(
    model,
    x_batch[:4],
    y_batch[:4],
    methods=["Saliency", "InputXGradient", "GradCAM", "random"],
    metrics=["SenC (regression)", "Top-3", "Faithfulness Correlation", "MPRT"],
    n_masks=200,
    segment_func_kwargs={"compactness": 0.1},  # superpixels that follow the strokes
)

# %%
# One line for each method and metric: the mean over images, its standard error, and the rank (1 is best). For MPRT, lower is
# better.

summary = result.summary()[["metric", "method", "mean", "error", "rank"]]
print(summary.round(2).to_string(index=False))

# %%
# And what follows from it, in words.

print("\n".join(result.verdict()))

# %%
# The ranks from metric to metric. Noise is a control: no metric should put it first.

figure = quantus_senc.plot.rank_lines(result)

# %%
# The maps of one of the images:

examples = result.examples
figure = quantus_senc.plot.attributions(examples.image, examples.maps)
