"""Clipping of gradients, and parameters as one vector, where PyTorch has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

import autodiff as ad
from autodiff.core.record import data_of
from autodiff.core.rule import Array
from autodiff.elsewhere import absent
from nn.checks import check_real
from nn.optim.base import listed
from nn.optim.clipping import clip_grad_norm_, clip_grad_value_
from nn.optim.fullbatch import split

__all__ = ["clip_grad_norm_", "clip_grad_value_", "parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[ad.Tensor]) -> ad.Tensor:
    """Give the elements of all parameters as one vector, through which gradients flow to them.

    Args:
        parameters: Tensors, as ``model.parameters()`` gives them.

    Raises:
        TypeError: one of them is no Tensor.
        ValueError: there are none.

    Example:
        >>> model = nn.Linear(2, 1, rng=0)
        >>> nn.utils.parameters_to_vector(model.parameters()).shape
        (3,)
    """
    tensors = listed("parameters_to_vector", parameters)
    vector: Any = np.concatenate([np.ravel(tensor) for tensor in tensors])
    return vector  # type: ignore[no-any-return]


def vector_to_parameters(vec: Array, parameters: Iterable[ad.Tensor]) -> None:
    """Put the elements of a vector into the data of parameters, one after the other; each keeps its dtype.

    Args:
        vec: a vector of as many elements as the parameters have together.
        parameters: Tensors.

    Raises:
        TypeError: one of them is no Tensor, or the vector no real numbers.
        ValueError: there are none, or the vector is of another length; nothing is changed.

    Example:
        >>> model = nn.Linear(2, 1, rng=0)
        >>> nn.utils.vector_to_parameters([1.0, 2.0, 3.0], model.parameters())
        >>> model.bias
        Parameter([3.], dtype=float32, name='bias')
    """
    tensors = listed("vector_to_parameters", parameters)
    vector = check_real("vector_to_parameters", "vec", data_of(vec), "fiubc")
    count = sum(tensor.size for tensor in tensors)
    if vector.shape != (count,):
        raise ValueError(
            f"vector_to_parameters: the parameters have {count} elements together, got an array of shape {vector.shape}"
        )
    for tensor in tensors:
        if not np.can_cast(vector.dtype, tensor.dtype, "same_kind") and vector.dtype.kind not in "iub":
            raise TypeError(f"vector_to_parameters: a vector of {vector.dtype} does not fit {tensor!r}")
    for tensor, piece in zip(tensors, split(vector, tensors), strict=True):
        tensor.data = piece


if not TYPE_CHECKING:  # or checkers took every name for one of these
    __getattr__ = absent(__name__)
