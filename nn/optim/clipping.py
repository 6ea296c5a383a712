"""Gradients that are kept from being too large."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.arrays.lazy import checked
from autodiff.arrays.sums import largest
from autodiff.arrays.whole import as_float, require
from autodiff.core.rule import Array
from nn.checks import check_flag, check_number
from nn.optim.base import checked_gradient, checked_parameters

_DOUBLE = np.finfo(np.float64)
_WIDE: dict[str, Any] = {"f": np.float64, "c": np.complex128}


def clip_grad_norm_(
    parameters: Iterable[ad.Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> float:
    """Scale the gradients, all by one factor, so that their norm, as of one vector, is at most ``max_norm``.

    The factor is ``max_norm / (norm + 1e-6)``, as PyTorch's, where that is below one. Pascanu, Mikolov and Bengio, On
    the difficulty of training recurrent neural networks (2013), algorithm 1.

    Args:
        parameters: Tensors; gradients of None are skipped.
        max_norm: not negative, or infinite.
        norm_type: ``p`` of the p-norm: positive, or infinite for the largest absolute value.
        error_if_nonfinite: raise where the norm is infinite or not a number. Otherwise it goes, by the factor, into all
            gradients.

    Returns:
        The norm before, computed in float64; that of lazy gradients, as Dask's are, is lazy.

    Raises:
        TypeError: a parameter is not a leaf Tensor, a gradient no array, or a number is none.
        ValueError: a number is outside its domain, a gradient has another shape than its parameter, or what `Optimizer`
            says of parameters.
        RuntimeError: the norm is not finite, with ``error_if_nonfinite``; gradients stay as they are.

    Example:
        >>> x = ad.Tensor([1.0, 1.0])
        >>> x.grad = np.array([3.0, 4.0])
        >>> nn.optim.clip_grad_norm_([x], max_norm=1.0)
        5.0
        >>> x.grad.round(4)
        array([0.6, 0.8])
    """
    tensors = checked_parameters("clip_grad_norm_", parameters)
    if max_norm != math.inf:
        check_number("clip_grad_norm_", "max_norm", max_norm, lambda norm: norm >= 0, "at least 0")
    if norm_type != math.inf:
        check_number("clip_grad_norm_", "norm_type", norm_type, lambda p: p > 0, "positive")
    check_flag("clip_grad_norm_", "error_if_nonfinite", error_if_nonfinite)
    # No power up to the fourth of a float32 leaves the range of float64; others are scaled, which takes time.
    is_wide = 4 < norm_type < math.inf or any(parameter.dtype.itemsize >= 8 for parameter in tensors)
    norm = _scaled_norm if is_wide else np.linalg.norm
    norms = [
        norm(np.ravel(checked_gradient("clip_grad_norm_", parameter)).astype(_WIDE[parameter.dtype.kind]), norm_type)
        for parameter in tensors
        if parameter.grad is not None and parameter.size
    ]
    total = norm(np.stack(norms), norm_type) if norms else 0.0
    if error_if_nonfinite:
        total = checked(total, _check_finite)
    factor = np.minimum(float(max_norm) / (total + 1e-6), 1.0)
    with np.errstate(invalid="ignore"):  # an infinite gradient times a factor of zero
        for parameter in tensors:
            if parameter.grad is not None:
                parameter.grad = parameter.grad * factor.astype(np.finfo(parameter.dtype).dtype)
    return as_float(total)  # type: ignore[no-any-return]


def _check_finite(norm: Array) -> None:
    require(
        np.isfinite(norm),
        RuntimeError,
        "clip_grad_norm_: the norm of the gradients is {}; leave such a step out, or find its cause with "
        "autodiff.detect_anomaly",
        norm,
    )


def _scaled_norm(x: Array, p: float) -> Array:
    """Norm of a vector, also where powers of its elements are too large or too small."""
    top = largest(np.absolute(x))
    scale = np.minimum(np.maximum(top, _DOUBLE.smallest_normal), _DOUBLE.max)
    return scale * np.linalg.norm(x / scale, p)


def clip_grad_value_(parameters: Iterable[ad.Tensor], clip_value: float) -> None:
    """Move each element of the gradients that lies outside of ``[-clip_value, clip_value]`` to its end.

    Args:
        parameters: Tensors; gradients of None are skipped.
        clip_value: not negative.

    Raises:
        TypeError: a parameter is not a leaf Tensor, a gradient no array or complex, or the value no number.
        ValueError: the value is outside its domain, a gradient has another shape than its parameter, or what
            `Optimizer` says of parameters.

    Example:
        >>> x = ad.Tensor([1.0, 1.0])
        >>> x.grad = np.array([3.0, -0.5])
        >>> nn.optim.clip_grad_value_([x], 1.0)
        >>> x.grad
        array([ 1. , -0.5])
    """
    tensors = checked_parameters("clip_grad_value_", parameters)
    check_number("clip_grad_value_", "clip_value", clip_value, lambda value: value >= 0, "at least 0")
    bound = float(clip_value)
    with_gradient = [parameter for parameter in tensors if parameter.grad is not None]
    for parameter in with_gradient:
        if checked_gradient("clip_grad_value_", parameter).dtype.kind == "c":
            raise TypeError(f"clip_grad_value_: {parameter!r} is complex, and has no order: use clip_grad_norm_")
    for parameter in with_gradient:
        parameter.grad = np.clip(parameter.grad, -bound, bound)
