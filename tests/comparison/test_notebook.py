"""What a notebook shows of a comparison."""

import base64
import re

import numpy as np
import pytest
from matplotlib import pyplot as plt

from tests.comparison.test_report import EVIL, Page
from tests.comparisons import METHODS, METRICS, comparison, scattered, typical


def shown(made):
    before = plt.get_fignums()
    text = made._repr_html_()
    assert plt.get_fignums() == before
    page = Page(text)
    assert page.open == []
    return text, page


@pytest.fixture(scope="module")
def whole():
    scores = scattered()
    scores["MPRT"]["Saliency"][:] = np.nan
    scores["SenC"]["random"][:] = np.nan
    failures = {("MPRT", "Saliency"): "no gradient"}
    made = comparison(scores, failures=failures, settings={"controls": ["random"]})
    return made, *shown(made)


def test_a_row_a_method_a_column_a_metric(whole):
    _, _, page = whole
    assert page.texts("th")[:4] == ["method", "SenC ↑", "Faithfulness Corr. ↑", "MPRT ↓"]
    assert page.texts("th")[4:] == list(METHODS)
    cells = np.reshape(page.texts("td"), (len(METHODS), len(METRICS)))
    assert cells[0, 2] == "failed"
    assert cells[3, 0] == "–"
    assert re.fullmatch(r"0\.\d+ ± 0\.\d+", cells[1, 0])
    assert {cell["attrs"].get("title") for cell in page.all("td")} == {None, "no gradient"}


def test_the_best_of_each_metric_are_bold(whole):
    made, _, page = whole
    bold = [cell["text"].strip() for cell in page.all("td")]
    strong = [element["text"] for element in page.all("strong") if "±" in element["text"]]
    places = [divmod(bold.index(text), len(METRICS)) for text in strong]
    best = [(METHODS[method], list(METRICS)[metric]) for method, metric in places]
    ranks = made.table("rank")
    assert sorted(best) == sorted((ranks.loc[metric].idxmin(), metric) for metric in METRICS)


def test_the_sentences_and_a_picture(whole):
    made, _, page = whole
    assert page.texts("li") == [" ".join(sentence.split()) for sentence in made.verdict()]
    (picture,) = page.all("img")
    assert base64.b64decode(picture["attrs"]["src"].removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
    assert picture["attrs"]["alt"].startswith("Ranks of")


def test_nothing_from_elsewhere_and_no_scripts(whole):
    _, text, page = whole
    assert not re.search(r"https?:|<script|<style|<link| on\w+=| class=| id=", text)
    assert {"script", "style", "link", "iframe"}.isdisjoint(element["tag"] for element in page.elements)


def test_names_and_reasons_are_text():
    names = [f"{EVIL}{index}" for index in range(3)]
    made = comparison(
        {EVIL: {names[0]: [0.1, 0.2], names[1]: [0.1, 0.3], names[2]: [np.nan] * 2}},
        {EVIL: (EVIL, "higher")},
        failures={(EVIL, names[2]): f'"{EVIL}'},
        settings={"controls": names[:1]},
    )
    text, page = shown(made)
    assert not page.all("script")
    assert "<script" not in text
    assert names[0] in page.texts("th")
    assert page.all("td")[2]["attrs"]["title"] == f'"{EVIL}'


def test_one_method_has_no_best_cell():
    _, page = shown(comparison({"SenC": {"Saliency": [0.1, 0.3]}}))
    assert page.texts("td") == ["0.20 ± 0.10"]
    assert "±" not in "".join(page.texts("strong"))


def test_without_scores_the_plain_words_are_shown():
    made = comparison({"SenC": {"<i>": [np.nan]}})
    assert shown(made)[0] == f"<pre>{made!r}</pre>"


def test_unfinished_comparisons_say_so():
    made = typical()
    made.scores.loc[:3, "failure"] = "not done yet"
    assert f"4 of {len(made.scores)} scores not done yet" in shown(made)[0]
