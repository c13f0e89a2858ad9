"""Figures of sensitivities and of comparisons. All of them can be read in grey print.

For a journal, save a figure as vectors, and let LaTeX scale it to the width of a column; or make axes of that width, whose
letters keep their size:

>>> from matplotlib import pyplot as plt
>>> scores = {"Saliency": {"conv1": [0.4, 0.5], "fc": [0.1, 0.3]}}
>>> figure, axes = plt.subplots(figsize=(3.4, 2.2), layout="constrained")  # inches
>>> layer_scores(scores, ax=axes).savefig("layers.pdf")  # doctest: +SKIP
>>> plt.close(figure)

`rank_lines`, `agreement` and `layer_scores` take axes; `rank_lines` needs about an inch for each metric. Figures of several
panels take another width afterwards: `figure.set_size_inches(7, 4)`. `matplotlib.rcParams["pdf.fonttype"] = 42` keeps letters
as text, as many journals demand.
"""

from quantus_senc.plot.attributions import attributions as attributions
from quantus_senc.plot.ranks import agreement as agreement
from quantus_senc.plot.ranks import rank_lines as rank_lines
from quantus_senc.plot.scores import layer_scores as layer_scores
from quantus_senc.plot.scores import mean_scores as mean_scores
from quantus_senc.plot.scores import score_distributions as score_distributions
from quantus_senc.plot.sensitivity import data_sensitivity as data_sensitivity
from quantus_senc.plot.sensitivity import parameter_sensitivity as parameter_sensitivity
