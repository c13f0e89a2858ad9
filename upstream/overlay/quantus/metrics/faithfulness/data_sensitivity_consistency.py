"""This module contains the implementation of the Data Sensitivity Consistency metric."""

# This file is part of Quantus, which is free software under the terms of the GNU Lesser General Public License,
# version 3 or (at your option) any later version. It comes WITHOUT ANY WARRANTY. See COPYING.LESSER.
# Quantus project URL: <https://github.com/understandable-machine-intelligence-lab/Quantus>.

import warnings
from typing import Any, Callable, Dict, List, Optional, Tuple, Union, final

import numpy as np

from quantus.helpers import sensitivity_utils, utils, warn
from quantus.helpers.enums import (
    DataType,
    EvaluationCategory,
    ModelType,
    ScoreDirection,
)
from quantus.helpers.model.model_interface import ModelInterface
from quantus.metrics.base import Metric


class SensitivityConsistency(Metric[List[Any]]):
    """
    What data and parameter SenC share. They differ in what masks eliminate.

    Assumptions:
        - The original explanation is computed by explain_func, like those under masks. A given a_batch is not used.
        - Predictions are softmax probabilities, as in the paper, unless softmax=False is passed.
        - explain_func gives the same attribution whenever it is given the same input, whatever else is in the batch.
        - There is no score (NaN) where an attribution is constant, all features are equally sensitive, or, with the
          regression, no mask changes the prediction or the explanation.

    References:
        1) Hanxiao Tan: "Evaluating Sensitivity Consistency of Explanations." WACV (2025).
    """

    def __init__(
        self,
        n_masks: int,
        mask_rate: float,
        estimator: str,
        top_k: Optional[int],
        seed: int,
        sensitive_params: str,
        abs: bool = False,
        normalise: bool = False,
        normalise_func: Optional[Callable[[np.ndarray], np.ndarray]] = None,
        normalise_func_kwargs: Optional[Dict[str, Any]] = None,
        return_aggregate: bool = False,
        aggregate_func: Optional[Callable] = None,
        default_plot_func: Optional[Callable] = None,
        disable_warnings: bool = False,
        display_progressbar: bool = False,
        **kwargs,
    ):
        """
        Store the parameters that the metrics share.

        Parameters
        ----------
        n_masks: integer
            The number of masks, at least 2.
        mask_rate: float
            The probability with which a mask eliminates a feature, in (0, 1).
        estimator: string
            "paper" or "regression".
        top_k: integer, optional
            How many of the most sensitive features are compared. If None, the ranks of all are correlated.
        seed: integer
            The seed of the masks, in [0, 2^64).
        sensitive_params: string
            The parameters that users are warned of.
        abs, normalise, normalise_func, normalise_func_kwargs: optional
            See Metric. By default attributions are ranked as they are; each is normalised by itself.
        return_aggregate, aggregate_func, default_plot_func: optional
            See Metric. By default there is one score for each input.
        disable_warnings, display_progressbar, kwargs: optional
            See Metric.
        """
        super().__init__(
            abs=abs,
            normalise=normalise,
            normalise_func=normalise_func,
            normalise_func_kwargs=normalise_func_kwargs,
            return_aggregate=return_aggregate,
            aggregate_func=aggregate_func,
            default_plot_func=default_plot_func,
            display_progressbar=display_progressbar,
            disable_warnings=disable_warnings,
            **kwargs,
        )

        # Save metric-specific attributes.
        self.n_masks = n_masks
        self.mask_rate = mask_rate
        self.estimator = estimator
        self.top_k = top_k
        self.seed = seed

        # Asserts and warnings.
        if n_masks < 2:
            raise ValueError(f"n_masks={n_masks} must be at least 2.")
        if not 0 < mask_rate < 1:
            raise ValueError(f"mask_rate={mask_rate} must lie between 0 and 1.")
        if estimator not in ("paper", "regression"):
            raise ValueError(
                f"estimator={estimator!r} must be 'paper' or 'regression'."
            )
        if top_k is not None and top_k < 1:
            raise ValueError(f"top_k={top_k} must be None or at least 1.")
        if not self.disable_warnings:
            warn.warn_parameterisation(
                metric_name=self.__class__.__name__,
                sensitive_params=sensitive_params,
                citation=(
                    "Tan, Hanxiao. 'Evaluating Sensitivity Consistency of Explanations.' Proceedings of the IEEE/CVF "
                    "Winter Conference on Applications of Computer Vision (2025)"
                ),
            )

    def __call__(
        self,
        model,
        x_batch: np.ndarray,
        y_batch: np.ndarray,
        a_batch: Optional[np.ndarray] = None,
        s_batch: Optional[np.ndarray] = None,
        channel_first: Optional[bool] = None,
        explain_func: Optional[Callable] = None,
        explain_func_kwargs: Optional[Dict] = None,
        model_predict_kwargs: Optional[Dict] = None,
        softmax: Optional[bool] = True,
        device: Optional[str] = None,
        batch_size: int = 64,
        custom_batch: Optional[np.ndarray] = None,
        **kwargs,
    ) -> List[Any]:
        """
        Evaluate the explanations of some inputs. Parameters that are not listed are those of Metric.__call__.

        Parameters
        ----------
        a_batch, s_batch: optional
            Not used. The original has to be explained in the same way as what masks leave of it.
        explain_func: callable
            The explanation method. It is called for many inputs at a time.
        softmax: boolean
            Whether predictions are softmax probabilities, as in the paper, or logits, default=True.
        custom_batch: np.ndarray, optional
            For the data metric: labels of the features of each input, of the shape of x_batch without channels.

        Returns
        -------
        evaluation_scores: list
            One score for each input, in [-1, 1], or in [0, 1] with top_k. NaN where it is undefined.
        """
        return super().__call__(
            model=model,
            x_batch=x_batch,
            y_batch=y_batch,
            a_batch=None,
            s_batch=s_batch,
            custom_batch=custom_batch,
            channel_first=channel_first,
            explain_func=explain_func,
            explain_func_kwargs=explain_func_kwargs,
            softmax=softmax,
            device=device,
            model_predict_kwargs=model_predict_kwargs,
            batch_size=batch_size,
            **kwargs,
        )

    def explain_rows(
        self, model: ModelInterface, x_batch: np.ndarray, y_batch: np.ndarray
    ) -> np.ndarray:
        """
        Explain inputs, normalise each map by itself and take absolute values, if asked for.

        Other than in explain_batch, a constant map is no error, since masks may well lead to one.

        Parameters
        ----------
        model: ModelInterface
            A ModelInterface that is subject to explanation.
        x_batch: np.ndarray
            The inputs.
        y_batch: np.ndarray
            The classes that are explained.

        Returns
        -------
        np.ndarray
            The attributions, one row for each input.
        """
        inputs = model.shape_input(
            x_batch, x_batch.shape, channel_first=True, batched=True
        )
        a_batch = self.explain_func(
            model=model.get_model(),
            inputs=inputs,
            targets=y_batch,
            **self.explain_func_kwargs,
        )
        if self.normalise:
            with np.errstate(all="ignore"):
                maps = [self.normalise_func(a[None].copy()) for a in a_batch]
            a_batch = np.concatenate(maps)
        a_batch = np.abs(a_batch) if self.abs else np.asarray(a_batch)
        return a_batch.reshape(len(a_batch), -1)

    def predict(
        self, model: ModelInterface, x_batch: np.ndarray, y_batch: np.ndarray
    ) -> np.ndarray:
        """
        Predict the explained class of each input.

        Parameters
        ----------
        model: ModelInterface
            A ModelInterface that is subject to explanation.
        x_batch: np.ndarray
            The inputs.
        y_batch: np.ndarray
            The classes that are explained.

        Returns
        -------
        np.ndarray
            The predictions.
        """
        x_input = model.shape_input(
            x_batch, x_batch.shape, channel_first=True, batched=True
        )
        return model.predict(x_input)[np.arange(len(x_batch)), y_batch]

    def weigh(
        self,
        model: ModelInterface,
        x_batch: np.ndarray,
        y_batch: np.ndarray,
        predictions: np.ndarray,
        a_batch: np.ndarray,
    ) -> np.ndarray:
        """
        Weigh masks by what they leave: how little does the prediction change, how similar stays the explanation?

        Parameters
        ----------
        model: ModelInterface
            A ModelInterface that is subject to explanation.
        x_batch: np.ndarray
            The inputs, one for each mask.
        y_batch: np.ndarray
            The classes that are explained.
        predictions: np.ndarray
            The predictions without masks, one for each input or for all.
        a_batch: np.ndarray
            The attributions without masks, one row for each input or for all.

        Returns
        -------
        np.ndarray
            1 - absolute change of the prediction, and rank correlation of the attributions, of shape (n, 2). The
            correlation is 0 where an attribution becomes constant, and NaN where it was constant before.
        """
        changes = np.abs(predictions - self.predict(model, x_batch, y_batch))
        masked = self.explain_rows(model, x_batch, y_batch)
        similarity = sensitivity_utils.spearman(
            np.broadcast_to(a_batch, masked.shape), masked
        )
        varies = a_batch.max(axis=1) > a_batch.min(axis=1)
        becomes_constant = varies & (masked.max(axis=1) == masked.min(axis=1))
        similarity = np.where(becomes_constant, 0.0, similarity)
        return np.stack([1 - changes.astype(np.float64), similarity], axis=1)

    def draw_masks(
        self, free: np.ndarray, stream: int
    ) -> Tuple[np.ndarray, np.ndarray]:
        """
        Draw masks in which each feature is eliminated independently.

        The regression takes all masks instead, each by its probability, if these are no more.

        Parameters
        ----------
        free: np.ndarray
            Whether the elimination of a feature can change anything, of shape (n_features,).
        stream: integer
            What the masks are drawn for, in [0, 2^64).

        Returns
        -------
        masks: np.ndarray
            The masks, of shape (n, n_features). True keeps a feature, False eliminates it.
        probabilities: np.ndarray
            How much each mask counts, of shape (n,).
        """
        n_free = int(free.sum())
        if self.estimator == "paper" or 2**n_free > self.n_masks:
            words = sensitivity_utils.random_words(
                self.seed, stream, self.n_masks, len(free)
            )
            masks = words >= round(self.mask_rate * 2**32)
            return masks, np.full(self.n_masks, 1 / self.n_masks)
        masks = np.ones((2**n_free, len(free)), dtype=bool)
        masks[:, free] = np.arange(2**n_free)[:, None] >> np.arange(n_free) & 1
        n_kept = masks[:, free].sum(axis=1)
        kept_rate = 1 - self.mask_rate
        return masks, self.mask_rate ** (n_free - n_kept) * kept_rate**n_kept

    def score(
        self,
        masks: np.ndarray,
        probabilities: np.ndarray,
        free: np.ndarray,
        weights: np.ndarray,
        prediction: float,
    ) -> float:
        """
        Score one input: are its prediction and its explanation sensitive to the same features?

        Parameters
        ----------
        masks, probabilities: np.ndarray
            See draw_masks.
        free: np.ndarray
            Whether the elimination of a feature can change anything, of shape (n_features,).
        weights: np.ndarray
            See weigh.
        prediction: float
            The prediction without masks.

        Returns
        -------
        float
            The score; NaN where it is undefined.
        """
        if len(free) < max(2, self.top_k or 0) or np.isnan(weights).any():
            return np.nan
        largest = abs(prediction) + 1 - weights[:, 0].min()
        rounding = 2.0**-23 * np.array([16 * largest, 160])
        if self.estimator == "paper":
            sensitivities = weights.T @ masks
        else:
            if (np.ptp(weights, axis=0) <= 2 * rounding).any():
                return np.nan  # No mask changes the prediction, or the explanation.
            sensitivities = np.zeros((2, len(free)))
            sensitivities[:, free] = sensitivity_utils.regress(
                masks[:, free], weights, probabilities, self.mask_rate
            )
            if np.isnan(sensitivities).any():
                return np.nan  # The masks do not tell the features apart.
        tolerances = sensitivity_utils.tie_tolerances(
            rounding,
            largest,
            len(masks),
            int(free.sum()),
            self.mask_rate,
            self.estimator,
        )
        tied = np.stack(
            [
                sensitivity_utils.merge_ties(values, tolerance)
                for values, tolerance in zip(sensitivities, tolerances)
            ]
        )
        score = float(sensitivity_utils.spearman(*tied))
        if self.top_k is None or np.isnan(score):
            return score
        best = np.argsort(-tied, axis=1, kind="stable")[:, : self.top_k]
        return len(np.intersect1d(*best)) / self.top_k

    def custom_postprocess(self, **kwargs) -> None:
        """
        Warn of undefined scores.

        Parameters
        ----------
        kwargs: optional
            Unused.
        """
        n_undefined = sum(
            np.isnan(list(score.values()) if isinstance(score, dict) else score).any()
            for score in self.evaluation_scores
        )
        if n_undefined:
            warnings.warn(
                f"{self.name} is NaN for {n_undefined} of {len(self.evaluation_scores)} inputs: an attribution is "
                "constant or not finite, there are too few features, all features are equally sensitive, or (with "
                "estimator='regression') no mask changes the prediction or the explanation.",
                category=UserWarning,
            )


@final
class DataSensitivityConsistency(SensitivityConsistency):
    """
    Implementation of Sensitivity Consistency (SenC) to input features by Tan, 2025.

    Random groups of features (superpixels, windows, columns) are eliminated. A feature is sensitive for the prediction
    if masks that keep it keep the confidence, and sensitive for the explanation if they keep the ranks of the
    attributions. The score is the rank correlation of the two sensitivities over the features.

    Assumptions (see SensitivityConsistency for others):
        - s_batch is not used. Pass labels of features, 0, 1, ..., as custom_batch, or let the inputs be segmented.
        - Masks are a function of the seed, the place of the input in x_batch, the number of the mask and the feature,
          so that the batch size changes nothing.

    References:
        1) Hanxiao Tan: "Evaluating Sensitivity Consistency of Explanations." WACV (2025), Algorithm 1.

    Attributes:
        - _name: The name of the metric.
        - _data_applicability: The data types that the metric implementation currently supports.
        - _models: The model types that this metric can work with.
        - score_direction: Whether higher or lower scores are better.
        - evaluation_category: What property of an explanation this metric measures.
    """

    name = "Data Sensitivity Consistency"
    data_applicability = {DataType.IMAGE, DataType.TIMESERIES, DataType.TABULAR}
    model_applicability = {ModelType.TORCH, ModelType.TF}
    score_direction = ScoreDirection.HIGHER
    evaluation_category = EvaluationCategory.FAITHFULNESS

    def __init__(
        self,
        n_masks: int = 5000,
        mask_rate: float = 0.8,
        estimator: str = "paper",
        top_k: Optional[int] = None,
        segment_func: Optional[Callable] = None,
        segment_func_kwargs: Optional[Dict[str, Any]] = None,
        perturb_baseline: Union[float, str] = 0.0,
        max_batch_size: int = 64,
        seed: int = 42,
        **kwargs,
    ):
        """
        Rank correlation of the sensitivities of prediction and explanation to the same input features.
        Scores lie between -1 and 1, and higher is better: with 1, what matters to the prediction is what matters to
        the explanation, with 0 the two are unrelated.

        Parameters
        ----------
        n_masks: integer
            The number of masks for each input, default=5000.
        mask_rate: float
            The probability with which a mask eliminates a feature, default=0.8.
        estimator: string
            "paper" for the weighted sums of the paper, which share the noise of the masks; or "regression" for least
            squares, which tends to the same score without that noise, default="paper".
        top_k: integer, optional
            If given, the score is the share of the top_k most sensitive features in common, in [0, 1], default=None.
        segment_func: callable, optional
            A function from one input (channels, ...) to integer labels of its features. If None, SLIC for images,
            windows for time series and columns for tables, default=None.
        segment_func_kwargs: dict, optional
            Keyword arguments for segment_func, or for SLIC (and 'pixels_per_segment', 50), default={}.
        perturb_baseline: float or string
            What an eliminated feature shows: a number, "mean", "uniform", "black" or "white", default=0.0.
        max_batch_size: integer
            How many masked inputs are predicted and explained at a time, default=64.
        seed: integer
            The seed of the masks, default=42.
        kwargs: optional
            Keyword arguments of SensitivityConsistency: abs, normalise, return_aggregate, disable_warnings, ...
        """
        super().__init__(
            n_masks=n_masks,
            mask_rate=mask_rate,
            estimator=estimator,
            top_k=top_k,
            seed=seed,
            sensitive_params=(
                "number of masks 'n_masks', probability of elimination 'mask_rate', estimator 'estimator', "
                "features 'segment_func' and baseline value 'perturb_baseline'"
            ),
            **kwargs,
        )
        self.segment_func = segment_func
        self.segment_func_kwargs = segment_func_kwargs or {}
        self.perturb_baseline = perturb_baseline
        self.max_batch_size = max_batch_size

    def custom_preprocess(
        self,
        x_batch: np.ndarray,
        custom_batch: Optional[np.ndarray],
        **kwargs,
    ) -> Dict[str, Any]:
        """
        Label the features of the inputs, and number the inputs.

        Parameters
        ----------
        x_batch: np.ndarray
            The inputs.
        custom_batch: np.ndarray, optional
            Labels of features.
        kwargs: optional
            Unused.

        Returns
        -------
        dict
            Labels of features, the number of each input, and a stand-in for attributions.
        """
        if custom_batch is None:
            features = [
                sensitivity_utils.label_features(
                    x, self.segment_func, **self.segment_func_kwargs
                )
                for x in x_batch
            ]
        else:
            features = [
                sensitivity_utils.label_features(x, lambda _: labels)
                for x, labels in zip(x_batch, custom_batch)
            ]
        return {
            # The stand-in keeps Metric from calling explain_batch, to which a constant map is an error.
            "a_batch": x_batch,
            "features_batch": np.stack(features),
            "number_batch": np.arange(len(x_batch)),
        }

    def evaluate_batch(
        self,
        model: ModelInterface,
        x_batch: np.ndarray,
        y_batch: np.ndarray,
        features_batch: np.ndarray,
        number_batch: np.ndarray,
        **kwargs,
    ) -> List[float]:
        """
        Evaluate the explanations of a batch of inputs.

        Parameters
        ----------
        model: ModelInterface
            A ModelInterface that is subject to explanation.
        x_batch: np.ndarray
            The inputs.
        y_batch: np.ndarray
            The classes that are explained.
        features_batch: np.ndarray
            The labels of the features.
        number_batch: np.ndarray
            The number of each input.
        kwargs: optional
            Unused.

        Returns
        -------
        list
            One score for each input.
        """
        return [
            self.evaluate_instance(model, *instance)
            for instance in zip(x_batch, y_batch, features_batch, number_batch)
        ]

    def evaluate_instance(
        self,
        model: ModelInterface,
        x: np.ndarray,
        y: int,
        features: np.ndarray,
        number: int,
    ) -> float:
        """
        Evaluate the explanation of one input.

        Parameters
        ----------
        model: ModelInterface
            A ModelInterface that is subject to explanation.
        x: np.ndarray
            The input.
        y: integer
            The class that is explained.
        features: np.ndarray
            The labels of the features.
        number: integer
            The number of the input.

        Returns
        -------
        float
            The score.
        """
        baseline = utils.get_baseline_value(
            self.perturb_baseline, arr=x, return_shape=x.shape
        ).astype(x.dtype)
        differs = (x != baseline).reshape(-1, *features.shape).any(axis=0)
        changing = np.isin(np.arange(features.max() + 1), features[differs])
        # The paper's sums do not know that the other features have no effect.
        free = changing if self.estimator == "regression" else np.ones_like(changing)
        masks, probabilities = self.draw_masks(free, int(number))
        # Masks that leave the same input are run once.
        _, first, inverse = np.unique(
            np.packbits(masks & changing, axis=1),
            axis=0,
            return_index=True,
            return_inverse=True,
        )
        prediction = self.predict(model, x[None], np.array([y]))
        a_batch = self.explain_rows(model, x[None], np.array([y]))
        channels = (1,) * (x.ndim - features.ndim)
        weights = []
        for part in self._passes(len(first)):
            keep = masks[first[part]][:, features]
            keep = keep.reshape(len(keep), *channels, *features.shape)
            x_masked = np.where(keep, x, baseline)
            y_masked = np.full(len(keep), y)
            weights.append(self.weigh(model, x_masked, y_masked, prediction, a_batch))
        weights = np.concatenate(weights)[inverse.ravel()]
        return self.score(masks, probabilities, free, weights, prediction[0])

    def _passes(self, n_inputs: int) -> List[slice]:
        """
        Divide so many inputs in passes of at most max_batch_size.
        """
        size = self.max_batch_size
        return [slice(start, start + size) for start in range(0, n_inputs, size)]
