"""Figures of sensitivities and of comparisons. All of them can be read in grey print."""

from quantus_senc.plot.attributions import attributions as attributions
from quantus_senc.plot.ranks import agreement as agreement
from quantus_senc.plot.ranks import rank_lines as rank_lines
from quantus_senc.plot.scores import layer_scores as layer_scores
from quantus_senc.plot.scores import mean_scores as mean_scores
from quantus_senc.plot.scores import score_distributions as score_distributions
from quantus_senc.plot.sensitivity import data_sensitivity as data_sensitivity
from quantus_senc.plot.sensitivity import parameter_sensitivity as parameter_sensitivity
