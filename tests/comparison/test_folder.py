"""Folders of comparisons: saved whole or not at all, loaded whole or refused."""

import contextlib
import csv
import dataclasses
import hashlib
import itertools
import os
import resource
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pytest

from quantus_senc import Comparison
from tests.comparisons import comparison, examples, typical

FILES = ["scores.csv", "metrics.csv", "settings.json", "examples.npz"]
SUMS = "SHA256SUMS"


def numbered(number, with_examples=True):
    """A comparison that has its number in each of its files."""
    made = dataclasses.replace(examples(["p"]), target=number) if with_examples else None
    return comparison({"SenC": {"p": [number]}}, {"SenC": (str(number), "higher")}, settings={"number": number}, examples=made)


def numbers(loaded):
    """The numbers in the parts of a comparison."""
    score, category = loaded.scores["score"].item(), loaded.metrics["category"].item()
    return {score, int(category), loaded.settings["number"], *([loaded.examples.target] if loaded.examples else [])}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def sign(folder):
    """Write the checksums of the files as they are, as a forger would."""
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in contents(folder).items() if name in FILES]
    (folder / SUMS).write_text("".join(lines))


@contextlib.contextmanager
def files_of_at_most(n_bytes):
    """The system refuses to write longer files, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("limit", [0, 1000], ids=["the first file", "the last but one"])
def test_a_save_that_fails_leaves_the_older_comparison(tmp_path, limit):
    numbered(1).save(tmp_path)
    before = contents(tmp_path)
    with files_of_at_most(limit), pytest.raises(OSError, match=r"was not written \(.*File too large.*\); mend that, or pass"):
        numbered(2).save(tmp_path)
    assert contents(tmp_path) == before
    assert numbers(Comparison.load(tmp_path)) == {1}


class Stop:
    """Let a thread stop before a rename, until it may go on."""

    def __init__(self, monkeypatch, step):
        self.reached, self.go_on = threading.Event(), threading.Event()
        steps, replace = itertools.count(), os.replace

        def stopping(source, target):
            if next(steps) == step:
                self.reached.set()
                self.go_on.wait(60)
            replace(source, target)

        monkeypatch.setattr(os, "replace", stopping)


@pytest.mark.parametrize("with_examples", [True, False])
@pytest.mark.parametrize("step", range(4))
def test_a_reader_beside_a_writer_gets_one_comparison(tmp_path, monkeypatch, step, with_examples):
    numbered(1).save(tmp_path)
    stop, sleep, pauses = Stop(monkeypatch, step), time.sleep, itertools.count(1)

    def pause(seconds):
        if next(pauses) == 3:
            stop.go_on.set()  # the reader has seen a mixture three times
        sleep(seconds)

    with ThreadPoolExecutor() as pool:
        saved = pool.submit(numbered(2, with_examples).save, tmp_path)
        assert stop.reached.wait(60)
        monkeypatch.setattr(time, "sleep", pause)
        loaded = Comparison.load(tmp_path)
        stop.go_on.set()
        saved.result()
    assert numbers(loaded) in ({1}, {2})
    assert numbers(Comparison.load(tmp_path)) == {2}


def test_a_reader_that_a_writer_overtakes_reads_again(tmp_path, monkeypatch):
    numbered(1).save(tmp_path)
    read = Path.read_bytes

    def overtaken(path):
        data = read(path)
        monkeypatch.undo()
        numbered(2).save(tmp_path)
        return data

    monkeypatch.setattr(Path, "read_bytes", overtaken)
    assert numbers(Comparison.load(tmp_path)) == {2}


def test_a_writer_waits_for_another(tmp_path, monkeypatch):
    stop = Stop(monkeypatch, 2)
    with ThreadPoolExecutor() as pool:
        saves = [pool.submit(numbered(1).save, tmp_path)]
        assert stop.reached.wait(60)
        saves.append(pool.submit(numbered(2).save, tmp_path))
        wait(saves, timeout=0.2)  # time enough to spoil the first one's work, if the second one did not wait
        stop.go_on.set()
        for saved in saves:
            saved.result()
    assert numbers(Comparison.load(tmp_path)) == {2}


def test_what_a_killed_writer_has_left_is_cleared_away(tmp_path):
    numbered(1).save(tmp_path)
    before = set(contents(tmp_path))
    (tmp_path / ".new").mkdir()
    (tmp_path / ".new" / "examples.npz").write_text("half")
    assert numbers(Comparison.load(tmp_path)) == {1}
    numbered(2).save(tmp_path)
    assert set(contents(tmp_path)) == before
    assert numbers(Comparison.load(tmp_path)) == {2}


def test_loading_writes_nothing(tmp_path):
    """So that folders on disks without write access can be loaded."""
    numbered(1).save(tmp_path / "saved")
    shutil.copytree(tmp_path / "saved", tmp_path / "copy", ignore=shutil.ignore_patterns(".lock"))
    before = os.stat(tmp_path / "copy").st_mtime_ns
    Comparison.load(tmp_path / "copy")
    assert os.stat(tmp_path / "copy").st_mtime_ns == before
    assert set(contents(tmp_path / "copy")) == {*FILES, SUMS}


@pytest.mark.parametrize("name", FILES)
def test_files_of_two_comparisons_are_not_mixed(tmp_path, name):
    for number in (1, 2):
        numbered(number).save(tmp_path / str(number))
    shutil.copy(tmp_path / "2" / name, tmp_path / "1" / name)
    with pytest.raises(ValueError, match=rf"missing or not as they were saved \({name}\); save the comparison again"):
        Comparison.load(tmp_path / "1")
    (tmp_path / "1" / name).unlink()
    with pytest.raises(ValueError, match=rf"missing or not as they were saved \({name}\)"):
        Comparison.load(tmp_path / "1")


def test_checksums_are_needed(tmp_path):
    numbered(1).save(tmp_path)
    whole = (tmp_path / SUMS).read_text()
    (tmp_path / SUMS).write_text(whole[: whole.index("settings")])
    with pytest.raises(ValueError, match=r"\(SHA256SUMS, examples.npz, settings.json\)"):
        Comparison.load(tmp_path)
    (tmp_path / SUMS).unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no SHA256SUMS; pass a folder that Comparison.save has written"):
        Comparison.load(tmp_path)


def test_a_file_that_the_system_does_not_read(tmp_path):
    numbered(1).save(tmp_path)
    (tmp_path / "scores.csv").unlink()
    (tmp_path / "scores.csv").mkdir()
    with pytest.raises(ValueError, match=r"cannot be read \(.*Is a directory.*\); mend that, or pass a copy"):
        Comparison.load(tmp_path)


def middle_flipped(data):
    return data[: len(data) // 2] + bytes(255 - byte for byte in data[len(data) // 2 :][:40]) + data[len(data) // 2 + 40 :]


BROKEN = [
    ("scores.csv", lambda data: b"", "'scores.csv', which cannot be read"),
    ("scores.csv", lambda data: b"metric,method", r"scores lack the columns \['image'"),
    ("scores.csv", lambda data: data + b"\xff,", "'scores.csv', which cannot be read"),
    ("scores.csv", lambda data: data.replace(b'"p",0,', b'"p",x,'), "scores hold what is no number"),
    ("scores.csv", lambda data: data.replace(b'"p",0,', b'"p",1' + b"0" * 30 + b","), "scores hold what is no number"),
    ("scores.csv", lambda data: data.replace(b",1.0,", b",one,"), "'scores.csv', which cannot be read"),
    ("metrics.csv", lambda data: b"a\n1", "metrics lack the columns"),
    ("settings.json", lambda data: b"{", "'settings.json', which cannot be read"),
    ("settings.json", lambda data: b"[]", r"settings=\[\] must be a dict"),
    ("settings.json", lambda data: b"\xff", "'settings.json', which cannot be read"),
    ("settings.json", lambda data: b"[" * 100_000, r"'settings.json', which cannot be read \(RecursionError"),
    ("examples.npz", lambda data: b"", "'examples.npz', which cannot be read"),
    ("examples.npz", lambda data: b"x", "'examples.npz', which cannot be read"),
    ("examples.npz", lambda data: data[:-40], "'examples.npz', which cannot be read"),
    ("examples.npz", middle_flipped, "'examples.npz', which cannot be read"),
]


@pytest.mark.parametrize(("name", "spoil", "message"), BROKEN)
def test_files_that_are_broken_but_signed(tmp_path, name, spoil, message):
    numbered(1).save(tmp_path)
    spoilt = spoil((tmp_path / name).read_bytes())
    (tmp_path / name).write_bytes(spoilt)
    sign(tmp_path)
    with pytest.raises(ValueError, match=message):
        Comparison.load(tmp_path)


def test_examples_that_are_something_else(tmp_path):
    numbered(1).save(tmp_path)
    np.savez(tmp_path / "examples.npz", header=np.array('{"kind": "tuple", "items": []}'))
    sign(tmp_path)
    with pytest.raises(ValueError, match=r"'examples.npz', which cannot be read .*describes a tuple, not Examples"):
        Comparison.load(tmp_path)


def damaged(data, draw):
    """Shortened, with changed bytes, or with a part that occurs twice."""
    kind, start = draw.integers(3), int(draw.integers(len(data)))
    if kind == 0:
        return data[:start]
    if kind == 1:
        return data[:start] + data[start // 2 :]
    values = bytearray(data)
    for place in draw.integers(len(data), size=3):
        values[place] ^= int(draw.integers(1, 256))
    return bytes(values)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("signed", [False, True])
def test_damage_is_a_value_error_or_nothing(tmp_path, signed):
    draw = np.random.default_rng(0)
    numbered(1).save(tmp_path)
    whole = contents(tmp_path)
    for _ in range(25):
        name = [*FILES, SUMS][draw.integers(4 if signed else 5)]
        (tmp_path / name).write_bytes(damaged(whole[name], draw))
        if signed:
            sign(tmp_path)
        with contextlib.suppress(ValueError):
            loaded = Comparison.load(tmp_path)
            assert signed or numbers(loaded) == {1}
        (tmp_path / name).write_bytes(whole[name])
    sign(tmp_path)
    assert numbers(Comparison.load(tmp_path)) == {1}


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1", "'=1", "''", "'"]


def test_a_spreadsheet_shows_names_and_runs_none(tmp_path):
    scores = {metric: {method: [-0.5] for method in FORMULAS} for metric in FORMULAS}
    failures = {(name, name): name for name in FORMULAS}
    made = comparison(scores, {name: (name, "higher") for name in FORMULAS}, failures=failures)
    made.save(tmp_path)
    for name, n_texts in (("scores.csv", 2), ("metrics.csv", 2)):
        with (tmp_path / name).open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))[1:]
        cells = [cell for row in rows for cell in (*row[:n_texts], row[-1])]
        assert {cell[:1] for cell in cells} <= {"'", "n", ""}  # n_masks=500
    loaded = Comparison.load(tmp_path)
    assert loaded.scores.equals(made.scores)
    assert loaded.metrics.equals(made.metrics)


def test_texts_that_utf8_cannot_hold(tmp_path):
    """A name is refused at once; what comes from elsewhere is kept, or told in other letters."""
    with pytest.raises(ValueError, match=r"scores hold 'a\\ud800', which cannot be written in UTF-8 \(surrogates not allowed"):
        comparison({"SenC": {"a\ud800": [1.0]}})
    made = comparison({"SenC": {"p": [1.0]}}, settings={"data": "images\udcff.npz"})
    made.save(tmp_path)
    assert Comparison.load(tmp_path).settings == made.settings
    assert "images\\udcff.npz" in made.report(tmp_path / "page.html").read_text(encoding="utf-8")


def test_settings_that_json_cannot_hold(tmp_path):
    circle = []
    circle.append(circle)
    with pytest.raises(TypeError, match="settings hold what JSON cannot"):
        typical(settings={"circle": circle}).save(tmp_path)
    assert contents(tmp_path) == {}
