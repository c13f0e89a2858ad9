"""The page of a comparison: complete, self-contained, and what names say stays text."""

import re
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import pytest
from matplotlib import pyplot as plt

from quantus_senc import Comparison
from quantus_senc.comparison.text_table import text_table
from tests.comparisons import METHODS, METRICS, comparison, examples, scattered, typical

pytestmark = pytest.mark.xdist_group("report")  # one process makes the page that they look at
EVIL = '<script>alert("1")</script>'
APART = {"td", "th", "tr", "small"}
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Elements with their attributes, text and place."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag in APART:
            self.handle_data(" ")
        element = {"tag": tag, "attrs": dict(attrs), "text": ""}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag):
        return [element for element in self.elements if element["tag"] == tag]

    def texts(self, tag):
        return [" ".join(element["text"].split()) for element in self.all(tag)]


def page(made, tmp_path):
    before = plt.get_fignums()
    path = made.report(tmp_path / "page.html")
    assert path == tmp_path / "page.html"
    assert plt.get_fignums() == before
    parsed = Page(path.read_text(encoding="utf-8"))
    assert parsed.open == []
    return parsed


def headings(parsed):
    return parsed.texts("h2") + parsed.texts("h3")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A page with everything that a page can have."""
    scores = scattered()
    scores["MPRT"]["Saliency"][:] = np.nan
    scores["MPRT"]["random"][:3] = np.nan
    settings = {"controls": ["random"], "seed": 5, "versions": {"quantus": "0.6.0"}, "model": "LeNet"}
    failures = {("MPRT", "Saliency"): "RuntimeError: no gradient"}
    made = comparison(scores, errors={"SenC": 0.03}, failures=failures, settings=settings, examples=examples())
    return made, page(made, tmp_path_factory.mktemp("page"))


def test_the_verdict_comes_first(whole):
    made, parsed = whole
    verdict = [" ".join(sentence.split()) for sentence in made.verdict()]
    assert parsed.texts("li")[: len(verdict)] == verdict
    tags = [element["tag"] for element in parsed.elements]
    assert tags.index("li") < tags.index("table") < tags.index("img")


def test_the_table_of_means(whole):
    made, parsed = whole
    table = parsed.texts("table")[0]
    for name in (*METHODS, *METRICS):
        assert name in table
    summary = made.summary().set_index(["metric", "method"])
    values = [cell["attrs"]["data-value"] for cell in parsed.all("td")[:12]]
    means = [summary.loc[(metric, method), "mean"] for method in METHODS for metric in METRICS]
    np.testing.assert_array_equal([float(value or "nan") for value in values], means)
    first = parsed.texts("td")[0]
    row = summary.loc[("SenC", "Saliency")]
    assert first == f"{row['mean']:.3f} ± {row['error']:.3f} rank 2 masks ± {row['mask_error']:.3f}"


def test_the_best_of_each_metric_is_marked_in_words(whole):
    _, parsed = whole
    best = [index for index, text in enumerate(parsed.texts("td")[:12]) if "★ best" in text]
    assert best == [3, 4, 11]  # LayerGradCam by the first two, random by MPRT
    assert all("best" in parsed.all("td")[index]["attrs"]["class"] for index in best)


def test_missing_scores_are_said(whole):
    _, parsed = whole
    cells = parsed.texts("td")
    assert cells[2] == "failed"
    assert parsed.all("td")[2]["attrs"]["data-value"] == ""
    assert "17 images" in cells[11]
    assert "Missing scores" in headings(parsed)
    assert "MPRT for Saliency: RuntimeError: no gradient" in parsed.texts("li")


def test_headers_say_how_to_sort(whole):
    _, parsed = whole
    headers = [element["attrs"] for element in parsed.all("th") if "data-kind" in element["attrs"]][:4]
    assert [header["data-kind"] for header in headers] == ["text", "number", "number", "number"]
    assert [header.get("data-first") for header in headers] == [None, "descending", "descending", "ascending"]


def test_every_picture_has_words(whole):
    _, parsed = whole
    images = parsed.all("img")
    assert len(images) == len(parsed.all("figcaption")) == 7
    for image in images:
        assert image["attrs"]["src"].startswith("data:image/png;base64,iVBOR")
        assert "LayerGradCam" in image["attrs"]["alt"] or "SenC" in image["attrs"]["alt"]
    assert all(len(caption) > 60 for caption in parsed.texts("figcaption"))


def test_metrics_agreement_and_settings_are_listed(whole):
    made, parsed = whole
    tables = parsed.texts("table")
    for row in made.agreement().itertuples():
        assert re.search(f"{re.escape(row.metric_a)} {re.escape(row.metric_b)} .?{abs(row.tau):.2f}", tables[1])
    assert "why lower" in tables[2]
    assert "n_masks=500" in tables[2]
    assert {"seed", "versions", "quantus"} <= set(parsed.texts("dt"))
    assert "5" in parsed.texts("dd")
    assert "tan2025sensitivity" in parsed.texts("pre")[0]


def test_nothing_comes_from_elsewhere(whole):
    _, parsed = whole
    for element in parsed.elements:
        assert not {"href", "srcset", "onclick"} & set(element["attrs"])
        assert element["attrs"].get("src", "data:").startswith("data:")
    assert "http" not in "".join(parsed.texts("style") + parsed.texts("script"))


def test_names_are_text_everywhere(tmp_path):
    """Not one script more than the page's own, whatever names, reasons and settings say."""
    names = [EVIL, "a & b", "'quoted\"", "$\\frac{$"]
    scores = scattered({EVIL: [0.0, 1, 2, 3], "b": [0.0, 1, 2, 3]}, names, n_images=3)
    scores[EVIL]["a & b"][:] = np.nan
    made = comparison(
        scores,
        {EVIL: (EVIL, "higher"), "b": (EVIL, "lower")},
        failures={(EVIL, "a & b"): EVIL},
        settings={EVIL: EVIL, "controls": [EVIL], "nested": {EVIL: [EVIL]}, "model": EVIL},
        examples=examples(names),
    )
    parsed = page(made, tmp_path)
    assert len(parsed.all("script")) == 1
    assert EVIL not in parsed.texts("script")[0]
    assert EVIL in parsed.texts("h1")[0] + parsed.texts("p")[0]
    assert f"{EVIL} for a & b: {EVIL}" in parsed.texts("li")
    assert all(EVIL in image["attrs"]["alt"] for image in parsed.all("img"))
    assert EVIL in parsed.texts("dt")
    assert {"'quoted\"", EVIL} <= {element["attrs"].get("data-value") for element in parsed.all("th")}


def test_after_a_folder_without_examples(tmp_path):
    typical().save(tmp_path)
    parsed = page(Comparison.load(tmp_path), tmp_path)
    assert len(parsed.all("img")) == 4
    assert "Missing scores" not in headings(parsed)


@pytest.mark.filterwarnings("error")
def test_one_method_one_metric_one_image(tmp_path):
    parsed = page(comparison({"SenC": {"Saliency": [0.25]}}), tmp_path)
    assert parsed.texts("td")[0] == "0.25 rank 1"
    assert headings(parsed)[:2] == ["Means", "Pictures"]
    assert "Agreement of metrics" not in headings(parsed)
    assert len(parsed.all("img")) == 1


def test_means_that_round_to_0_are_shown_as_0(tmp_path):
    made = comparison({"SenC": {"Saliency": [0.5, -0.5, -2e-17], "LRP": [-7e-18] * 3}})
    assert (made.summary()["mean"] < 0).all()
    cells = page(made, tmp_path).texts("td")
    for shown, place in (("0.00 ± 0.29", 0), ("0.00 ± 0.00", 1)):
        assert cells[place].startswith(f"{shown} ")
        assert f" {shown}" in text_table(made)
        assert f">{shown}<" in made._repr_html_()


@pytest.mark.filterwarnings("error")
def test_a_metric_without_any_score(tmp_path):
    scores = scattered(n_images=2)
    scores["MPRT"] = {name: [np.nan, np.nan] for name in METHODS}
    parsed = page(comparison(scores, failures={("MPRT", name): "broken" for name in METHODS}), tmp_path)
    assert parsed.texts("td")[2] == "failed"
    assert "unknown" in parsed.texts("table")[1]


def test_pages_that_cannot_be_written(tmp_path):
    with pytest.raises(OSError, match=r"was not written .*No such file.*; mend that, or pass another file"):
        typical(n_images=1).report(tmp_path / "absent" / "page.html")
    with pytest.raises(ValueError, match="comparison of 1 rows holds no score"):
        comparison({"SenC": {"Saliency": [np.nan]}}).report(tmp_path / "page.html")


def test_the_template_is_in_the_package():
    assert files("quantus_senc.comparison").joinpath("report.html.j2").is_file()
