"""Products of vectors, matrices and stacks of them, and decompositions."""

import math
import string
from typing import Any

import numpy as np

from autodiff.batching.array import Batched, Level
from autodiff.batching.reductions import axes_of, flat
from autodiff.batching.table import (
    Args,
    Options,
    as_composition,
    batched,
    enter,
    lined_up,
    of_first,
    of_matrices,
    wrapped,
)
from autodiff.core.rule import Array
from autodiff.core.tensor import as_array
from autodiff.rules.linalg import contracted_axes, einsum_terms
from autodiff.transforms.composition import composition_of


def _matmul(level: Level, args: Args, kwargs: Options) -> Any:
    """A vector counts as a matrix of one row (x) or column (y): so each product has the bits of a member's."""
    x, y = args
    if type(x) is np.ndarray and x.ndim == 2 and y.ndim == 1:  # at once, since walks back are made of it
        return Batched(np.matmul(x, y.array[..., None], **kwargs)[..., 0], level)
    is_row, is_column = np.ndim(x) == 1, np.ndim(y) == 1
    left, right = lined_up((x, y), level, (2 - is_row, 2 - is_column))
    product = np.matmul(left[..., None, :] if is_row else left, right[..., None] if is_column else right, **kwargs)
    product = product[..., 0] if is_column else product
    return Batched(product if not is_row else product[..., 0] if is_column else product[..., 0, :], level)


def _dot(x: Array, y: Array) -> Any:
    x, y = as_array(x), as_array(y)
    if not x.ndim or not y.ndim:
        return x * y
    return x @ y if max(x.ndim, y.ndim) <= 2 else _tensordot(x, y, (-1, -min(2, y.ndim)))


def _inner(x: Array, y: Array) -> Any:
    return _tensordot(x, y, (-1, -1)) if np.ndim(x) and np.ndim(y) else np.multiply(x, y)


def _outer(x: Array, y: Array) -> Any:
    return np.ravel(x)[:, None] * np.ravel(y)[None, :]


def _tensordot(x: Array, y: Array, axes: Any = 2) -> Any:
    """Multiply two matrices: what is kept of x by what is summed, and that by what is kept of y."""
    x, y = as_array(x), as_array(y)
    x_summed, y_summed, x_kept, y_kept = contracted_axes(x, y, axes)
    kept = [x.shape[k] for k in x_kept], [y.shape[k] for k in y_kept]
    size = math.prod(x.shape[k] for k in x_summed)
    left = np.reshape(np.transpose(x, x_kept + x_summed), (math.prod(kept[0]), size))
    right = np.reshape(np.transpose(y, y_summed + y_kept), (size, math.prod(kept[1])))
    return np.reshape(left @ right, kept[0] + kept[1])


def _cross(level: Level, args: Args, kwargs: Options) -> Any:
    x, y, *axes = args
    names = ("axis",) * 3 if kwargs.get("axis") is not None else ("axisa", "axisb", "axisc")
    axisa, axisb, axisc = (*axes, *(kwargs.get(name, -1) for name in names[len(axes) :]))
    product = np.cross(*lined_up((np.moveaxis(x, axisa, -1), np.moveaxis(y, axisb, -1)), level, (1, 1)))
    whole: Any = Batched(product, level)
    return np.moveaxis(whole, -1, axisc)


def _vecdot(level: Level, args: Args, kwargs: Options) -> Any:
    moved = args if (axis := kwargs.get("axis", -1)) == -1 else [np.moveaxis(x, axis, -1) for x in args]
    return wrapped(np.vecdot(*lined_up(moved, level, (1, 1))), level)


def _einsum(level: Level, args: Args, kwargs: Options) -> Any:
    """The batch is one more label, the first of operands that have one and of the result."""
    operands, terms, result = einsum_terms(args)
    labels = dict.fromkeys(label for term in (result, *terms) for label in term)
    letters = dict(zip(labels, string.ascii_letters[1:], strict=False))
    *words, word = ("".join(letters[label] for label in term) for term in (*terms, result))
    words = ["a" * batched(x, level) + term for x, term in zip(operands, words, strict=True)]
    arrays = [x.array if batched(x, level) else x for x in operands]
    return wrapped(np.einsum(f"{','.join(words)}->a{word}", *arrays, **kwargs), level)


enter(np.matmul, _matmul)
as_composition(np.dot, _dot)
as_composition(np.inner, _inner)
as_composition(np.outer, _outer)
as_composition(np.tensordot, _tensordot)
as_composition(np.vdot, lambda x, y: np.vecdot(np.ravel(x), np.ravel(y)))
enter(np.vecdot, _vecdot)
enter(np.cross, _cross)
enter(np.einsum, _einsum)
as_composition(np.kron, composition_of(np.kron))
as_composition(np.linalg.matmul, np.matmul)
as_composition(np.linalg.outer, lambda x, y: _outer(x, y) if np.ndim(x) == np.ndim(y) == 1 else NotImplemented)
as_composition(np.linalg.tensordot, lambda x, y, /, *, axes=2: _tensordot(x, y, axes))
as_composition(np.linalg.vecdot, np.vecdot)
as_composition(np.linalg.cross, lambda x, y, /, *, axis=-1: np.cross(x, y, axis=axis))

# What takes stacks by itself

of_matrices(np.linalg.inv, np.linalg.pinv, np.linalg.det, np.linalg.slogdet, np.linalg.cholesky, np.linalg.qr)
of_matrices(np.linalg.eig, np.linalg.eigh, np.linalg.eigvals, np.linalg.eigvalsh, np.linalg.svd, np.linalg.svdvals)
of_matrices(np.linalg.matrix_norm, np.linalg.matrix_power, np.linalg.matrix_rank, np.linalg.cond, np.linalg.trace)
of_first(
    np.trace,
    lambda x, offset=0, axis1=0, axis2=1, *rest, **options: np.trace(
        x, offset, axes_of(x, axis1), axes_of(x, axis2), *rest, **options
    ),
)


def _solve(level: Level, args: Args, kwargs: Options) -> Any:
    """Only a right side of one axis is a vector."""
    a, b = args
    if np.ndim(b) != 1:
        return wrapped(np.linalg.solve(*lined_up((a, b), level, (2, 2))), level)
    return wrapped(np.linalg.solve(*lined_up((a, np.expand_dims(b, 1)), level, (2, 2)))[..., 0], level)


def _norm(x: Array, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    if axis is None and (ord is None or (ord in ("f", "fro") and x.ndim == 3) or (ord == 2 and x.ndim == 2)):
        rows = flat(x)
        if x.dtype.kind == "c":
            real, imag = np.real(rows), np.imag(rows)
            norm = np.sqrt(np.vecdot(real, real) + np.vecdot(imag, imag))
        else:
            norm = np.sqrt(np.vecdot(rows, rows))
        return np.reshape(norm, (len(x), *(1,) * (x.ndim - 1))) if keepdims else norm
    if axis is None and x.ndim not in (2, 3):
        return NotImplemented
    return np.linalg.norm(x, ord, 1 if axis is None and x.ndim == 2 else axes_of(x, axis), keepdims)


def _vector_norm(x: Array, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    if axis is not None:
        return np.linalg.vector_norm(x, axis=axes_of(x, axis), keepdims=keepdims, ord=ord)
    norm = np.linalg.vector_norm(flat(x), axis=1, ord=ord)
    return np.reshape(norm, (len(x), *(1,) * (x.ndim - 1))) if keepdims else norm


enter(np.linalg.solve, _solve)
of_first(np.linalg.norm, _norm)
of_first(np.linalg.vector_norm, _vector_norm)
