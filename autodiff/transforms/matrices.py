"""Whole matrices of derivatives, a row or a column at a time: Jacobians and Hessians."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from autodiff.core.record import data_of
from autodiff.core.rule import Array
from autodiff.transforms.forward import linear_map
from autodiff.transforms.reverse import gradient_of
from autodiff.transforms.run import Argnums, Function, Plan, Run


def jacobian(function: Function, argnums: Argnums = 0, *, has_aux: bool = False) -> Function:
    """Make the function that gives the Jacobian: the derivative of every output by every input.

    Args:
        function: takes and returns arrays or Tensors of any shape, or nested containers of them.
        argnums: which positional argument to differentiate by, or a tuple or list of several.
        has_aux: the function returns a pair, of which only the first is differentiated; the second is handed on.

    Returns:
        A function of the same arguments. For an output of shape ``(m, n)`` and an argument of shape ``(k,)`` it gives
        an array of shape ``(m, n, k)``: the output's shape, then the argument's. Containers nest in the same way: the
        output's form, and in place of each of its arrays the form of the argument (or the tuple of several). With
        fewer inputs than outputs it is computed column by column, else row by row.

    Raises:
        TypeError: ``function`` is not callable, or an argument is not real numbers.
        ValueError: an argnum is out of range.

    Example:
        >>> import numpy as np
        >>> ad.jacobian(lambda x: x**2)(np.array([1.0, 2.0, 3.0]))
        array([[2., 0., 0.],
               [0., 4., 0.],
               [0., 0., 6.]])
        >>> ad.jacobian(lambda x: np.outer(x, x))(np.ones(3)).shape
        (3, 3, 3)
    """
    return _jacobian("jacobian", function, argnums, has_aux)


def hessian(function: Function, argnums: Argnums = 0, *, has_aux: bool = False) -> Function:
    """Make the function that gives the Hessian of a scalar-valued function: all its second derivatives.

    Arguments and errors are those of `grad`.

    Returns:
        A function of the same arguments. For an argument of shape ``(m, n)`` it gives an array of shape
        ``(m, n, m, n)``; for several arguments, or containers, one array for each pair of them, nested.

    Example:
        >>> import numpy as np
        >>> ad.hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 2.0]))
        array([[4., 2.],
               [2., 0.]])
    """
    return _jacobian("hessian", gradient_of(Plan("hessian", function, argnums, has_aux)), argnums, has_aux)


def _jacobian(caller: str, function: Function, argnums: Argnums, has_aux: bool) -> Function:
    plan = Plan(caller, function, argnums, has_aux)

    @functools.wraps(function)
    def derivative(*args: Any, **kwargs: Any) -> Any:
        run = Run(plan, args, kwargs)
        run.check_outputs()
        outputs = [data_of(leaf) for leaf in run.outputs]
        inputs = [data_of(leaf) for leaf in run.inputs]
        by_column = sum(map(_size, inputs)) < sum(map(_size, outputs))
        multiply, by = (linear_map(run), inputs) if by_column else (functools.partial(run.pull, hooks="none"), outputs)
        products = map(multiply, _unit_vectors(by))
        groups = [list(itertools.islice(products, _size(array))) for array in by]
        rows = [
            [
                _joined(groups[j], k, -1, y, x) if by_column else _joined(groups[k], j, 0, y, x)
                for j, x in enumerate(inputs)
            ]
            for k, y in enumerate(outputs)
        ]
        result = run.pack_output(list(map(run.pack, rows)))
        return (result, run.aux) if has_aux else result

    return derivative


def _size(x: Array) -> int:
    return math.prod(np.shape(x))


def _unit_vectors(arrays: Sequence[Any]) -> Iterable[list[Any]]:
    """For each element of some arrays, give arrays like them that are one there and zero elsewhere."""
    for which, array in enumerate(arrays):
        for element in range(_size(array)):
            vectors = [np.zeros(np.shape(other), np.result_type(other)) for other in arrays]
            vectors[which].flat[element] = 1
            yield [vector[()] for vector in vectors]


def _joined(products: list[list[Any]], position: int, axis: int, y: Array, x: Array) -> Any:
    """Join along an axis what is at a position in each product: the derivative of ``y`` by ``x``, of its dtype."""
    shape = np.shape(y) + x.shape
    if not products:
        return np.zeros(shape, x.dtype)
    block = np.reshape(np.stack([product[position] for product in products], axis), shape)
    return block if block.dtype == x.dtype else block.astype(x.dtype)
