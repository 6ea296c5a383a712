"""Products of vectors, matrices and stacks of them, and decompositions."""

import math
import string
from collections.abc import Mapping
from typing import Any

import numpy as np

from autodiff.batching.array import Batched, Level
from autodiff.batching.reductions import axes_of, flat
from autodiff.batching.table import (
    as_composition,
    batched,
    composed,
    enter,
    lined_up,
    of_first,
    of_matrices,
    wrapped,
)
from autodiff.core.rule import Array
from autodiff.core.tensor import as_array
from autodiff.rules.linalg import contracted_axes, einsum_terms


def _matmul(level: Level, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Stacks broadcast as those of members do; a vector counts as a matrix of one row (x) or column (y).

    Each product is made as that of a member is, so that it has the same bits.
    """
    x, y = args
    is_row, is_column = np.ndim(x) == 1, np.ndim(y) == 1
    if kwargs or not np.ndim(x) or not np.ndim(y):
        return NotImplemented
    ndim = max(2, np.ndim(x), np.ndim(y))
    product = np.matmul(_stack(x, level, ndim, is_row, False), _stack(y, level, ndim, False, is_column))
    if is_column:
        product = product[..., 0]
    if is_row:
        product = product[..., 0] if is_column else product[..., 0, :]
    return Batched(product, level)


def _stack(x: Any, level: Level, ndim: int, is_row: bool, is_column: bool) -> Any:
    """Give a matrix, or a stack of as many axes as others have, for all members; a vector gets one more axis."""
    has_batch = batched(x, level)
    array = x.array if has_batch else as_array(x)
    if is_row or is_column:
        array = array[..., None, :] if is_row else array[..., None]
    missing = ndim + 1 - array.ndim
    if not has_batch or not missing:
        return array
    return np.reshape(array, (level.size, *(1,) * missing, *array.shape[1:]))


enter(np.matmul, _matmul)


# Products that are said in others


def _dot(x: Array, y: Array) -> Any:
    x, y = as_array(x), as_array(y)
    if not x.ndim or not y.ndim:
        return x * y
    return x @ y if max(x.ndim, y.ndim) <= 2 else _tensordot(x, y, (-1, -min(2, y.ndim)))


def _inner(x: Array, y: Array) -> Any:
    x, y = as_array(x), as_array(y)
    return _tensordot(x, y, (-1, -1)) if x.ndim and y.ndim else x * y


def _outer(x: Array, y: Array) -> Any:
    return np.ravel(x)[:, None] * np.ravel(y)[None, :]


def _tensordot(x: Array, y: Array, axes: Any = 2) -> Any:
    """Multiply two matrices: what is kept of x by what is summed, and that by what is kept of y."""
    x, y = as_array(x), as_array(y)
    x_summed, y_summed, x_kept, y_kept = contracted_axes(x, y, axes)
    shape = [x.shape[k] for k in x_kept] + [y.shape[k] for k in y_kept]
    size = math.prod(x.shape[k] for k in x_summed)
    rows, columns = (math.prod(array.shape[k] for k in kept) for array, kept in ((x, x_kept), (y, y_kept)))
    left = np.reshape(np.transpose(x, x_kept + x_summed), (rows, size))
    return np.reshape(left @ np.reshape(np.transpose(y, y_summed + y_kept), (size, columns)), shape)


def _cross(x: Array, y: Array, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    x, y = np.moveaxis(x, axisa, -1), np.moveaxis(y, axisb, -1)
    if x.shape[-1] != 3 or y.shape[-1] != 3:
        return NotImplemented
    (a, b, c), (d, e, f) = (tuple(one[..., k] for k in range(3)) for one in (x, y))
    return np.stack([b * f - c * e, c * d - a * f, a * e - b * d], axis=axisc)


def _vecdot(level: Level, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    x, y = args
    if (axis := kwargs.get("axis", -1)) != -1:
        x, y = np.moveaxis(x, axis, -1), np.moveaxis(y, axis, -1)
    if kwargs.keys() - {"axis"}:
        return NotImplemented
    return wrapped(np.vecdot(*lined_up((x, y), level, (1, 1))), level)


def _einsum(level: Level, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The batch is one more label, the first of operands that have one and of the result."""
    operands, terms, result = einsum_terms(args)
    labels = dict.fromkeys(label for term in (result, *terms) for label in term)
    letters = dict(zip(labels, string.ascii_letters[1:]))
    words = [
        "a" * batched(operand, level) + "".join(letters[label] for label in term)
        for operand, term in zip(operands, terms)
    ]
    arrays = [operand.array if batched(operand, level) else operand for operand in operands]
    word = "a" + "".join(letters[label] for label in result)
    return wrapped(np.einsum(f"{','.join(words)}->{word}", *arrays, **kwargs), level)


as_composition(np.dot, _dot)
as_composition(np.inner, _inner)
as_composition(np.outer, _outer)
as_composition(np.vdot, lambda x, y: np.vecdot(np.ravel(x), np.ravel(y)))
as_composition(np.tensordot, _tensordot)
as_composition(np.cross, _cross)
enter(np.vecdot, _vecdot)
enter(np.einsum, _einsum)
composed(np.kron)
as_composition(np.linalg.matmul, np.matmul)
as_composition(np.linalg.outer, lambda x, y: _outer(x, y) if np.ndim(x) == np.ndim(y) == 1 else NotImplemented)
as_composition(np.linalg.tensordot, lambda x, y, /, *, axes=2: _tensordot(x, y, axes))
as_composition(np.linalg.vecdot, lambda x, y, /, *, axis=-1: np.vecdot(x, y, axis=axis))
as_composition(np.linalg.cross, lambda x, y, /, *, axis=-1: _cross(x, y, axis=axis))

# What has stacks by itself

of_matrices(np.linalg.inv, np.linalg.pinv, np.linalg.det, np.linalg.slogdet, np.linalg.cholesky, np.linalg.qr)
of_matrices(np.linalg.eig, np.linalg.eigh, np.linalg.eigvals, np.linalg.eigvalsh, np.linalg.svd, np.linalg.svdvals)
of_matrices(np.linalg.matrix_norm, np.linalg.matrix_power, np.linalg.matrix_rank, np.linalg.cond)
of_matrices(np.linalg.trace, np.linalg.diagonal)
composed(np.linalg.tensorsolve, np.linalg.tensorinv)


def _solve(level: Level, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Only a right side of one axis is a vector."""
    a, b = args
    is_vector = np.ndim(b) == 1
    x = np.linalg.solve(*lined_up((a, as_array(b)[..., None] if is_vector else b), level, (2, 2)))
    return wrapped(x[..., 0] if is_vector else x, level)


def _norm(x: Array, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    if axis is None and (ord is None or (ord in ("f", "fro") and x.ndim == 3) or (ord == 2 and x.ndim == 2)):
        root = np.sqrt(np.vecdot(rows := flat(x), rows))
        return np.reshape(root, (len(x), *(1,) * (x.ndim - 1))) if keepdims else root
    if axis is None and x.ndim not in (2, 3):
        return NotImplemented
    axes = axes_of(x, axis)
    return np.linalg.norm(x, ord, axes[0] if axis is None and x.ndim == 2 else axes, keepdims)


def _vector_norm(x: Array, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    if axis is not None:
        return np.linalg.vector_norm(x, axis=axes_of(x, axis), keepdims=keepdims, ord=ord)
    norm = np.linalg.vector_norm(flat(x), axis=1, ord=ord)
    return np.reshape(norm, (len(x), *(1,) * (x.ndim - 1))) if keepdims else norm


enter(np.linalg.solve, _solve)
of_first(np.linalg.norm, _norm)
of_first(np.linalg.vector_norm, _vector_norm)
