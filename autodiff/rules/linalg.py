"""Products of vectors, matrices and stacks of them, and what rearranges or cuts a matrix.

``vdot``, ``vecdot`` and ``vecmat`` conjugate their first argument, so its gradient is the conjugate of that of a
product, and the second's is taken with the conjugate of the first. All others are linear in both.
"""

import string
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from autodiff.arrays.foreign import is_sparse
from autodiff.core.rule import Array, defvjp, describe
from autodiff.core.tape import conj, unbroadcast
from autodiff.core.tensor import as_array
from autodiff.rules.elementwise import through
from autodiff.rules.indexing import scatter_add
from autodiff.transforms.composition import defcomposition


def swap_last_axes(x: Array) -> Array:
    """Transpose a matrix, or each of a stack; NumPy's functions do not take sparse ones."""
    return x.T if is_sparse(x) else np.swapaxes(x, -1, -2)


def _times_vector(x: Array, v: Array) -> Array:
    """``x v``, of a vector, or of a stack of vectors and matrices."""
    return x @ v if v.ndim == 1 else (x @ v[..., None])[..., 0]


def _matmul_x(g: Array, out: Array, x: Array, y: Array) -> Array:
    """``g yᵀ``; a vector counts as a row (x) or a column (y) of a matrix. Stacks that broadcast, the tape sums."""
    y = as_array(y)
    if y.ndim == 1:
        return g * y if x.ndim == 1 else g[..., None] * y
    return _times_vector(y, g) if x.ndim == 1 else g @ swap_last_axes(y)


def _matmul_y(g: Array, out: Array, x: Array, y: Array) -> Array:
    """``xᵀ g``, with vectors and stacks as in `_matmul_x`."""
    x = as_array(x)
    if x.ndim == 1:
        return g * x if y.ndim == 1 else x[:, None] * g[..., None, :]
    return _times_vector(swap_last_axes(x), g) if y.ndim == 1 else swap_last_axes(x) @ g


defvjp(np.matmul, _matmul_x, _matmul_y)
defvjp(np.linalg.matmul, _matmul_x, _matmul_y, elementwise=True)


# dot(x, y) sums over the last axis of x and the last but one of y: the same, but of stacks each with each.


def _dot_x(g: Array, out: Array, x: Array, y: Array) -> Array:
    y = as_array(y)
    if x.ndim == 0 or y.ndim == 0:
        return unbroadcast(g * y, x.shape)
    return _matmul_x(g, out, x, y) if y.ndim <= 2 else _tensordot_x(g, out, x, y, (-1, -2))


def _dot_y(g: Array, out: Array, x: Array, y: Array) -> Array:
    x = as_array(x)
    if x.ndim == 0 or y.ndim == 0:
        return unbroadcast(g * x, y.shape)
    return _matmul_y(g, out, x, y) if max(x.ndim, y.ndim) <= 2 else _tensordot_y(g, out, x, y, (-1, -min(2, y.ndim)))


defvjp(np.dot, _dot_x, _dot_y)

# Products of vectors


def _vecdot_x(g: Array, out: Array, x: Array, y: Array, *, axis: int = -1) -> Array:
    """``g y``, conjugated, where the vectors lie along ``axis`` of both, and the other axes broadcast."""
    product = g[..., None] * np.moveaxis(as_array(y), axis, -1)
    return conj(np.moveaxis(unbroadcast(product, np.moveaxis(x, axis, -1).shape), -1, axis))


def _vecdot_y(g: Array, out: Array, x: Array, y: Array, *, axis: int = -1) -> Array:
    return _vecdot_x(conj(g), out, y, x, axis=axis)


def _cross_x(
    g: Array, out: Array, x: Array, y: Array, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Array:
    """``y × g``, since ``g · (x × y) = x · (y × g)``."""
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    x, y = np.moveaxis(x, axisa, -1), np.moveaxis(as_array(y), axisb, -1)
    return np.moveaxis(unbroadcast(np.cross(y, np.moveaxis(g, axisc, -1)), x.shape), -1, axisa)


def _cross_y(
    g: Array, out: Array, x: Array, y: Array, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Array:
    """``g × x``, the negative of what it is for x."""
    return -_cross_x(g, out, y, x, axisb, axisa, axisc, axis)


def _refuse_cross(
    x: Array, y: Array, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> None:
    axisa, axisb = (axisa, axisb) if axis is None else (axis, axis)
    if np.shape(x)[axisa] == 2 or np.shape(y)[axisb] == 2:
        raise NotImplementedError("cross of vectors with two components has no derivative rule: give them a third, 0")


def _linalg_cross_x(g: Array, out: Array, x: Array, y: Array, *, axis: int = -1) -> Array:
    return _cross_x(g, out, x, y, axis=axis)


def _linalg_cross_y(g: Array, out: Array, x: Array, y: Array, *, axis: int = -1) -> Array:
    return _cross_y(g, out, x, y, axis=axis)


def _in_shape(x: Array, shape: tuple[int, ...]) -> Array:
    x = as_array(x)
    return x if x.shape == shape else np.reshape(np.ravel(x), shape)


def _outer_x(g: Array, out: Array, x: Array, y: Array) -> Array:
    return np.reshape(g @ np.reshape(y, (-1,)), x.shape)


def _outer_y(g: Array, out: Array, x: Array, y: Array) -> Array:
    return np.reshape(np.reshape(x, (-1,)) @ g, y.shape)


defvjp(
    np.vdot,
    lambda g, out, x, y: conj(g * _in_shape(y, x.shape)),
    lambda g, out, x, y: g * conj(_in_shape(x, y.shape)),
)
for _outer in (np.outer, np.linalg.outer):
    defvjp(_outer, _outer_x, _outer_y)
for _vecdot in (np.vecdot, np.linalg.vecdot):
    defvjp(_vecdot, _vecdot_x, _vecdot_y)
defvjp(np.cross, _cross_x, _cross_y)
describe(np.cross, refuses=_refuse_cross)
defvjp(np.linalg.cross, _linalg_cross_x, _linalg_cross_y)
if hasattr(np, "matvec"):  # since NumPy 2.2
    defvjp(
        np.matvec,
        lambda g, out, x, y: g[..., :, None] * as_array(y)[..., None, :],
        lambda g, out, x, y: np.vecmat(conj(g), as_array(x)),
    )
    defvjp(
        np.vecmat,
        lambda g, out, x, y: conj(np.matvec(as_array(y), g)),
        lambda g, out, x, y: conj(as_array(x))[..., :, None] * g[..., None, :],
    )

# Sums of products over any axes


def contracted_axes(x: Array, y: Array, axes: Any) -> tuple[list[int], list[int], list[int], list[int]]:
    """List the axes of x and y that tensordot sums over, pair by pair, and those of each that it keeps."""
    if isinstance(axes, int | np.integer):
        axes = range(-axes, 0), range(axes)
    x_summed, y_summed = (
        [axis % array.ndim for axis in ([these] if isinstance(these, int | np.integer) else these)]
        for array, these in zip((x, y), axes, strict=True)
    )
    x_kept, y_kept = (
        [axis for axis in range(array.ndim) if axis not in summed] for array, summed in ((x, x_summed), (y, y_summed))
    )
    return x_summed, y_summed, x_kept, y_kept


def _tensordot_x(g: Array, out: Array, x: Array, y: Array, axes: Any = 2) -> Array:
    """Sum ``g y`` over the axes that came from y. What y was summed over is left, and goes where it is in x."""
    y = as_array(y)
    x_summed, y_summed, x_kept, y_kept = contracted_axes(x, y, axes)
    product = np.tensordot(g, y, (list(range(len(x_kept), g.ndim)), y_kept))
    came_from = x_kept + [x_summed[pair] for pair in np.argsort(y_summed)]
    return np.transpose(product, np.argsort(came_from).tolist())


def _tensordot_y(g: Array, out: Array, x: Array, y: Array, axes: Any = 2) -> Array:
    x = as_array(x)
    x_summed, y_summed, x_kept, y_kept = contracted_axes(x, y, axes)
    product = np.tensordot(x, g, (x_kept, list(range(len(x_kept)))))
    came_from = [y_summed[pair] for pair in np.argsort(x_summed)] + y_kept
    return np.transpose(product, np.argsort(came_from).tolist())


def _inner_x(g: Array, out: Array, x: Array, y: Array) -> Array:
    y = as_array(y)
    if x.ndim == 0 or y.ndim == 0:
        return unbroadcast(g * y, x.shape)
    return _tensordot_x(g, out, x, y, (-1, -1))


def _inner_y(g: Array, out: Array, x: Array, y: Array) -> Array:
    x = as_array(x)
    if x.ndim == 0 or y.ndim == 0:
        return unbroadcast(g * x, y.shape)
    return _tensordot_y(g, out, x, y, (-1, -1))


def _kron(x: Array, y: Array) -> Array:
    """Multiply each element of x with each of y, along axes of its own, and join the axes in pairs."""
    x, y = as_array(x), as_array(y)
    ndim = max(x.ndim, y.ndim)
    x_shape, y_shape = ((1,) * (ndim - array.ndim) + tuple(array.shape) for array in (x, y))
    blocks = np.reshape(x, [size for n in x_shape for size in (n, 1)])
    block = np.reshape(y, [size for n in y_shape for size in (1, n)])
    return np.reshape(blocks * block, [n * m for n, m in zip(x_shape, y_shape, strict=True)])


def einsum_terms(args: Sequence[Any]) -> tuple[list[Array], list[list[Any]], list[Any]]:
    """Read the call of einsum, in either of its formats, and spell out what it leaves implicit.

    Returns:
        The operands, the label of each of their axes, and the labels of the result's axes.
    """
    result: Any = None
    if isinstance(args[0], str):
        inputs, arrow, output = args[0].replace(" ", "").replace("...", ".").partition("->")
        operands = list(args[1:])
        terms: list[Any] = inputs.split(",")
        result = output if arrow else None
    else:
        operands, terms = list(args[: len(args) - 1 : 2]), list(args[1::2])
        result = args[-1] if len(args) % 2 else None
    terms = [[Ellipsis if label == "." else label for label in term] for term in terms]
    if result is None:
        everywhere = [label for term in terms for label in term]
        once = sorted(label for label in set(everywhere) - {Ellipsis} if everywhere.count(label) == 1)
        result = [Ellipsis, *once]
    # An ellipsis stands for the axes that are left, which are aligned at the last.
    counts = [np.ndim(operand) - sum(label is not Ellipsis for label in term) for operand, term in zip(operands, terms)]
    hidden = [(Ellipsis, position) for position in range(-max(counts), 0)]
    spelled = [
        [one for label in term for one in (hidden[len(hidden) - count :] if label is Ellipsis else [label])]
        for count, term in zip(counts, terms)
    ]
    return operands, spelled, [one for label in result for one in (hidden if label in (Ellipsis, ".") else [label])]


def _einsum(position: int, g: Array, out: Array, *args: Any, optimize: Any = False) -> Array:
    """Give the sum of products of ``g`` with all other operands, over the labels that this operand does not have.

    Along a label that only this operand has, it was summed, and takes the same gradient everywhere; of one that it has
    twice, only the diagonal was taken, and the gradient is zero elsewhere.
    """
    operands, terms, result = einsum_terms(args)
    number = position - 1 if isinstance(args[0], str) else position // 2
    x, own = operands.pop(number), terms.pop(number)
    letters = dict(zip(dict.fromkeys(label for term in (result, *terms) for label in term), string.ascii_letters))
    new = [axis for axis, label in enumerate(own) if label not in letters or label in own[:axis]]
    labels = ",".join("".join(letters[label] for label in term) for term in (result, *terms))
    left = "".join(letters[label] for axis, label in enumerate(own) if axis not in new)
    if isinstance(optimize, list | tuple) and optimize[0] == "einsum_path":
        optimize = True  # the path was one for the other operands
    gradient = np.einsum(f"{labels}->{left}", g, *operands, optimize=optimize)
    gradient = np.expand_dims(gradient, tuple(new)) if new else gradient
    if gradient.shape != x.shape:  # an axis of length one goes with any other length, here and there
        once = tuple(1 if 1 in sizes else max(sizes) for sizes in zip(gradient.shape, x.shape, strict=True))
        gradient = np.broadcast_to(unbroadcast(gradient, once), x.shape)
    firsts = [own.index(label) for label in own]
    places = np.ogrid[tuple(slice(size) for size in x.shape)]
    for axis, first in enumerate(firsts):
        if first != axis:
            gradient = np.where(places[axis] == places[first], gradient, 0)
    return gradient


def _linalg_tensordot_x(g: Array, out: Array, x: Array, y: Array, *, axes: Any = 2) -> Array:
    return _tensordot_x(g, out, x, y, axes)


def _linalg_tensordot_y(g: Array, out: Array, x: Array, y: Array, *, axes: Any = 2) -> Array:
    return _tensordot_y(g, out, x, y, axes)


defvjp(np.tensordot, _tensordot_x, _tensordot_y)
defvjp(np.linalg.tensordot, _linalg_tensordot_x, _linalg_tensordot_y)
defvjp(np.inner, _inner_x, _inner_y)
defcomposition(np.kron, _kron, arguments=2)
defvjp(np.einsum, *[partial(_einsum, position) for position in range(64)])  # NumPy takes no more arguments


# Diagonals and triangles


def _trace(g: Array, out: Array, x: Array, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Array:
    """``g`` on the diagonal, in every matrix of the stack."""
    g = through(g, dtype)
    rows, columns = x.shape[axis1], x.shape[axis2]
    is_diagonal = np.eye(rows, columns, offset, dtype=bool)
    return np.moveaxis(np.where(is_diagonal, g[..., None, None], 0), (-2, -1), (axis1, axis2))


def _diagonal(g: Array, out: Array, x: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """``g`` on the diagonal that was taken, 0 elsewhere."""
    shape = np.moveaxis(x, (axis1, axis2), (-2, -1)).shape
    places = np.nonzero(np.eye(shape[-2], shape[-1], offset, dtype=bool))
    return np.moveaxis(scatter_add(g, (..., *places), shape), (-2, -1), (axis1, axis2))


def _linalg_trace(g: Array, out: Array, x: Array, *, offset: int = 0, dtype: Any = None) -> Array:
    return _trace(g, out, x, offset, -2, -1, dtype)


def _linalg_diagonal(g: Array, out: Array, x: Array, *, offset: int = 0) -> Array:
    return _diagonal(g, out, x, offset, -2, -1)


def _diag(g: Array, out: Array, v: Array, k: int = 0) -> Array:
    """Undo what it did: take the diagonal of a matrix that was made of a vector, and else put it back."""
    return np.diagonal(g, k) if v.ndim == 1 else _diagonal(g, out, v, k)


def _vander(g: Array, out: Array, x: Array, N: Any = None, increasing: bool = False) -> Array:
    """Sum ``g n x^(n-1)`` over the powers n > 0."""
    powers = (g if increasing else g[:, ::-1])[:, 1:]
    n = np.arange(1, powers.shape[1] + 1, dtype=g.dtype)
    return np.sum(powers * n * np.vander(x, powers.shape[1], increasing=True), axis=1)


defvjp(np.trace, _trace)
defvjp(np.linalg.trace, _linalg_trace)
defvjp(np.diagonal, _diagonal)
defvjp(np.linalg.diagonal, _linalg_diagonal)
defvjp(np.diag, _diag)
defvjp(np.diagflat, lambda g, out, v, k=0: np.reshape(np.diagonal(g, k), np.shape(v)))
defvjp(np.tril, lambda g, out, m, k=0: np.tril(g, k), elementwise=True)  # a vector is broadcast to a square
defvjp(np.triu, lambda g, out, m, k=0: np.triu(g, k), elementwise=True)
defvjp(np.linalg.matrix_transpose, lambda g, out, x: swap_last_axes(g))
defvjp(np.vander, _vander)
