"""Losses of elements: how far each prediction is from its target, and what all losses share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, get_args, overload

import numpy as np

import autodiff as ad
from autodiff.arrays.whole import require
from autodiff.core.record import data_of, is_variable
from autodiff.core.rule import Array
from autodiff.rules.digits import logistic
from nn.checks import (
    check_choice,
    check_flag,
    check_known,
    check_number,
    check_real,
    check_values,
    with_known_options,
)
from nn.functional.activations import _excess, log_sigmoid

P = ParamSpec("P")
Reduction = Literal["mean", "sum", "none"]
REDUCTIONS: tuple[str, ...] = get_args(Reduction)


class _Loss(Protocol[P]):
    """What type checkers know of a loss: of a Tensor it is one, of arrays it is a number or an array."""

    @overload
    def __call__(self, input: ad.Tensor, *args: P.args, **kwargs: P.kwargs) -> ad.Tensor: ...
    @overload
    def __call__(self, input: Array, *args: P.args, **kwargs: P.kwargs) -> Array: ...


def loss(function: Callable[Concatenate[Array, P], Array]) -> _Loss[P]:
    """Give a function the types of a loss, and let it say which option is meant where there is none of a name."""
    return with_known_options(function)  # type: ignore[arg-type] # its arguments do not say what the result is


def _reduced(losses: Array, reduction: str) -> Array:
    """Reduce the losses of a batch."""
    if reduction == "mean":
        return losses.mean()
    return losses.sum() if reduction == "sum" else losses


def _reduced_by_weight(losses: Array, weights: Array, reduction: str) -> Array:
    if reduction != "mean":
        return _reduced(losses, reduction)
    return losses.sum() / weights.sum() if losses.dtype != np.float16 else losses.mean() / weights.mean()


@ad.primitive
def _share(weight: Array, x: Array) -> Array:
    """``weight * x``, and 0 for a weight of 0, also of an infinity."""
    return weight * np.where(weight == 0, 0, x)


ad.defvjp(_share, lambda g, out, weight, x: g * x, lambda g, out, weight, x: g * weight, elementwise=True)


# Numbers


@loss
def mse_loss(input: Array, target: Array, *, reduction: Reduction = "mean", weight: Array = None) -> Array:
    """Squared error ``(input - target)²``, up to constants the negative log-likelihood of a normal distribution.

    Goodfellow, Bengio and Courville, Deep Learning (2016), section 5.5.1.

    Args:
        input: predictions, of any shape.
        target: of the same shape; it is not broadcast. Integers and lists take the dtype of ``input``.
        reduction: "mean" or "sum" over all elements, or "none".
        weight: a factor of each element's loss, of the same shape; the mean is then weighted too.

    Returns:
        A scalar, or an array of the shape of ``input`` without reduction.

    Raises:
        TypeError: an argument is not real numbers, or an option of the wrong type.
        ValueError: the shapes differ, or the reduction is unknown.

    Example:
        >>> float(nn.functional.mse_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
        2.0
    """
    prediction, target = _pair("mse_loss", input, target, reduction)
    return _mean_by_weight("mse_loss", np.square(prediction - target), weight, reduction)


@loss
def l1_loss(input: Array, target: Array, *, reduction: Reduction = "mean", weight: Array = None) -> Array:
    """Absolute error ``|input - target|``, up to constants the negative log-likelihood of a Laplace distribution.

    Goodfellow, Bengio and Courville, Deep Learning (2016), section 6.2.2.4. Arguments, result and errors are those of
    `mse_loss`.

    Example:
        >>> float(nn.functional.l1_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
        1.0
    """
    prediction, target = _pair("l1_loss", input, target, reduction)
    return _mean_by_weight("l1_loss", np.absolute(prediction - target), weight, reduction)


@loss
def huber_loss(
    input: Array, target: Array, *, reduction: Reduction = "mean", delta: float = 1.0, weight: Array = None
) -> Array:
    """Half the squared error ``d²/2`` of errors up to ``delta``, and beyond it the line ``delta (|d| - delta/2)``.

    Huber, Robust estimation of a location parameter (1964), section 6.

    Args:
        input: predictions, of any shape.
        target: of the same shape; it is not broadcast. Integers and lists take the dtype of ``input``.
        reduction: "mean" or "sum" over all elements, or "none".
        delta: positive.
        weight: a factor of each element's loss, of the same shape; the mean divides by the number of elements still.

    Returns:
        A scalar, or an array of the shape of ``input`` without reduction.

    Raises:
        TypeError: an argument is not real numbers, or an option of the wrong type.
        ValueError: the shapes differ, ``delta`` is not positive, or the reduction is unknown.

    Example:
        >>> nn.functional.huber_loss(np.array([0.5, -10.0]), np.zeros(2), reduction="none")
        array([0.125, 9.5  ])
    """
    check_number("huber_loss", "delta", delta, lambda delta: delta > 0, "positive")
    prediction, target = _pair("huber_loss", input, target, reduction)
    losses = _huber(prediction - target, delta)
    if weight is not None:
        losses = losses * _element_weights("huber_loss", "weight", weight, losses)
    return _reduced(losses, reduction)


@loss
def smooth_l1_loss(input: Array, target: Array, *, reduction: Reduction = "mean", beta: float = 1.0) -> Array:
    """`huber_loss` divided by its ``delta``, here called ``beta``; at 0 it is `l1_loss`.

    Girshick, Fast R-CNN (2015), equation 3.

    Args:
        input: predictions, of any shape.
        target: of the same shape; it is not broadcast. Integers and lists take the dtype of ``input``.
        reduction: "mean" or "sum" over all elements, or "none".
        beta: at least 0; errors up to it are squared.

    Returns:
        A scalar, or an array of the shape of ``input`` without reduction.

    Raises:
        TypeError: an argument is not real numbers, or an option of the wrong type.
        ValueError: the shapes differ, ``beta`` is negative, or the reduction is unknown.

    Example:
        >>> nn.functional.smooth_l1_loss(np.array([0.5, -10.0]), np.zeros(2), reduction="none", beta=0.5)
        array([0.25, 9.75])
    """
    check_number("smooth_l1_loss", "beta", beta, lambda beta: beta >= 0, "at least 0")
    prediction, target = _pair("smooth_l1_loss", input, target, reduction)
    error = prediction - target
    return _reduced(_huber(error, beta) / beta if beta else np.absolute(error), reduction)


def _huber(error: Array, delta: float) -> Array:
    """One expression for both pieces: within delta the clipped error is the error, beyond it is ``±delta``."""
    clipped = np.clip(error, -delta, delta)
    return clipped * (error - clipped / 2)


# Probabilities


def _floored(logarithm: np.ufunc, x: Array, pole: float) -> Array:
    """Give a logarithm that is at least -100, in value and gradient, also at its pole."""
    at_pole = x == pole
    return np.where(at_pole, -100, np.maximum(logarithm(x + at_pole), -100))


@ad.primitive
def _binary_cross_entropy(p: Array, target: Array) -> Array:
    return (target - 1) * _floored(np.log1p, -p, -1) - target * _floored(np.log, p, 0)


def _binary_cross_entropy_p(g: Array, out: Array, p: Array, target: Array) -> Array:
    # The bound is PyTorch's, too: where p is 0 or 1 and wrong, the gradient is as large as that, and finite.
    least = 6.2e-5 if out.dtype == np.float16 else 1e-12
    return g * ((1 - target) / np.maximum(1 - p, least) - target / np.maximum(p, least))


ad.defvjp(
    _binary_cross_entropy,
    _binary_cross_entropy_p,
    lambda g, out, p, target: g * (_floored(np.log1p, -p, -1) - _floored(np.log, p, 0)),
)


@loss
def binary_cross_entropy(input: Array, target: Array, weight: Array = None, *, reduction: Reduction = "mean") -> Array:
    """Cross-entropy ``-target log(input) - (1 - target) log(1 - input)``, the logarithms at least -100.

    It is for probabilities that come without logits; where there are logits, `binary_cross_entropy_with_logits` is
    exact however large they are.

    Goodfellow, Bengio and Courville, Deep Learning (2016), section 6.2.2.2; the bound is PyTorch's. So is that of the
    gradient where 0 or 1 is given and wrong, 1e12; where it is right, it is 1 or -1, the slope of the logarithm there.

    Args:
        input: probabilities of the positive class, of any shape.
        target: the true ones, of the same shape; it is not broadcast. Integers and lists take the dtype of ``input``.
        weight: a factor of each element's loss, of a shape that broadcasts to that of ``input``.
        reduction: "mean" or "sum" over all elements, or "none".

    Returns:
        A scalar, or an array of the shape of ``input`` without reduction.

    Raises:
        TypeError: an argument is not real numbers, or an option of the wrong type.
        ValueError: the shapes differ, a probability is not between 0 and 1, or the reduction is unknown.

    Example:
        >>> nn.functional.binary_cross_entropy(np.array([0.5, 0.0]), np.array([1.0, 1.0]), reduction="none").round(6)
        array([  0.693147, 100.      ])
    """
    caller = "binary_cross_entropy"
    _check_order(caller, input, target)
    p, target = _pair(caller, input, target, reduction)
    target = _checked_probabilities(caller, "targets", target)
    p = _checked_probabilities(caller, "input", p, "; apply sigmoid, or use binary_cross_entropy_with_logits")
    losses = _binary_cross_entropy(p, target)
    if weight is not None:
        losses = _share(_element_weights(caller, "weight", weight, losses, broadcast=True), losses)
    return _reduced(losses, reduction)


@ad.primitive
def _sigmoid_cross_entropy(x: Array, positive: Array, negative: Array) -> Array:
    """The sum of ``positive log(1 + exp(-x))`` and ``negative log(1 + exp(x))``."""
    excess = _excess(x)
    return _share(positive, excess - np.minimum(x, 0)) + _share(negative, excess + np.maximum(x, 0))


ad.defvjp(
    _sigmoid_cross_entropy,
    lambda g, out, x, positive, negative: g * (negative * logistic(x) - positive * logistic(-x)),
    lambda g, out, x, positive, negative: g * -log_sigmoid(x),
    lambda g, out, x, positive, negative: g * -log_sigmoid(-x),
)


@loss
def binary_cross_entropy_with_logits(
    input: Array, target: Array, weight: Array = None, *, reduction: Reduction = "mean", pos_weight: Any = None
) -> Array:
    """Sigmoid cross-entropy, the negative log-likelihood of a Bernoulli variable.

    ``pos_weight target log(1 + exp(-x)) + (1 - target) log(1 + exp(x))``, in which nothing cancels: the loss of a
    confident and right prediction keeps its relative precision, as do its derivatives; that of an infinite one is 0.

    Goodfellow, Bengio and Courville, Deep Learning (2016), section 6.2.2.2.

    Args:
        input: logits, of any shape, before any sigmoid.
        target: probabilities of the positive class, of the same shape; it is not broadcast. Integers and lists take
            the dtype of ``input``.
        weight: a factor of each element's loss, of a shape that broadcasts to that of ``input``.
        reduction: "mean" or "sum" over all elements, or "none".
        pos_weight: a factor of the positive class's loss, of a shape that broadcasts to that of ``input``.

    Returns:
        A scalar, or an array of the shape of ``input`` without reduction.

    Raises:
        TypeError: an argument is not real numbers, or an option of the wrong type.
        ValueError: the shapes differ, a target is not between 0 and 1, or the reduction is unknown.

    Example:
        >>> logits, targets = np.array([0.0, 1e4]), np.array([1.0, 1.0])
        >>> nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").round(6)
        array([0.693147, 0.      ])
    """
    caller = "binary_cross_entropy_with_logits"
    _check_order(caller, input, target)
    logits, target = _pair(caller, input, target, reduction)
    positive = target = _checked_probabilities(caller, "targets", target)
    if pos_weight is not None:
        positive = target * _element_weights(caller, "pos_weight", pos_weight, logits, broadcast=True)
    losses = _sigmoid_cross_entropy(logits, positive, 1 - target)
    if weight is not None:
        losses = _share(_element_weights(caller, "weight", weight, losses, broadcast=True), losses)
    return _reduced(losses, reduction)


@ad.primitive
def _divergence(log_q: Array, p: Array) -> Array:
    return p * np.where(p > 0, _logarithm(p) - log_q, 0)


def _logarithm(p: Array) -> Array:
    """Logarithm that is 0 of 0."""
    return np.log(np.maximum(p, p == 0))


ad.defvjp(
    _divergence,
    lambda g, out, log_q, p: -g * p,
    lambda g, out, log_q, p: g * (_logarithm(p) - log_q + (p > 0)),
)


@ad.primitive
def _divergence_of_logarithms(log_q: Array, log_p: Array, p: Array) -> Array:
    return p * _difference(log_q, log_p, p)


def _difference(log_q: Array, log_p: Array, p: Array) -> Array:
    """``log_p - log_q``, and 0 where log_p is -inf."""
    return np.where(log_p > -np.inf, np.clip(log_p, np.finfo(p.dtype).min, np.inf) - log_q, 0)


ad.defvjp(
    _divergence_of_logarithms,
    lambda g, out, log_q, log_p, p: -g * p,
    lambda g, out, log_q, log_p, p: g * p,
    lambda g, out, log_q, log_p, p: g * _difference(log_q, log_p, p),
)


@loss
def kl_div(
    input: Array, target: Array, *, reduction: Reduction | Literal["batchmean"] = "mean", log_target: bool = False
) -> Array:
    """Terms ``target (log(target) - input)`` of the Kullback-Leibler divergence of the target from ``exp(input)``.

    Where the target is 0 so is the term, whatever ``input`` is; its derivative by the target is ``-input`` there.

    Kullback and Leibler, On information and sufficiency (1951), equation 2.4.

    Args:
        input: logarithms of probabilities, of any shape.
        target: probabilities, of the same shape; it is not broadcast. Integers and lists take the dtype of ``input``.
        reduction: "sum"; "batchmean", the sum divided by the number of rows, which is the divergence of a row; "mean"
            over all elements, which is not; or "none".
        log_target: whether the target is logarithms of probabilities, too.

    Returns:
        A scalar, or an array of the shape of ``input`` without reduction.

    Raises:
        TypeError: an argument is not real numbers, or an option of the wrong type.
        ValueError: the shapes differ, a probability is negative or NaN, or the reduction is unknown.

    Example:
        >>> float(nn.functional.kl_div(np.log([[0.5, 0.5]]), np.array([[0.25, 0.75]]), reduction="batchmean").round(6))
        0.130812
    """
    check_choice("kl_div", "reduction", reduction, (*REDUCTIONS, "batchmean"))
    check_flag("kl_div", "log_target", log_target)
    _check_order("kl_div", input, target)
    prediction, target = _pair("kl_div", input, target, "mean" if reduction == "batchmean" else reduction)
    if log_target:
        losses = _divergence_of_logarithms(prediction, target, np.exp(target))
    else:
        message = "kl_div: targets must not be negative or NaN, got {}; logarithms need log_target=True"
        target = check_values(target, _at_least_0, message)
        losses = _divergence(prediction, target)
    if reduction == "batchmean":
        return losses.sum() / (len(losses) if losses.ndim else 1)
    return _reduced(losses, reduction)


# Distributions


@ad.primitive
def _raised(x: Array, low: float) -> Array:
    """Raise to ``low`` what is below, but let the gradient pass, so that a variance that fell below can grow again."""
    return np.maximum(x, low)


ad.defvjp(_raised, lambda g, out, x, low: g)


@loss
def gaussian_nll_loss(
    input: Array, target: Array, var: Array, *, full: bool = False, eps: float = 1e-6, reduction: Reduction = "mean"
) -> Array:
    """Negative log-likelihood ``(log(var) + (input - target)² / var) / 2`` of a normal distribution.

    Nix and Weigend, Estimating the mean and variance of the target probability distribution (1994), equation 4.

    Args:
        input: means, of any shape.
        target: a number, or of as many axes as ``input``, of which those of length one in either are broadcast.
            Integers and lists take the dtype of ``input``.
        var: variances, not negative: of the shape of ``input``; of that without its last axis; with axes of length one
            in it, which are broadcast; or a number.
        full: add the constant ``log(2 π) / 2``.
        eps: positive; smaller variances count as this one. The gradient by them is that at ``eps``, as in PyTorch.
        reduction: "mean" or "sum" over all elements, or "none".

    Returns:
        A scalar, or without reduction an array of the shape that ``input`` and ``target`` broadcast to.

    Raises:
        TypeError: an argument is not real numbers, or an option of the wrong type.
        ValueError: the shapes do not fit, a variance is negative, ``eps`` is not positive, or the reduction is
            unknown.

    Example:
        >>> float(nn.functional.gaussian_nll_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0]), np.ones(2)))
        1.0
    """
    caller = "gaussian_nll_loss"
    check_flag(caller, "full", full)
    check_number(caller, "eps", eps, lambda eps: eps > 0, "positive")
    _check_order(caller, input, target)
    mean, target = _pair(caller, input, target, reduction, broadcast=True)
    var = check_values(
        _real_like(mean, caller, "var", var),
        _not_below_0,
        f"{caller}: var must not be negative, got {{}}; for a number of any sign, give its softplus or exponential",
    )
    if var.ndim and var.shape == mean.shape[:-1]:
        var = np.expand_dims(var, -1)
    fits = var.ndim == mean.ndim and all(own in (1, size) for own, size in zip(var.shape, mean.shape))
    if var.ndim and not fits:
        raise ValueError(
            f"{caller}: input of shape {mean.shape} needs a var of this shape, or with axes of length one in it, or "
            f"without its last axis, or a number, got {var.shape}"
        )
    var = _raised(var, eps)
    losses = (np.log(var) + np.square(mean - target) / var) / 2
    return _reduced(losses + math.log(2 * math.pi) / 2 if full else losses, reduction)


@loss
def poisson_nll_loss(
    input: Array,
    target: Array,
    *,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: Reduction = "mean",
) -> Array:
    """Negative log-likelihood ``rate - target log(rate)`` of a Poisson distribution, without ``log(target!)``.

    McCullagh and Nelder, Generalized linear models (1989), section 6.2.

    Args:
        input: logarithms of the rates, of any shape, or the rates themselves with ``log_input=False``.
        target: counts, not negative, of the same shape; it is not broadcast. Integers and lists take the dtype of
            ``input``.
        log_input: whether ``input`` is logarithms.
        full: add Stirling's approximation of ``log(target!)`` where the target is larger than 1.
        eps: at least 0; added to a rate before its logarithm is taken, where rates are given.
        reduction: "mean" or "sum" over all elements, or "none".

    Returns:
        A scalar, or an array of the shape of ``input`` without reduction. The exponential of a large logarithm is
        infinite, and so is the loss then. A rate of 0 costs nothing where the target is 0.

    Raises:
        TypeError: an argument is not real numbers, or an option of the wrong type.
        ValueError: the shapes differ, a target or rate is negative, ``eps`` is negative, or the reduction is unknown.

    Example:
        >>> float(nn.functional.poisson_nll_loss(np.log([2.0, 2.0]), np.array([2, 1])).round(6))
        0.960279
    """
    caller = "poisson_nll_loss"
    check_flag(caller, "log_input", log_input)
    check_flag(caller, "full", full)
    check_number(caller, "eps", eps, lambda eps: eps >= 0, "at least 0")
    _check_order(caller, input, target)
    rate, target = _pair(caller, input, target, reduction)
    target = check_values(target, _not_below_0, f"{caller}: targets are counts and must not be negative, got {{}}")
    counts = data_of(target)
    if log_input:
        losses = np.exp(rate) - _share(target, rate)
    else:
        message = f"{caller}: rates must not be negative, got {{}}; logarithms of rates need log_input=True"
        rate = check_values(rate, _not_below_0, message)
        rate_of_none = (counts == 0) & (data_of(rate) + eps == 0)  # whose logarithm does not count
        losses = rate - target * np.log(np.where(rate_of_none, 1, rate + eps))
    if full:
        large = counts > 1
        count = np.where(large, target, 2)
        losses = losses + np.where(large, count * np.log(count) - count + np.log(2 * math.pi * count) / 2, 0)
    return _reduced(losses, reduction)


# What losses ask of their arguments


def _in_dtype_of(prediction: Array, x: Array) -> Array:
    """Convert to the dtype of the predictions, if that is floating-point."""
    return x.astype(prediction.dtype) if prediction.dtype.kind == "f" and x.dtype != prediction.dtype else x


def _real_like(prediction: Array, caller: str, name: str, x: Array) -> Array:
    """Give real numbers in the dtype of the predictions."""
    return _in_dtype_of(prediction, check_real(caller, name, x))


def _pair(
    caller: str, prediction: Array, target: Array, reduction: str, broadcast: bool = False
) -> tuple[Array, Array]:
    """Give predictions and targets of one shape, or of two that broadcast axis by axis, as arrays or Tensors."""
    check_choice(caller, "reduction", reduction, REDUCTIONS)
    prediction = check_real(caller, "predictions", prediction, "fiu")
    target = _real_like(prediction, caller, "targets", target)
    check_known(caller, target, "target")
    if prediction.shape != target.shape and not (broadcast and _fits(prediction.shape, target.shape)):
        check_known(caller, prediction, "prediction")
        raise ValueError(
            f"{caller}: prediction and target must have the same shape, got {prediction.shape} and {target.shape}"
        )
    if reduction == "mean" and (0 in prediction.shape or 0 in target.shape):
        raise ValueError(f"{caller}: there is no mean over an input of shape {prediction.shape}")
    return prediction, target


def _check_order(caller: str, prediction: Any, target: Any) -> None:
    """Refuse integers for predictions where a gradient goes to the targets: surely these have changed places."""
    kind = getattr(getattr(prediction, "dtype", None), "kind", "f")
    if kind in ("i", "u", "b") and is_variable(target):
        raise TypeError(f"{caller}: predictions come first and targets second; these have changed places")


def _fits(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether the second shape is a number's, or broadcasts with the first one without taking on axes."""
    is_aligned = len(shape) == len(other) and all(m == n or 1 in (m, n) for m, n in zip(shape, other))
    return is_aligned or not other


def _element_weights(caller: str, name: str, weight: Array, losses: Array, broadcast: bool = False) -> Array:
    """Give the weights of elements, of the losses' shape or one that broadcasts to it, in the losses' dtype."""
    weight = check_real(caller, name, weight)
    try:
        fits = weight.shape == losses.shape or (
            broadcast and np.broadcast_shapes(weight.shape, losses.shape) == losses.shape
        )
    except ValueError:
        fits = False
    if not fits:
        how = "a shape that broadcasts to that of the input" if broadcast else "the shape of the input"
        raise ValueError(f"{caller}: {name} must have {how}, {losses.shape}, got {weight.shape}")
    return _in_dtype_of(losses, weight)


def _mean_by_weight(caller: str, losses: Array, weight: Array, reduction: str) -> Array:
    if weight is None:
        return _reduced(losses, reduction)
    weight = _element_weights(caller, "weight", weight, losses)
    return _reduced_by_weight(losses * weight, weight, reduction)


def _checked_probabilities(caller: str, name: str, x: Array, way_out: str = "") -> Array:
    return check_values(x, _are_shares, f"{caller}: {name} must be probabilities between 0 and 1, got {{}}{way_out}")


def _are_shares(values: Array, message: str) -> None:
    require((values >= 0) & (values <= 1), ValueError, message, values)


def _at_least_0(values: Array, message: str) -> None:
    require(values >= 0, ValueError, message, values)


def _not_below_0(values: Array, message: str) -> None:
    """Refuse negative numbers, but no NaN."""
    require(~(values < 0), ValueError, message, values)
