"""The explanation methods of the paper (section 4)."""

from typing import Any

STEPS = 10  # of Integrated Gradients; Captum's default of 50 takes five times as long
PAPER_METHODS: dict[str, Any] = {
    "VB": {"method": "Saliency"},
    "GB": {"method": "GuidedBackprop"},
    "IG": {"method": "IntegratedGradients", "n_steps": STEPS},
    "LRP": {"method": "LRP"},
    "Grad-CAM": {"method": "GradCAM"},
    "DeepLift": {"method": "DeepLift"},
}
BASELINE = {"random": "random"}  # the paper's random mask for each image
