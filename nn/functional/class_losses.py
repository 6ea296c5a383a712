"""Losses of classes: how far the logits or logarithms of probabilities of each row are from its label."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.arrays.lazy import gathered_rows
from autodiff.arrays.sums import added, largest
from autodiff.arrays.whole import innermost, is_lazy, look_up, require
from autodiff.core.record import data_of
from autodiff.core.rule import Array
from nn.checks import (
    NUMBERED,
    check_choice,
    check_integer,
    check_known,
    check_number,
    check_real,
    check_values,
    to_array,
)
from nn.functional.activations import _log_softmax, _softmax
from nn.functional.losses import (
    REDUCTIONS,
    Reduction,
    _at_least_0,
    _in_dtype_of,
    _real_like,
    _reduced,
    _reduced_by_weight,
    _share,
    loss,
)  # fmt: skip


@ad.primitive
def _cross_entropy(logits: Array, target: Array, reduction: str) -> Array:
    """Cross-entropy of the rows with their labels, if the target is integers, or with their probabilities."""
    shifted = logits - largest(logits, 1, keepdims=True)
    log_total = np.log(added(np.exp(shifted), 1))
    if target.ndim == 1:
        losses = log_total - _of_labels(shifted, target)
    else:
        # Of a class that is ruled out, nothing counts; a NaN is in the total, too.
        losses = added(target * (log_total[:, None] - np.where(target == 0, 0, shifted)), 1)
    if reduction == "none":
        return losses
    if reduction == "mean" and losses.dtype == np.float16:
        return np.mean(losses)  # whose sum could be too large for the dtype
    total = added(losses)
    return total / len(losses) if reduction == "mean" else total


def _of_labels(x: Array, labels: Array) -> Array:
    """Give the number of each row that stands at its label."""
    if type(x) is type(labels) is np.ndarray:  # most often
        return x[np.arange(len(labels)), labels]
    if is_lazy(innermost(labels)) or is_lazy(innermost(data_of(x))):
        return np.sum(np.where(labels[:, None] == np.arange(x.shape[1]), x, 0), axis=1)
    index = np.arange(len(labels)), labels
    return look_up(x, index) if type(x) is np.ndarray else x[index]


def _of_each_row(g: Array, logits: Array, reduction: str) -> Array:
    """Give the gradient of each row's loss: one number for all where the rows were reduced."""
    if reduction == "none":
        return g[:, None]
    return g / len(logits) if reduction == "mean" else g


def _cross_entropy_logits(g: Array, out: Array, logits: Array, target: Array, reduction: str) -> Array:
    """``softmax - target``, the target as one-hot rows if it is labels, and weighted if its rows do not sum to one."""
    probabilities = _softmax(logits, 1)
    if target.ndim == 1:
        error = probabilities - (target[:, None] == np.arange(logits.shape[1]))
    else:
        error = probabilities * added(target, 1, keepdims=True) - target
    return _of_each_row(g, logits, reduction) * error


def _cross_entropy_target(g: Array, out: Array, logits: Array, target: Array, reduction: str) -> Array:
    return _of_each_row(g, logits, reduction) * -_log_softmax(logits, 1)


ad.defvjp(_cross_entropy, _cross_entropy_logits, _cross_entropy_target)


@loss
def cross_entropy(
    input: Array,
    target: Array,
    weight: Array = None,
    *,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    """Softmax cross-entropy, ``-sum_c target_c log softmax(input)_c``: the negative log-likelihood of the target.

    Goodfellow, Bengio and Courville, Deep Learning (2016), section 6.2.2.3; label smoothing is that of Szegedy et al.,
    Rethinking the Inception architecture (2016), section 7.

    Args:
        input: logits before any softmax, of shape ``(N, C)`` or ``(N, C, d1, ...)``, or ``(C,)`` for one row. There
            are two classes at least: of one, the probability is always 1.
        target: class labels, integers from 0 to C - 1 or booleans, of the shape of ``input`` without its axis of
            classes, ``(N,)``, ``(N, d1, ...)`` or ``()``; or probabilities of its shape. A class of probability 0
            costs nothing, also if it is ruled out by a logit of -inf.
        weight: for each class a factor of its loss, of shape ``(C,)``. The mean over labels is then weighted too.
        ignore_index: rows with this label do not count; by default there is no such label. Where no row is left,
            their mean is NaN.
        reduction: "mean" or "sum" over all rows, or "none" for the loss of each.
        label_smoothing: share of the target, from 0 to 1, that is spread evenly over all classes.

    Returns:
        A scalar, or without reduction an array of the shape of labels, of the dtype of ``input``.

    Raises:
        TypeError: the labels are not integers, the probabilities no real numbers, or an option is of the wrong type.
        ValueError: the shapes do not fit, there is one class only, a label is out of range, a probability or weight is
            NaN or negative, probabilities for logits of shape ``(C,)`` do not sum to 1, ``label_smoothing`` is outside
            its domain, or the reduction is unknown.

    Example:
        >>> logits = np.array([[2.0, 0.0], [0.0, 1e4]])
        >>> float(nn.functional.cross_entropy(logits, np.array([0, 1])).round(6))
        0.063464
        >>> nn.functional.cross_entropy(logits, np.array([[0.5, 0.5], [0.0, 1.0]]), reduction="none").round(6)
        array([1.126928, 0.      ])
    """
    check_choice("cross_entropy", "reduction", reduction, REDUCTIONS)
    _check_places("cross_entropy", input, target)
    logits = _checked_logits("cross_entropy", input, reduction, least=2)
    target = _checked_target("cross_entropy", logits, target, ignore_index)
    if logits.ndim != 2:
        options = {"ignore_index": ignore_index, "reduction": reduction, "label_smoothing": label_smoothing}
        return _by_rows(cross_entropy, logits, target, weight, **options)
    if weight is None and ignore_index is None and label_smoothing == 0:
        return _cross_entropy(logits, target, reduction)
    check_number(
        "cross_entropy", "label_smoothing", label_smoothing, lambda share: 0 <= share <= 1, "a share from 0 to 1"
    )
    weight = _class_weights("cross_entropy", weight, logits)
    if target.ndim == 2:
        return _reduced(_cross_entropy(logits, weight * _smoothed(target, label_smoothing), "none"), reduction)
    labels, row_weights = _counted(data_of(target), weight, ignore_index)
    if label_smoothing:
        one_hot = (labels[:, None] == np.arange(logits.shape[1])).astype(weight.dtype)
        losses = _cross_entropy(logits, weight * _smoothed(one_hot, label_smoothing), "none")
        losses = losses if ignore_index is None else np.where(data_of(target) == ignore_index, 0, losses)
    else:
        losses = _share(row_weights, _cross_entropy(logits, labels, "none"))
    return _reduced_by_weight(losses, row_weights, reduction)


@loss
def nll_loss(
    input: Array, target: Array, weight: Array = None, *, ignore_index: int | None = None, reduction: Reduction = "mean"
) -> Array:
    """Negative log-likelihood of labels, ``-input[label]`` of each row: `cross_entropy` of what is a logarithm already.

    Goodfellow, Bengio and Courville, Deep Learning (2016), section 6.2.1.1.

    Args:
        input: logarithms of probabilities, as `log_softmax` gives them over the axis of classes, of shape ``(N, C)``,
            ``(N, C, d1, ...)`` or ``(C,)``. A logarithm of -inf costs nothing where it is not the label's.
        target: class labels, integers from 0 to C - 1, as in `cross_entropy`.
        weight: as in `cross_entropy`.
        ignore_index: as in `cross_entropy`.
        reduction: "mean" or "sum" over all rows, or "none" for the loss of each.

    Returns:
        A scalar, or without reduction an array of the shape of the labels, of the dtype of ``input``.

    Raises:
        TypeError: the labels are not integers, or an option is of the wrong type.
        ValueError: the shapes do not fit, a label is out of range, a weight is NaN or negative, or the reduction is
            unknown.

    Example:
        >>> log_probabilities = np.log([[0.25, 0.75], [0.5, 0.5]])
        >>> float(nn.functional.nll_loss(log_probabilities, np.array([1, 0]), reduction="sum").round(6))
        0.980829
    """
    check_choice("nll_loss", "reduction", reduction, REDUCTIONS)
    _check_places("nll_loss", input, target)
    log_probabilities = _checked_logits("nll_loss", input, reduction)
    target = to_array("nll_loss", "target", data_of(target))
    shape = _shape_of_labels(log_probabilities.shape)
    if target.ndim != len(shape):
        check_real("nll_loss", "target", target)
        raise ValueError(
            f"nll_loss: the target must be labels of shape {shape}, got {target.shape}; for probabilities use "
            "cross_entropy on logits, or kl_div"
        )
    target = _checked_target("nll_loss", log_probabilities, target, ignore_index)
    if log_probabilities.ndim != 2:
        options = {"ignore_index": ignore_index, "reduction": reduction}
        return _by_rows(nll_loss, log_probabilities, target, weight, **options)
    if weight is None and ignore_index is None:
        return _reduced(-_of_labels(log_probabilities, target), reduction)
    labels, row_weights = _counted(target, _class_weights("nll_loss", weight, log_probabilities), ignore_index)
    losses = _share(row_weights, -_of_labels(log_probabilities, labels))
    return _reduced_by_weight(losses, row_weights, reduction)


def _by_rows(function: Callable[..., Array], logits: Array, target: Array, weight: Array, **options: Any) -> Array:
    """Give the loss of logits that are not ``(N, C)`` as that of their rows."""

    def rows(x: Array) -> Array:
        return np.reshape(x if x.ndim == 1 else np.moveaxis(x, 1, -1), (-1, _classes(x.shape)))

    losses = function(
        rows(logits), rows(target) if target.ndim == logits.ndim else target.reshape(-1), weight, **options
    )
    return np.reshape(losses, _shape_of_labels(logits.shape)) if options["reduction"] == "none" else losses


def _classes(shape: tuple[int, ...]) -> int:
    """Give the length of the axis of classes: the second, or the only one."""
    return shape[1] if len(shape) > 1 else shape[0] if shape else 0


def _shape_of_labels(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Give the shape of logits without their axis of classes."""
    return shape[:1] + shape[2:] if len(shape) > 1 else ()


def _smoothed(target: Array, share: float) -> Array:
    return target * (1 - share) + share / target.shape[1]


def _class_weights(caller: str, weight: Array, logits: Array) -> Array:
    """Give one weight for each class, of the dtype of the logits."""
    classes = logits.shape[1]
    if weight is None:
        return np.ones(classes, logits.dtype)
    if getattr(weight, "requires_grad", False):
        raise TypeError(f"{caller}: class weights are constants; give weight.data")
    values = check_real(caller, "weight", data_of(weight))
    if values.shape != (classes,):
        raise ValueError(f"{caller}: weight must have the shape ({classes},), one for each class, got {values.shape}")
    values = check_values(values, _at_least_0, f"{caller}: weight must not be negative or NaN, got {{}}")
    return _in_dtype_of(logits, values)


def _counted(labels: Array, weight: Array, ignore_index: int | None) -> tuple[Array, Array]:
    """Give a label and a weight for each row: 0 for those that do not count."""
    if ignore_index is None:
        return labels, _weight_of(weight, labels)
    counts = labels != ignore_index
    labels = np.where(counts, labels, 0)
    return labels, np.where(counts, _weight_of(weight, labels), 0)


def _weight_of(weight: Array, labels: Array) -> Array:
    is_later = is_lazy(weight) or is_lazy(labels)
    return gathered_rows(weight, labels) if is_later else look_up(weight, labels)


def _check_places(caller: str, logits: Any, target: Any) -> None:
    """Refuse labels that stand in the place of logits, and these in theirs."""
    are_labels = _kind(logits) in ("i", "u", "b") and _kind(target) == "f"
    if are_labels and np.ndim(data_of(target)) > np.ndim(data_of(logits)):
        raise TypeError(
            f"{caller}: logits come first and labels second; these have changed places: {caller}(logits, labels)"
        )


def _kind(x: Any) -> str:
    return getattr(getattr(x, "dtype", None), "kind", "")


def _checked_logits(caller: str, logits: Array, reduction: str, least: int = 1) -> Array:
    """Refuse what is not numbers for each class of each row, and give it as an array or a Tensor."""
    logits = check_real(caller, "logits", logits, "fiu")
    shape = logits.shape
    if (classes := _classes(shape)) == 0:
        raise ValueError(f"{caller}: logits must have the shape (N, C), (N, C, d1, ...) or (C,), C not 0, got {shape}")
    if classes < least:
        raise ValueError(
            f"{caller}: logits of shape {shape} are of one class, whose probability is always 1; one logit for two "
            "classes needs binary_cross_entropy_with_logits, and numbers need mse_loss"
        )
    if reduction == "mean" and 0 in shape:
        raise ValueError(f"{caller}: there is no mean over logits of shape {shape}")
    return logits


def _checked_target(caller: str, logits: Array, target: Array, ignore_index: int | None) -> Array:
    """Refuse labels and probabilities that do not fit the logits, and give them as an array or a Tensor."""
    shape = logits.shape
    if ignore_index is not None:
        check_integer(caller, "ignore_index", ignore_index, "an integer or None")
    labels = to_array(caller, "target", target)
    check_known(caller, labels, "target")
    if labels.ndim == len(shape) - 1:
        labels = labels.astype(np.intp) if labels.dtype.kind == "b" else labels
        return _checked_labels(caller, labels, logits, ignore_index)
    if labels.shape != shape or (len(shape) == 1 and labels.dtype.kind in "iub"):
        check_known(caller, logits, "logits")
        check_real(caller, "target", labels)
        raise ValueError(
            f"{caller}: logits of shape {shape} need labels of shape {_shape_of_labels(shape)} or probabilities of "
            f"shape {shape}, got {labels.shape}{', integers' if labels.shape == shape else ''}; one logit for each row "
            "needs binary_cross_entropy_with_logits, and numbers need mse_loss"
        )
    probabilities = check_values(
        _real_like(logits, caller, "probabilities", target),
        _at_least_0,
        f"{caller}: probabilities must not be negative or NaN, got {{}}; for other numbers use mse_loss",
    )
    if len(shape) == 1:
        # They may be meant as the labels of as many rows.
        probabilities = check_values(
            probabilities,
            _is_one,
            f"{caller}: the probabilities of the {shape[0]} classes of one row must sum to 1, got {{}}; one logit for "
            "each row needs binary_cross_entropy_with_logits, and numbers need mse_loss",
            added(data_of(probabilities)),
        )
    if ignore_index is not None and ignore_index >= 0:
        raise ValueError(f"{caller}: ignore_index={ignore_index!r} is for labels; give probabilities without it")
    return probabilities


def _is_one(values: Array, message: str, total: Array) -> None:
    require(np.absolute(total - 1) < 0.01, ValueError, message, total)


def _checked_labels(caller: str, labels: Array, logits: Array, ignore_index: int | None) -> Array:
    """Refuse what is not one number of a class for each row, and give it."""
    shape = logits.shape
    if labels.dtype.kind not in "iu":
        is_text = labels.dtype.kind in "USOT"
        way_out = f"convert them with {NUMBERED if is_text else '.astype(int)'}"
        raise TypeError(
            f"{caller}: class labels must be integers, got {labels.dtype}; {way_out}, or give probabilities of shape "
            f"{shape}; numbers need mse_loss"
        )
    if labels.shape != (fitting := _shape_of_labels(shape)):
        check_known(caller, logits, "logits")
        if len(shape) == 2:
            raise ValueError(f"{caller}: {len(labels)} labels for {shape[0]} rows of logits")
        raise ValueError(f"{caller}: logits of shape {shape} need labels of shape {fitting}, got {labels.shape}")
    return check_values(labels, _check_range, caller, _classes(shape), ignore_index)


def _check_range(labels: Array, caller: str, classes: int, ignore_index: int | None) -> None:
    if ignore_index is not None:
        labels = np.where(labels == ignore_index, 0, labels)
    # Without a sign, a negative number is a very large one.
    last = np.maximum.reduce(labels.astype(np.uint64), axis=None, initial=0)
    if (fits := last < classes) is not np.True_:  # otherwise there is nothing to say, nor to be recorded
        require(
            fits,
            ValueError,
            f"{caller}: labels must lie from 0 to {classes - 1} for {classes} classes, got {{}}; rows of one label are "
            "left out with ignore_index=",
            last.astype(np.int64),
        )
