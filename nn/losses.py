"""Losses as Modules. What each computes, and what its options mean, is said at the function of `functional`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np

import autodiff as ad
from autodiff.core.record import data_of, is_variable
from autodiff.core.rule import Array
from nn import functional
from nn.activations import OfFunction
from nn.functional.losses import Reduction


class LossModule(OfFunction):
    """A loss of `functional` as a Module."""

    is_symmetric: ClassVar[bool] = False  # whether predictions and targets may change places

    def __post_init__(self) -> None:
        """Let the function refuse options: on zeros, of a shape that weights fit."""
        shapes = [np.shape(data_of(value)) for value in self._options().values() if np.ndim(data_of(value))]
        zeros = np.zeros(np.broadcast_shapes((1,), *shapes))
        self.function(zeros, zeros, **self._options())

    def forward(self, input: Array, target: Array, *args: Array) -> ad.Tensor:
        """Compute the loss of predictions and targets, in this order.

        Raises:
            TypeError: the targets require a gradient and the predictions do not, so that they have changed places.
        """
        if is_variable(target) and not is_variable(input) and not self.is_symmetric:
            raise TypeError(
                f"{type(self).__name__}: predictions come first and targets second, but the first requires no gradient "
                f"and the second does: write loss(predictions, targets), or give target.data if they are meant so"
            )
        loss: ad.Tensor = self.function(input, target, *args, **self._options())
        return loss

    def as_function(self) -> Callable[[Any, Any], Any]:
        """Give the function of `functional`, with the options that are not its defaults.

        A loss that may compute something else, that of a subclass or with hooks, is given itself.
        """
        own = vars(type(self)).get("function") and type(self).forward is LossModule.forward
        if not own or self._hooks:
            return self
        options = self._changed()
        return partial(self.function, **options) if options else type(self).function

    def _changed(self) -> dict[str, Any]:
        """Give the options that are not the defaults of the function."""
        known, changed = inspect.signature(self.function).parameters, {}
        for name, value in self._options().items():
            default = known[name].default
            if value is not default and (np.ndim(data_of(value)) or value != default):
                changed[name] = value
        return changed

    def _arguments(self) -> str:
        return ", ".join(
            f"{name}={value!r}" if np.size(value) <= 10 else f"{name}=<{np.shape(value)}>"
            for name, value in self._changed().items()
        )


class MSELoss(LossModule):
    """Squared error; see `functional.mse_loss`.

    Example:
        >>> float(nn.MSELoss()(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
        2.0
    """

    function = staticmethod(functional.mse_loss)
    is_symmetric = True
    reduction: Reduction = "mean"


class L1Loss(LossModule):
    """Absolute error; see `functional.l1_loss`.

    Example:
        >>> float(nn.L1Loss(reduction="sum")(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
        2.0
    """

    function = staticmethod(functional.l1_loss)
    is_symmetric = True
    reduction: Reduction = "mean"


class HuberLoss(LossModule):
    """Squared error of small errors, absolute error of large ones; see `functional.huber_loss`.

    Example:
        >>> float(nn.HuberLoss(delta=2.0)(np.array([10.0]), np.zeros(1)))
        18.0
    """

    function = staticmethod(functional.huber_loss)
    is_symmetric = True
    reduction: Reduction = "mean"
    delta: float = 1.0


class SmoothL1Loss(LossModule):
    """`HuberLoss` divided by its ``delta``; see `functional.smooth_l1_loss`.

    Example:
        >>> float(nn.SmoothL1Loss()(np.array([10.0]), np.zeros(1)))
        9.5
    """

    function = staticmethod(functional.smooth_l1_loss)
    is_symmetric = True
    reduction: Reduction = "mean"
    beta: float = 1.0


class _OfClasses(LossModule):
    def __post_init__(self) -> None:
        weight: Any = self._options()["weight"]
        self.function(np.zeros((1, max(2, np.size(weight)))), np.zeros(1, int), **self._options())


class CrossEntropyLoss(_OfClasses):
    """Softmax cross-entropy of logits and labels; see `functional.cross_entropy`.

    Example:
        >>> loss = nn.CrossEntropyLoss(label_smoothing=0.1)
        >>> loss
        CrossEntropyLoss(label_smoothing=0.1)
        >>> float(loss(np.zeros((3, 2)), np.array([0, 1, 1])).round(4))
        0.6931
    """

    function = staticmethod(functional.cross_entropy)
    weight: Any = None
    ignore_index: int | None = None
    reduction: Reduction = "mean"
    label_smoothing: float = 0.0


class NLLLoss(_OfClasses):
    """Negative log-likelihood of labels, given logarithms of probabilities; see `functional.nll_loss`.

    Example:
        >>> float(nn.NLLLoss()(np.log([[0.25, 0.75]]), np.array([1])).round(4))
        0.2877
    """

    function = staticmethod(functional.nll_loss)
    weight: Any = None
    ignore_index: int | None = None
    reduction: Reduction = "mean"


class BCELoss(LossModule):
    """Cross-entropy of probabilities of two classes; see `functional.binary_cross_entropy`.

    Example:
        >>> float(nn.BCELoss()(np.array([0.5]), np.array([1.0])).round(4))
        0.6931
    """

    function = staticmethod(functional.binary_cross_entropy)
    weight: Any = None
    reduction: Reduction = "mean"


class BCEWithLogitsLoss(LossModule):
    """Sigmoid cross-entropy of logits of two classes; see `functional.binary_cross_entropy_with_logits`.

    Example:
        >>> float(nn.BCEWithLogitsLoss(pos_weight=[3.0])(np.array([0.0]), np.array([1.0])).round(4))
        2.0794
    """

    function = staticmethod(functional.binary_cross_entropy_with_logits)
    weight: Any = None
    reduction: Reduction = "mean"
    pos_weight: Any = None


class KLDivLoss(LossModule):
    """Terms of the Kullback-Leibler divergence, given logarithms of probabilities; see `functional.kl_div`.

    Example:
        >>> float(nn.KLDivLoss(reduction="batchmean")(np.log([[0.5, 0.5]]), np.array([[0.25, 0.75]])).round(4))
        0.1308
    """

    function = staticmethod(functional.kl_div)
    reduction: Reduction | Literal["batchmean"] = "mean"
    log_target: bool = False


class GaussianNLLLoss(LossModule):
    """Negative log-likelihood of normal distributions; see `functional.gaussian_nll_loss`.

    It is called with means, targets and variances.

    Example:
        >>> float(nn.GaussianNLLLoss()(np.array([1.0, 2.0]), np.array([1.0, 4.0]), np.ones(2)))
        1.0
    """

    function = staticmethod(functional.gaussian_nll_loss)
    full: bool = False
    eps: float = 1e-6
    reduction: Reduction = "mean"

    def __post_init__(self) -> None:
        function: Any = self.function
        function(np.zeros(1), np.zeros(1), np.ones(1), **self._options())


class PoissonNLLLoss(LossModule):
    """Negative log-likelihood of Poisson distributions; see `functional.poisson_nll_loss`.

    Example:
        >>> float(nn.PoissonNLLLoss()(np.log([2.0, 2.0]), np.array([2, 1])).round(4))
        0.9603
    """

    function = staticmethod(functional.poisson_nll_loss)
    log_input: bool = True
    full: bool = False
    eps: float = 1e-8
    reduction: Reduction = "mean"
