"""Reverse mode: the gradient of a result, and the function that multiplies by the Jacobian from the left."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from autodiff.core.rule import Array
from autodiff.core.tape import conj
from autodiff.transforms.containers import flatten
from autodiff.transforms.run import Argnums, Function, Plan, Run


def grad(function: Function, argnums: Argnums = 0, *, has_aux: bool = False, holomorphic: bool = False) -> Function:
    """Make the function that gives the gradient of a scalar-valued function.

    Args:
        function: takes arrays or Tensors, or lists, tuples, dicts and dataclasses of them however deep, and returns a
            scalar Tensor (an array of one element).
        argnums: which positional argument to differentiate by, or a tuple or list of several.
        has_aux: the function returns a pair, of which only the first is differentiated; the second is handed on.
        holomorphic: the function is one of complex numbers that has a complex derivative, which is wanted. The gradient
            of a real result by ``x + iy`` is, without it, PyTorch's ``∂f/∂x + i ∂f/∂y``, where JAX gives its conjugate.

    Returns:
        A function of the same arguments that returns the gradient: an array of the argument's shape and dtype, in the
        argument's container, or a tuple of them if ``argnums`` are several; with ``has_aux`` the pair of the gradient
        and what is handed on. It can be differentiated again. For an argument that is a Tensor, or where the function
        uses Tensors from outside that require a gradient, it is a Tensor; gradients flow through it. Where the result
        does not depend on the arguments, it is zero, and a warning says so once.

    Raises:
        TypeError: ``function`` is not callable, an argument is not numbers, or the result is not a real number, as a
            boolean is not, nor what may hide a Tensor, such as an array of objects; with ``holomorphic``, an argument
            or the result is not complex.
        ValueError: an argnum is out of range, the result is not a scalar, or the function is not holomorphic.

    Example:
        >>> import numpy as np
        >>> cube = lambda x: x**3
        >>> float(ad.grad(cube)(2.0)), float(ad.grad(ad.grad(cube))(2.0)), float(ad.grad(ad.grad(ad.grad(cube)))(2.0))
        (12.0, 12.0, 6.0)
        >>> ad.grad(lambda x: np.sin(x).sum())(np.zeros(3))
        array([1., 1., 1.])
        >>> ad.grad(lambda layer: (layer["w"] * layer["b"]).sum())({"w": np.ones(2), "b": np.zeros(2)})
        {'w': array([0., 0.]), 'b': array([1., 1.])}
        >>> z = 1 + 2j
        >>> complex(ad.grad(lambda z: abs(z) ** 2)(z)), complex(ad.grad(lambda z: z**2, holomorphic=True)(z))
        ((2+4j), (2+4j))
    """
    return gradient_of(Plan("grad", function, argnums, has_aux, holomorphic))


def gradient_of(plan: Plan, of_scalar: bool = True) -> Function:
    """Make the function that gives the gradient, and what is handed on beside it."""

    @functools.wraps(plan.function)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        run = Run(plan, args, kwargs)
        if of_scalar:
            run.check_scalar()
        gradient = run.pack_gradients(run.slopes())
        return (gradient, run.aux) if plan.has_aux else gradient

    return gradient


def value_and_grad(
    function: Function, argnums: Argnums = 0, *, has_aux: bool = False, holomorphic: bool = False
) -> Function:
    """Make the function that gives the value and the gradient of a scalar-valued function, in one pass.

    Arguments, result and errors are those of `grad`, but the result is the pair ``(value, gradient)``, or with
    ``has_aux`` the pair ``((value, aux), gradient)``.

    Example:
        >>> value, (dx, dy) = ad.value_and_grad(lambda x, y: x * x * y, argnums=(0, 1))(3.0, 2.0)
        >>> float(value), float(dx), float(dy)
        (18.0, 12.0, 9.0)
    """
    plan = Plan("value_and_grad", function, argnums, has_aux, holomorphic)

    @functools.wraps(function)
    def both(*args: Any, **kwargs: Any) -> Any:
        run = Run(plan, args, kwargs)
        run.check_scalar()
        gradient = run.pack_gradients(run.slopes())
        value = run.pack_output(run.outputs)
        return ((value, run.aux) if has_aux else value), gradient

    return both


def elementwise_grad(function: Function, argnums: Argnums = 0, *, holomorphic: bool = False) -> Function:
    """Make the function that gives the derivative of a function which acts on each element by itself.

    It is the gradient of the sum of the outputs. Arguments, result and errors are those of `grad`, but the output may
    be an array of any shape.

    Example:
        >>> import numpy as np
        >>> slope = ad.elementwise_grad(np.tanh)
        >>> slope(np.array([0.0, 20.0])).round(6), ad.elementwise_grad(slope)(np.array([0.0, 20.0])).round(6)
        (array([1., 0.]), array([0., 0.]))
    """
    return gradient_of(Plan("elementwise_grad", function, argnums, holomorphic=holomorphic), of_scalar=False)


def vjp(
    function: Function, *args: Any, argnums: Argnums | None = None, has_aux: bool = False, **kwargs: Any
) -> tuple[Any, ...]:
    """Run a function, and give the function that multiplies a vector by its Jacobian: ``v -> vᵀ J``.

    Args:
        function: takes and returns arrays or Tensors of any shape, or nested containers of them.
        args: the point.
        argnums: which positional arguments to differentiate by; by default all.
        has_aux: the function returns a pair, of which only the first is differentiated.
        kwargs: handed on to the function.

    Returns:
        The function's output, and a function that takes a cotangent, in the form of that output, and returns the
        tuple of the arguments' gradients (for an integer ``argnums``, that argument's gradient). It may be called
        again. With ``has_aux``, what is handed on comes third. Outputs of integers or booleans have gradient zero.
        Gradients and cotangents of complex numbers are PyTorch's, as in `grad`.

    Raises:
        TypeError: an argument, the output or the cotangent is not numbers, or the cotangent has another dtype.
        ValueError: an argnum is out of range, or the cotangent has another form or shape than the output.

    Example:
        >>> import numpy as np
        >>> y, pull = ad.vjp(lambda x: np.array([[1.0, 2.0], [3.0, 4.0]]) @ x, np.array([1.0, 1.0]))
        >>> y, pull(np.array([1.0, 0.0]))
        (array([3., 7.]), (array([1., 2.]),))
    """
    argnums = tuple(range(len(args))) if argnums is None else argnums
    run = Run(Plan("vjp", function, argnums, has_aux), args, kwargs)
    run.check_outputs()

    def pull(cotangent: Array) -> Any:
        vectors = run.vectors("cotangent", run.rebuild_output(run.outputs), cotangent)
        return run.pack_gradients(run.pull(list(map(conj, vectors))), vectors)

    value = copied(run.pack_output(run.outputs))
    return (value, pull, copied(run.aux)) if has_aux else (value, pull)


def copied(tree: Any) -> Any:
    """Copy the arrays that a caller is given, where the graph that is kept uses them too."""
    leaves, rebuild = flatten(tree)
    return rebuild([leaf.copy() if isinstance(leaf, np.ndarray) else leaf for leaf in leaves])
