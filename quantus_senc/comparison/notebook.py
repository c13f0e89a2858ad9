"""A comparison as a notebook shows it: table of means, verdict and a small picture."""

from html import escape
from importlib.resources import files

from quantus_senc.comparison.report import by_method, environment, means_of, metric_columns, verdict_parts
from quantus_senc.comparison.report_pictures import ReportedComparison, small_picture


def notebook_html(comparison: ReportedComparison) -> str:
    """HTML without scripts, classes or links, because it stands among the other cells of a page.

    A comparison without any score is shown by its `repr`.
    """
    if not comparison.scores["score"].notna().any():
        return f"<pre>{escape(repr(comparison))}</pre>"
    means = means_of(comparison)
    source = files("quantus_senc.comparison").joinpath("notebook.html.j2").read_text(encoding="utf-8")
    return (
        environment()
        .from_string(source)
        .render(
            heading=repr(comparison),
            columns=metric_columns(comparison.metrics, list(means["metric"].unique())),
            rows=by_method(means, comparison.settings.get("controls", [])),
            verdict=verdict_parts(comparison),
            picture=small_picture(comparison),
        )
    )
