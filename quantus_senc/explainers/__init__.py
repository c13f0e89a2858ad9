"""`quantus_senc.explain`: explanation methods, most of them by Captum.

Those of the package shap are a function of a few lines, for metrics and `compare` alike. It explains one image at a time from
the same seed, so that a map is a function of its image::

    def explain_shap(model, inputs, targets, background, device=None):
        explainer = shap.GradientExplainer(model, background)
        values = [explainer.shap_values(image[None], nsamples=50, rseed=0)[0] for image in inputs]
        return np.stack([value[..., target] for value, target in zip(values, targets.tolist())])

    compare(model, x, y, methods={"SHAP": (explain_shap, {"background": x_train[:50]}), "Saliency": "Saliency"})
"""
