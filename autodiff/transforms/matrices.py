"""Whole matrices of derivatives, of products with all unit vectors: Jacobians and Hessians."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from autodiff.core.clock import tick
from autodiff.core.record import data_of
from autodiff.core.rule import Array
from autodiff.core.tensor import is_complex
from autodiff.transforms.forward import linear_map, uneven
from autodiff.transforms.reverse import gradient_of
from autodiff.transforms.run import Argnums, Function, Plan, Run


def jacobian(function: Function, argnums: Argnums = 0, *, has_aux: bool = False, holomorphic: bool = False) -> Function:
    """Make the function that gives the Jacobian: the derivative of every output by every input.

    Args:
        function: takes and returns arrays or Tensors of any shape, or nested containers of them.
        argnums: which positional argument to differentiate by, or a tuple or list of several.
        has_aux: the function returns a pair, of which only the first is differentiated; the second is handed on.
        holomorphic: the function is one of complex numbers that has complex derivatives, which are wanted.

    Returns:
        A function of the same arguments. For an output of shape ``(m, n)`` and an argument of shape ``(k,)`` it gives
        an array of shape ``(m, n, k)``: the output's shape, then the argument's. Containers nest in the same way: the
        output's form, and in place of each of its arrays the form of the argument (or the tuple of several). With
        fewer inputs than outputs it is computed by columns, else by rows: a batch of them at once, of which the values
        of the function take `products.BYTES_AT_ONCE` (256 MiB) at most. Where a rule, an array of another library or
        a watch cannot take a batch, one after the other. Complex outputs of real arguments have complex derivatives;
        a row for a real output of complex arguments is its gradient, as `grad` gives it.

    Raises:
        TypeError: ``function`` is not callable, an argument is not numbers, or an output and an argument are both
            complex, and the function is not said to be holomorphic.
        ValueError: an argnum is out of range, or the function is not holomorphic.

    Example:
        >>> import numpy as np
        >>> ad.jacobian(lambda x: x**2)(np.array([1.0, 2.0, 3.0]))
        array([[2., 0., 0.],
               [0., 4., 0.],
               [0., 0., 6.]])
        >>> ad.jacobian(lambda x: np.outer(x, x))(np.ones(3)).shape
        (3, 3, 3)
    """
    return _jacobian(Plan("jacobian", function, argnums, has_aux, holomorphic))


def hessian(function: Function, argnums: Argnums = 0, *, has_aux: bool = False, holomorphic: bool = False) -> Function:
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
    plan = Plan("hessian", function, argnums, has_aux, holomorphic)
    return _jacobian(Plan("hessian", gradient_of(plan), argnums, has_aux, holomorphic))


def _jacobian(plan: Plan) -> Function:
    @functools.wraps(plan.function)
    def derivative(*args: Any, **kwargs: Any) -> Any:
        # Which also brings the table of batches, that not every program needs.
        from autodiff.transforms.products import products_with_unit_vectors, size

        began = tick()
        run = Run(plan, args, kwargs)
        run.check_outputs()
        outputs = [data_of(leaf) for leaf in run.outputs]
        inputs = [data_of(leaf) for leaf in run.inputs]
        by_column = sum(map(size, inputs)) < sum(map(size, outputs))
        if any(map(is_complex, inputs)) or any(map(is_complex, outputs)):
            by_column = _by_column(run)
        if by_column:
            columns = products_with_unit_vectors(run, linear_map(run), inputs, began)
            rows = [[_block(columns[j], k, y, x, True) for j, x in enumerate(inputs)] for k, y in enumerate(outputs)]
        else:
            products = products_with_unit_vectors(run, functools.partial(run.pull, hooks="none"), outputs, began)
            rows = [[_block(products[k], j, y, x, False) for j, x in enumerate(inputs)] for k, y in enumerate(outputs)]
        result = run.pack_output([(run.pack if by_column else run.pack_gradients)(row) for row in rows])
        return (result, run.aux) if plan.has_aux else result

    return derivative


def _by_column(run: Run) -> bool:
    """Whether the derivative of complex numbers, or by them, is found by columns; what has none is refused."""
    if run.plan.holomorphic:
        # Not ones: in a sum, conjugates of one output may cancel those of another.
        seeds = [(k + 1) * uneven(leaf) for k, leaf in enumerate(run.outputs)]
        run.check_holomorphic(seeds, run.pull(seeds, hooks="none"))
        return False
    if any(map(is_complex, run.inputs)) and any(map(is_complex, run.outputs)):
        raise TypeError(
            f"{run.plan.called}: the derivative of complex numbers by complex ones is one number only for a "
            "holomorphic function: say holomorphic=True, or differentiate real and imaginary parts, or use jvp"
        )
    return any(map(is_complex, run.outputs))  # a row would be the gradient of its real part


def _block(products: list[Any], position: int, y: Array, x: Array, by_column: bool) -> Any:
    """Give the derivative of ``y`` by ``x``, of its dtype, from the products with the unit vectors of one of them."""
    shape = np.shape(y) + x.shape
    dtype = np.result_type(x, 1j) if is_complex(y) else x.dtype
    if not products:
        return np.zeros(shape, dtype)
    block = products[position]
    if by_column:
        block = np.moveaxis(block, 0, -1)
    if block.shape != shape:
        block = np.reshape(block, shape)
    return block if block.dtype == dtype else block.astype(dtype)
