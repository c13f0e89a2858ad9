"""Fixtures that stand in for those of Quantus's tests, which need TensorFlow, trained weights and the network."""

import numpy as np
import pytest
import torch
from quantus.helpers.model.models import LeNet

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def load_mnist_model():
    torch.manual_seed(0)
    return LeNet().eval()


@pytest.fixture(scope="session")
def load_mnist_images():
    return {"x_batch": np.random.default_rng(0).random((8, 1, 28, 28)), "y_batch": np.arange(8)}
