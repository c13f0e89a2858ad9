"""The figures of `quantus_senc.plot` as methods of a comparison."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from quantus_senc import plot
from quantus_senc.comparison.examples import Examples
from quantus_senc.comparison.report_pictures import ReportedComparison


class Plots:
    """`Comparison.plot`: what `quantus_senc.plot` draws of a comparison and of its example. Callers close the figures.

    Parameters
    ----------
    comparison
        A `quantus_senc.Comparison`.
    """

    def __init__(self, comparison: ReportedComparison) -> None:
        self._comparison = comparison

    def __repr__(self) -> str:
        names = [name for name in dir(self) if not name.startswith("_")]
        return f"Figures: {', '.join(f'{name}()' for name in names)}"

    def mean_scores(self) -> Figure:
        """See `quantus_senc.plot.mean_scores`."""
        return plot.mean_scores(self._comparison)

    def score_distributions(self) -> Figure:
        """See `quantus_senc.plot.score_distributions`."""
        return plot.score_distributions(self._comparison)

    def rank_lines(self, ax: Axes | None = None) -> Figure:
        """See `quantus_senc.plot.rank_lines`."""
        return plot.rank_lines(self._comparison, ax)

    def agreement(self, ax: Axes | None = None) -> Figure:
        """See `quantus_senc.plot.agreement`."""
        return plot.agreement(self._comparison, ax)

    def attributions(self) -> Figure:
        """See `quantus_senc.plot.attributions`: the maps of the example, which is one image or one row of a table."""
        examples = self._examples("maps")
        return plot.attributions(examples.drawn(), examples.maps)

    def data_sensitivity(self) -> Figure:
        """See `quantus_senc.plot.data_sensitivity`: of the example, by the first data SenC metric."""
        examples = self._examples("features")
        return plot.data_sensitivity(examples.drawn(), examples.features)

    def parameter_sensitivity(self, n_columns: int = 4) -> Figure:
        """See `quantus_senc.plot.parameter_sensitivity`: of the example, by the first parameter SenC metric.

        Parameters
        ----------
        n_columns
            The largest number of panels per row.
        """
        return plot.parameter_sensitivity(self._examples("units").units, n_columns)

    def _examples(self, kind: str) -> Examples:
        examples = self._comparison.examples
        if examples is None or not getattr(examples, kind):
            raise ValueError(
                f"comparison.examples hold no {kind}, because the inputs are series or no such metric has run; pass them to "
                "the function in quantus_senc.plot"
            )
        return examples
