"""What holds for every test. Nothing is imported before it is needed: the process that starts the others runs no test."""

import os

os.environ["PYTEST"] = "1"  # Quantus shows no progress bars then
os.environ["OMP_NUM_THREADS"] = "1"  # tests run in a process a core

import pytest


def pytest_sessionstart(session):
    if session.config.getoption("dist", "no") == "no":  # in a process that runs tests
        from tests import guard

        guard.install()


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(request):
    from tests import guard

    marker = request.node.get_closest_marker("unwatched")
    with guard.watching(marker.args if marker else ()):
        yield


@pytest.fixture(autouse=True)
def _seeded():
    import torch

    torch.default_generator.manual_seed(0)  # the CPU's alone: without CUDA, `torch.manual_seed` notes a stack trace for later
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(0)
