"""The functions that layers and losses are made of, on arrays and Tensors alike.

Losses take logits, the numbers before the softmax or the sigmoid, and stay finite however large these are. A fused
function is one call on the tape: fewer calls, and a derivative that is simpler than that of its parts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import autodiff as ad
from autodiff import activations
from autodiff.tensor import as_array, data_of
from nn.checks import check_choice, check_probability
from nn.init import Seed, generator

REDUCTIONS = ("mean", "sum", "none")

# Layers and activations


@ad.primitive
def _linear(x: Any, weight: Any, bias: Any) -> Any:
    return x @ weight + bias


def _rows(x: Any) -> Any:
    """Give an array as a matrix whose rows are its last axis."""
    return np.reshape(x, (-1, x.shape[-1])) if x.ndim != 2 else x


ad.defvjp(
    _linear,
    lambda g, out, x, weight, bias: g @ weight.T,
    lambda g, out, x, weight, bias: _rows(x).T @ _rows(g),
    lambda g, out, x, weight, bias: np.add.reduce(_rows(g), axis=0),
)


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """Affine map of each row, ``x W + b``.

    Args:
        x: of shape ``(..., in_features)``.
        weight: of shape ``(in_features, out_features)``.
        bias: of shape ``(out_features,)``, or None.

    Returns:
        Of shape ``(..., out_features)``.

    Raises:
        ValueError: the shapes do not fit.

    Example:
        >>> linear(np.array([1.0, 2.0]), np.array([[3.0], [4.0]]), np.array([0.5]))
        array([11.5])
    """
    x, weight = as_array(x), as_array(weight)
    inputs, features = x.shape, weight.shape
    fits = len(features) == 2 and len(inputs) > 0 and inputs[-1] == features[0]
    if not fits or (bias is not None and bias.shape != features[1:]):
        raise ValueError(
            f"linear: x of shape {inputs} needs a weight of shape ({inputs[-1] if inputs else 'in'}, out) and a bias "
            f"of shape (out,), got {features} and {None if bias is None else bias.shape}"
        )
    return x @ weight if bias is None else _linear(x, weight, bias)


relu = ad.primitive(activations.relu)
sigmoid = ad.primitive(activations.sigmoid)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent, elementwise; the same as `numpy.tanh`.

    Example:
        >>> float(tanh(0.0))
        0.0
    """
    return np.tanh(x)


def dropout(x: Any, p: float = 0.5, training: bool = True, rng: Seed = None) -> Any:
    """Set each element to zero with probability ``p``, and divide the others by ``1 - p`` to keep the mean.

    Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting (2014), section 10.

    Args:
        x: of any shape.
        p: from 0 up to, but not including, 1.
        training: without, ``x`` is returned as it is.
        rng: a Generator or a seed.

    Raises:
        ValueError: ``p`` is not a probability below 1.

    Example:
        >>> dropout(np.ones(5), p=0.5, rng=0)
        array([2., 2., 2., 0., 0.])
    """
    check_probability("dropout", p)
    if not training or p == 0:
        return x
    x = as_array(x)
    kept = generator(rng).random(np.shape(x), dtype=np.float32) >= p
    return x * (kept / np.asarray(1 - p, dtype=x.dtype if x.dtype.kind == "f" else np.float64))


# Softmax and its relatives


@ad.primitive
def _softmax(x: Any, axis: int) -> Any:
    weights = np.exp(x - np.maximum.reduce(x, axis=axis, keepdims=True))
    return weights / np.add.reduce(weights, axis=axis, keepdims=True)


@ad.primitive
def _logsumexp(x: Any, axis: int | tuple[int, ...] | None) -> Any:
    largest = np.maximum.reduce(x, axis=axis, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, 0)
    with np.errstate(divide="ignore", over="ignore"):
        return largest + np.log(np.add.reduce(np.exp(x - largest), axis=axis, keepdims=True))


@ad.primitive
def _log_softmax(x: Any, axis: int) -> Any:
    shifted = x - np.maximum.reduce(x, axis=axis, keepdims=True)
    return shifted - np.log(np.add.reduce(np.exp(shifted), axis=axis, keepdims=True))


ad.defvjp(
    _softmax,
    lambda g, out, x, axis: out * (g - np.add.reduce(g * out, axis=axis, keepdims=True)),
)
ad.defvjp(
    _logsumexp,
    lambda g, out, x, axis: g * np.exp(x - np.where(out == -np.inf, 0, out)),
)
ad.defvjp(
    _log_softmax,
    lambda g, out, x, axis: g - np.exp(out) * np.add.reduce(g, axis=axis, keepdims=True),
)


def softmax(x: Any, axis: int = -1) -> Any:
    """Turn logits into probabilities, ``exp(x) / sum(exp(x))`` along an axis.

    It serves for training and for reporting probabilities; the most probable class is ``argmax`` of the logits.

    Args:
        x: logits, of any shape with at least one axis.
        axis: along which the probabilities sum to one.

    Returns:
        Of the shape of ``x``.

    Example:
        >>> softmax(np.array([1e4, 1e4, -1e4]))
        array([0.5, 0.5, 0. ])
    """
    return _softmax(_checked_logits("softmax", x), axis)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """Logarithm of `softmax`, ``x - log(sum(exp(x)))``, finite where the softmax itself rounds to zero.

    Example:
        >>> log_softmax(np.array([0.0, 1e4]))
        array([-10000.,      0.])
    """
    return _log_softmax(_checked_logits("log_softmax", x), axis)


def logsumexp(x: Any, axis: int | tuple[int, ...] | None = -1, keepdims: bool = False) -> Any:
    """Logarithm of the sum of exponentials, ``log(sum(exp(x)))``, over one or several axes.

    Args:
        x: of any shape.
        axis: over which to sum; None for all.
        keepdims: keep the axes with length one.

    Example:
        >>> float(logsumexp(np.array([1000.0, 1000.0])) - 1000)
        0.693147180559...
    """
    out = _logsumexp(x, axis)
    return out if keepdims else np.squeeze(out, axis=axis if axis is not None else tuple(range(np.ndim(x))))


def _checked_logits(caller: str, x: Any) -> Any:
    if np.ndim(x) == 0:
        raise ValueError(f"{caller}: the input needs at least one axis, got a scalar")
    return x


# Losses


def _reduced(losses: Any, reduction: str) -> Any:
    """Reduce the losses of a batch."""
    if reduction == "mean":
        return losses.mean()
    return losses.sum() if reduction == "sum" else losses


@ad.primitive
def _cross_entropy(logits: Any, target: Any, reduction: str) -> Any:
    """Cross-entropy of the rows with their labels, if the target is integers, or with their probabilities."""
    shifted = logits - np.maximum.reduce(logits, axis=1, keepdims=True)
    log_total = np.log(np.add.reduce(np.exp(shifted), axis=1))
    if target.ndim == 1:
        losses = log_total - shifted[np.arange(len(target)), target]
    else:
        losses = np.add.reduce(target * (log_total[:, None] - shifted), axis=1)
    if reduction == "none":
        return losses
    total = np.add.reduce(losses)
    return total / len(losses) if reduction == "mean" else total


def _of_each_row(g: Any, logits: Any, reduction: str) -> Any:
    """Give the gradient of each row's loss: one number for all where the rows were reduced."""
    if reduction == "none":
        return g[:, None]
    return g / len(logits) if reduction == "mean" else g


def _cross_entropy_logits(g: Any, out: Any, logits: Any, target: Any, reduction: str) -> Any:
    """``softmax - target``, the target as one-hot rows if it is labels, and weighted if its rows do not sum to one."""
    probabilities = _softmax(logits, 1)
    if target.ndim == 1:
        error = probabilities - (target[:, None] == np.arange(logits.shape[1]))
    else:
        error = probabilities * np.add.reduce(target, axis=1, keepdims=True) - target
    return _of_each_row(g, logits, reduction) * error


def _cross_entropy_target(g: Any, out: Any, logits: Any, target: Any, reduction: str) -> Any:
    return _of_each_row(g, logits, reduction) * -_log_softmax(logits, 1)


ad.defvjp(_cross_entropy, _cross_entropy_logits, _cross_entropy_target)


def cross_entropy(logits: Any, target: Any, reduction: str = "mean") -> Any:
    """Softmax cross-entropy, ``-sum_c target_c log softmax(logits)_c``: the negative log-likelihood of the target.

    Goodfellow, Bengio and Courville, Deep Learning (2016), section 6.2.2.3.

    Args:
        logits: of shape ``(N, C)``, before any softmax.
        target: class labels, integers from 0 to C - 1 of shape ``(N,)``, or probabilities of shape ``(N, C)``.
        reduction: "mean" or "sum" over the N rows, or "none" for all N losses.

    Returns:
        A scalar, or an array of shape ``(N,)`` without reduction.

    Raises:
        TypeError: the labels are not integers, or the probabilities no real numbers.
        ValueError: the shapes do not fit, a label is out of range, a probability is NaN or negative, or the reduction
            is unknown.

    Example:
        >>> logits = np.array([[2.0, 0.0], [0.0, 1e4]])
        >>> float(cross_entropy(logits, np.array([0, 1])).round(6))
        0.063464
        >>> cross_entropy(logits, np.array([[0.5, 0.5], [0.0, 1.0]]), reduction="none").round(6)
        array([1.126928, 0.      ])
    """
    check_choice("cross_entropy", "reduction", reduction, REDUCTIONS)
    logits = as_array(logits)
    return _cross_entropy(logits, _checked_target(logits, target), reduction)


def _checked_target(logits: Any, target: Any) -> Any:
    """Refuse labels and probabilities that do not fit the logits, and give them as an array or a Tensor."""
    shape = logits.shape
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"cross_entropy: logits must have the shape (N, C), neither zero, got {shape}")
    target = as_array(target)
    values = data_of(target)
    if values.ndim == 1:
        if values.dtype.kind not in "iu":
            raise TypeError(
                f"cross_entropy: class labels must be integers, got {values.dtype}; convert them with .astype(int), "
                f"or give probabilities of shape {shape}"
            )
        if len(values) != shape[0]:
            raise ValueError(f"cross_entropy: {len(values)} labels for {shape[0]} rows of logits")
        low, high = np.minimum.reduce(values), np.maximum.reduce(values)
        if low < 0 or high >= shape[1]:
            raise ValueError(
                f"cross_entropy: labels must lie from 0 to {shape[1] - 1} for {shape[1]} classes, "
                f"got {low if low < 0 else high}"
            )
        return target
    if values.shape != shape:
        raise ValueError(
            f"cross_entropy: logits of shape {shape} need labels of shape ({shape[0]},) or probabilities of shape "
            f"{shape}, got {values.shape}"
        )
    if values.dtype.kind not in "fiu":
        raise TypeError(f"cross_entropy: probabilities must be real numbers, got {values.dtype}")
    if not np.all(values >= 0):
        raise ValueError("cross_entropy: probabilities must not be negative; some are negative or NaN")
    return target


def mse_loss(prediction: Any, target: Any, reduction: str = "mean") -> Any:
    """Squared error ``(prediction - target)²``, up to constants the negative log-likelihood of a normal distribution.

    Goodfellow, Bengio and Courville, Deep Learning (2016), section 5.5.1.

    Args:
        prediction: of any shape.
        target: of the same shape; it is not broadcast.
        reduction: "mean" or "sum" over all elements, or "none".

    Returns:
        A scalar, or an array of the shape of ``prediction`` without reduction.

    Raises:
        ValueError: the shapes differ, or the reduction is unknown.

    Example:
        >>> float(mse_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
        2.0
    """
    check_choice("mse_loss", "reduction", reduction, REDUCTIONS)
    _check_same_shape("mse_loss", prediction, target)
    return _reduced(np.square(np.subtract(prediction, target)), reduction)


def binary_cross_entropy_with_logits(logits: Any, target: Any, reduction: str = "mean") -> Any:
    """Sigmoid cross-entropy, the negative log-likelihood of a Bernoulli variable.

    ``target log(1 + exp(-x)) + (1 - target) log(1 + exp(x))``, in which nothing cancels: the loss of a confident and
    right prediction keeps its relative precision.

    Goodfellow, Bengio and Courville, Deep Learning (2016), section 6.2.2.2.

    Args:
        logits: of any shape, before any sigmoid.
        target: probabilities of the positive class, of the same shape; it is not broadcast.
        reduction: "mean" or "sum" over all elements, or "none".

    Returns:
        A scalar, or an array of the shape of ``logits`` without reduction.

    Raises:
        ValueError: the shapes differ, a target is not between 0 and 1, or the reduction is unknown.

    Example:
        >>> binary_cross_entropy_with_logits(np.array([0.0, 1e4]), np.array([1.0, 1.0]), reduction="none").round(6)
        array([0.693147, 0.      ])
    """
    check_choice("binary_cross_entropy_with_logits", "reduction", reduction, REDUCTIONS)
    _check_same_shape("binary_cross_entropy_with_logits", logits, target)
    logits = as_array(logits)
    values = np.asarray(data_of(target))
    if values.dtype.kind not in "fiub" or not np.all((values >= 0) & (values <= 1)):
        raise ValueError("binary_cross_entropy_with_logits: targets must be probabilities between 0 and 1")
    zero = np.zeros((), logits.dtype)
    losses = np.multiply(target, np.logaddexp(zero, -logits)) + np.subtract(1, target) * np.logaddexp(zero, logits)
    return _reduced(losses, reduction)


def _check_same_shape(caller: str, prediction: Any, target: Any) -> None:
    if np.shape(prediction) != np.shape(target):
        raise ValueError(
            f"{caller}: prediction and target must have the same shape, got {np.shape(prediction)} and "
            f"{np.shape(target)}"
        )
