"""The device under test: that of the environment variable SENC_TEST_DEVICE, such as `xla:0` or `mps`; CUDA without one."""

import os

import pytest
import torch

NAME = os.environ.get("SENC_TEST_DEVICE", "cuda")


def _available():
    try:
        if NAME.startswith("xla"):
            import torch_xla  # noqa: F401  which registers the device
        torch.zeros(1, device=NAME)
    except (AssertionError, ImportError, RuntimeError, NotImplementedError):
        return False
    return True


def pytest_collection_modifyitems(items):
    if any("devices" in item.path.parts for item in items) and not _available():
        skip = pytest.mark.skip(reason=f"no device {NAME!r} here")
        for item in items:
            if "devices" in item.path.parts:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def device():
    return torch.device(NAME)


@pytest.fixture(autouse=True)
def _full_precision():
    """No TF32 in products and convolutions, whose results would differ from the CPU's by 1e-3."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
