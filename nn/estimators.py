"""Multi-layer perceptrons as scikit-learn estimators, which work in its pipelines, searches and validations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np

import autodiff as ad
from nn import functional, optim
from nn.activations import Activation
from nn.checks import check_choice
from nn.layers import MLP
from nn.training import LossName, fit

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin  # type: ignore[import-untyped]
    from sklearn.utils import check_random_state  # type: ignore[import-untyped]
    from sklearn.utils.multiclass import check_classification_targets  # type: ignore[import-untyped]
    from sklearn.utils.validation import check_is_fitted, validate_data  # type: ignore[import-untyped]
except ImportError:
    raise ImportError(
        'nn.Classifier and nn.Regressor need scikit-learn: pip install -e ".[demos]" "scikit-learn>=1.6"'
    ) from None

_OPTIMIZERS: dict[str, Any] = {"adam": optim.Adam, "sgd": optim.SGD}


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """What both estimators share: their parameters, and the training."""

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (100,),
        activation: Activation = "relu",
        *,
        optimizer: Literal["adam", "sgd"] = "adam",
        lr: float = 1e-3,
        epochs: int = 100,
        batch_size: int = 32,
        weight_decay: float = 0.0,
        random_state: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.optimizer = optimizer
        self.lr = lr
        self.epochs = epochs
        self.batch_size = batch_size
        self.weight_decay = weight_decay
        self.random_state = random_state

    def _train(self, X: Any, targets: Any, outputs: int, loss: LossName) -> Self:
        """Make the model and train it."""
        name = type(self).__name__
        check_choice(name, "optimizer", self.optimizer, _OPTIMIZERS)
        if not hasattr(self.hidden_layer_sizes, "__len__"):
            raise TypeError(
                f"{name}: hidden_layer_sizes must list the sizes, as in (100,), got {self.hidden_layer_sizes!r}"
            )
        # scikit-learn's generators are of another kind than the model's
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        # Double precision: a row's prediction must not depend on the rows beside it, to scikit-learn's 1e-7
        model = MLP([X.shape[1], *self.hidden_layer_sizes, outputs], self.activation, rng=rng, dtype=np.float64)
        optimizer = _OPTIMIZERS[self.optimizer](model.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        self.history_ = fit(
            model,
            X,
            targets,
            loss=loss,
            optimizer=optimizer,
            epochs=self.epochs,
            batch_size=self.batch_size,
            rng=rng,
        )
        self.model_ = model
        return self

    def _outputs(self, X: Any) -> Any:
        """Give the model's outputs for inputs that scikit-learn has checked."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        with ad.no_grad():
            return self.model_(X).data


class Classifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """Multi-layer perceptron that classifies, as a scikit-learn estimator.

    A thin layer around `MLP`, `fit` and `functional.cross_entropy`; labels may be of any type. Scale the inputs first,
    as with scikit-learn's ``StandardScaler``. It computes in double precision.

    Args:
        hidden_layer_sizes: size of each hidden layer.
        activation: as for `MLP`.
        optimizer: "adam" or "sgd".
        lr: learning rate, positive.
        epochs: how often every row is seen, positive.
        batch_size: rows a step, positive.
        weight_decay: not negative; ``weight_decay p`` is added to the gradient of each parameter ``p``.
        random_state: a seed, a ``numpy.random.RandomState`` or None, for the first weights and the order of the rows.

    Attributes:
        classes_: the labels, sorted.
        history_: the `History` of the training.
        model_: the `MLP`, whose outputs are logits in the order of ``classes_``.
        n_features_in_: number of features of an input.

    Raises:
        ImportError: scikit-learn is not installed.
        TypeError: in `fit`, a parameter is of the wrong type.
        ValueError: in `fit`, a parameter is outside its domain, or X or y is not what scikit-learn accepts.

    Example:
        >>> import nn
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn.preprocessing import StandardScaler
        >>> X, y = load_iris(return_X_y=True)
        >>> estimator = make_pipeline(StandardScaler(), nn.Classifier((16,), lr=0.01, epochs=30, random_state=0))
        >>> estimator.fit(X, y).score(X, y) > 0.95
        True
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Train on inputs of shape ``(N, features)`` and labels of shape ``(N,)``; returns the estimator."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) == 1:
            raise ValueError(
                f"Classifier: y has only one class, {self.classes_.tolist()[0]!r}, and there is nothing to learn"
            )
        return self._train(X, labels, len(self.classes_), "cross_entropy")

    def predict(self, X: Any) -> Any:
        """Give the most probable label of each row, of shape ``(N,)``."""
        best = np.argmax(self._outputs(X), axis=1)
        return self.classes_[best]

    def predict_proba(self, X: Any) -> Any:
        """Give the probability of each class, in the order of ``classes_``, of shape ``(N, classes)``."""
        return functional.softmax(self._outputs(X))


class Regressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """Multi-layer perceptron that predicts numbers, as a scikit-learn estimator.

    A thin layer around `MLP`, `fit` and `functional.mse_loss`. Scale the inputs first, and targets that are far from 1
    too, as with scikit-learn's ``TransformedTargetRegressor``. It computes in double precision.

    Args:
        hidden_layer_sizes: size of each hidden layer.
        activation: as for `MLP`.
        optimizer: "adam" or "sgd".
        lr: learning rate, positive.
        epochs: how often every row is seen, positive.
        batch_size: rows a step, positive.
        weight_decay: not negative; ``weight_decay p`` is added to the gradient of each parameter ``p``.
        random_state: a seed, a ``numpy.random.RandomState`` or None, for the first weights and the order of the rows.

    Attributes:
        history_: the `History` of the training.
        model_: the `MLP`, with an output for each target.
        n_features_in_: number of features of an input.

    Raises:
        ImportError: scikit-learn is not installed.
        TypeError: in `fit`, a parameter is of the wrong type.
        ValueError: in `fit`, a parameter is outside its domain, or X or y is not what scikit-learn accepts.

    Example:
        >>> import nn
        >>> X = np.linspace(-1, 1, 100)[:, None]
        >>> estimator = nn.Regressor((32,), "tanh", lr=0.02, epochs=100, random_state=0)
        >>> estimator.fit(X, np.sin(3 * X[:, 0])).score(X, np.sin(3 * X[:, 0])) > 0.95
        True
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Train on inputs of shape ``(N, features)`` and targets ``(N,)`` or ``(N, targets)``; returns the estimator.

        Predictions have the shape of the targets.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        self._single = y.ndim == 1
        targets = np.asarray(y, dtype=np.float64).reshape(len(X), -1)
        return self._train(X, targets, targets.shape[1], "mse_loss")

    def predict(self, X: Any) -> Any:
        """Give the prediction for each row, of shape ``(N,)`` or ``(N, targets)`` as the targets were."""
        outputs = self._outputs(X)
        return outputs[:, 0] if self._single else outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
