"""Controls: explanation methods that carry no information about the model, as baselines for metrics."""

from collections.abc import Callable
from typing import Any

from quantus_senc.controls.noise import explain_blurred_noise as explain_blurred_noise
from quantus_senc.controls.noise import explain_fixed_random as explain_fixed_random
from quantus_senc.controls.noise import explain_random as explain_random
from quantus_senc.controls.patterns import explain_blob as explain_blob
from quantus_senc.controls.patterns import explain_input as explain_input
from quantus_senc.controls.patterns import explain_sobel as explain_sobel

CONTROLS: dict[str, Callable[..., Any]] = {
    "random": explain_random,
    "fixed random": explain_fixed_random,
    "blurred noise": explain_blurred_noise,
    "Sobel": explain_sobel,
    "blob": explain_blob,
    "input": explain_input,
}
