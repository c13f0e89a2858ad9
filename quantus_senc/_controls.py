"""Explanations that explain nothing: what no metric of explanations should prefer to an explanation."""

from collections.abc import Callable
from typing import Any

from quantus_senc._control_gaussians import explain_blob as explain_blob
from quantus_senc._control_gaussians import explain_blurred_noise as explain_blurred_noise
from quantus_senc._control_inputs import explain_input as explain_input
from quantus_senc._control_inputs import explain_sobel as explain_sobel
from quantus_senc._control_noise import explain_fixed_random as explain_fixed_random
from quantus_senc._control_noise import explain_random as explain_random

CONTROLS: dict[str, Callable[..., Any]] = {
    "random": explain_random,
    "fixed random": explain_fixed_random,
    "blurred noise": explain_blurred_noise,
    "Sobel": explain_sobel,
    "blob": explain_blob,
    "input": explain_input,
}
