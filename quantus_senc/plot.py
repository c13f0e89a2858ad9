"""Pictures of sensitivities and of comparisons; all can be told apart in grey print, too."""

from quantus_senc._plot_images import attributions as attributions
from quantus_senc._plot_images import data_sensitivity as data_sensitivity
from quantus_senc._plot_layers import layer_scores as layer_scores
from quantus_senc._plot_layers import parameter_sensitivity as parameter_sensitivity
from quantus_senc._plot_ranks import agreement as agreement
from quantus_senc._plot_ranks import rank_lines as rank_lines
from quantus_senc._plot_scores import mean_scores as mean_scores
from quantus_senc._plot_scores import score_distributions as score_distributions
