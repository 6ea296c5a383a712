"""`scipy.optimize`: roots and fixed points, differentiated at the solution.

Where ``f(x, a) = 0``, the implicit function theorem says ``dx/da = -(∂f/∂x)⁻¹ ∂f/∂a``: how the solution was found plays
no part. The matrix ``∂f/∂x`` is formed and factored, which suits up to some thousand unknowns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import optimize

from autodiff.arrays.whole import require
from autodiff.core.record import data_of
from autodiff.core.rule import Array, defvjp
from autodiff.core.tape import recording
from autodiff.scipy.callbacks import Callback, joined, solution
from autodiff.transforms.composition import pull_through
from autodiff.transforms.matrices import jacobian

__all__ = ["fixed_point", "root"]

_scipys: Any = optimize


def __getattr__(name: str) -> Any:
    return getattr(optimize, name)


def root(
    fun: Callable[..., Any],
    x0: Array,
    args: Any = (),
    method: str = "hybr",
    jac: Any = None,
    tol: float | None = None,
    callback: Any = None,
    options: Any = None,
) -> Any:
    """Root of a vector function, ``fun(x, *args) = 0``, as `scipy.optimize.root`.

    It is differentiated by the Tensors in ``args``, also in nested containers, and those that ``fun`` uses from
    outside. By ``x0`` the derivative is zero: from close by, the same root is found.

    Args:
        fun: takes a vector and the arguments, and gives as many numbers, in NumPy's functions.
        x0: where the search begins.
        args: further arguments of ``fun`` and ``jac``, a tuple or one.
        method: "hybr", "lm" and others, as SciPy has them.
        jac: gives the Jacobian; or True, if ``fun`` gives it too. Where there are Tensors in ``args``, methods that
            take one are given the exact one by default.
        tol: how exact the solution is to be. The derivative is as exact.
        callback: called after each step, by some methods.
        options: of the method.

    Returns:
        SciPy's result, in which ``x`` is a Tensor where Tensors take part. In a batch and in compiled programs there
        are only ``x`` and ``success`` in it.

    Raises:
        RuntimeError: in the backward pass: what SciPy found is no root, as where it says that it did not succeed, or
            what "lm" finds may be; or ``fun`` gives other values than before.
        ValueError: in the backward pass: there are more equations than unknowns.
        numpy.linalg.LinAlgError: in the backward pass: the Jacobian at the solution is singular.

    Example:
        >>> from autodiff.scipy import optimize
        >>> a = ad.Tensor([4.0, 9.0])
        >>> x = optimize.root(lambda x, a: x * x - a, np.ones(2), args=(a,)).x
        >>> x.sum().backward()
        >>> x.data.round(6), a.grad.round(6)
        (array([2., 3.]), array([0.25    , 0.166667]))
    """
    args = args if isinstance(args, tuple) else (args,)
    gives_both = bool(jac) and not callable(jac)

    def values(x: Array, *args: Any) -> Any:
        return joined(fun(x, *args)[0] if gives_both else fun(x, *args))

    function = Callback("root", fun, args, values)
    plain, rebuild = function.plain, function.rebuild
    is_exact = bool(function.seen) and jac is None and method in ("hybr", "lm") and "col_deriv" not in (options or {})

    def solve(x0: Array, *leaves: Array) -> Any:
        args = rebuild(leaves)

        def given(x: Array) -> Any:
            result = fun(x, *args)
            return tuple(map(plain, result)) if gives_both else plain(result)

        def slope(x: Array) -> Any:
            return jacobian(lambda x: values(x, *args))(x) if is_exact else plain(jac(x, *args))

        with recording(False):
            by = slope if is_exact or callable(jac) else jac
            result = _scipys.root(given, x0, (), method, by, tol, callback, options)
        return result.x, np.bool_(result.success), result

    x, success, result = solution(solve, data_of(joined(x0)), *function.arrays)
    why = "" if result is None or result.success else f"; SciPy says: {result.message}"
    x = function.solved(root, x, (), (x,), success, why)
    return _scipys.OptimizeResult({**(result or {"success": success}), "x": x})


def fixed_point(
    func: Callable[..., Any], x0: Array, args: Any = (), xtol: float = 1e-8, maxiter: int = 500, method: str = "del2"
) -> Any:
    """Point that a function maps to itself, ``func(x, *args) = x``, as `scipy.optimize.fixed_point`.

    It is differentiated as a `root` of the difference.

    Args:
        func: takes an array and the arguments, and gives an array of the same shape, in NumPy's functions.
        x0: where the search begins.
        args: a tuple of further arguments of ``func``.
        xtol: the largest relative change in the last step. The derivative is as exact.
        maxiter: how many steps there are at most.
        method: "del2" extrapolates, "iteration" only applies the function again.

    Raises:
        RuntimeError: it is not found within ``maxiter`` steps; or, in the backward pass, ``func`` gives other values
            than before.
        numpy.linalg.LinAlgError: in the backward pass: the Jacobian of the difference is singular there.

    Example:
        >>> from autodiff.scipy import optimize
        >>> a = ad.Tensor(2.0)
        >>> x = optimize.fixed_point(lambda x, a: (x + a / x) / 2, 1.0, args=(a,))
        >>> x.backward()
        >>> float(x.data.round(6)), float(a.grad.round(6))
        (1.414214, 0.353553)
    """
    function = Callback("fixed_point", func, tuple(args), lambda x, *args: joined(func(x, *args)) - x)
    plain, rebuild = function.plain, function.rebuild

    def solve(x0: Array, *leaves: Array) -> Any:
        args = rebuild(leaves)
        with recording(False):
            x = _scipys.fixed_point(lambda x: plain(func(x, *args)), x0, (), xtol, maxiter, method)
        return x, np.True_, None

    x, success, _ = solution(solve, data_of(joined(x0)), *function.arrays)
    return function.solved(fixed_point, x, (), (x,), success, "")


def _implicit(g: Array, x: Array, tensors: Any, recipe: Any) -> list[Any]:
    """Give ``-(∂f/∂x)⁻ᵀ g`` to the function, called at the solution, which carries it back to its variables.

    In a walk with a graph, the solution here has its own: so are there derivatives of any order.
    """
    function, success, why = recipe
    variables, shape, failed = function.variables(tensors), np.shape(x), f"{function.name} has no derivative: "
    residual, point = _real(function.value), _real(x)
    if residual.shape != point.shape:
        raise ValueError(f"{failed}there are {residual.size} equations for {point.size} unknowns")

    def real(point: Array) -> Any:
        return _real(function.at(variables, _as_it_was(point, x, shape)))

    slope = jacobian(real)(point)
    matrix = data_of(slope)
    is_regular = np.linalg.cond(matrix, 1) < 1 / np.finfo(matrix.dtype).eps
    require(is_regular, np.linalg.LinAlgError, f"{failed}the Jacobian is singular at what SciPy found{why}")
    # A step of Newton's says how far a root is. Asked for more digits than there are, SciPy speaks of no success.
    away = np.max(np.abs(np.linalg.solve(matrix, residual)) / (1 + np.abs(data_of(point))))
    is_root = away < np.where(success, 0.1, 1e-8)
    require(is_root, RuntimeError, f"{failed}what SciPy found is no root, but {{:.1g}} away from one{why}", away)
    # Inside, a gradient is the conjugate of that by the two parts.
    back = -np.linalg.solve(np.swapaxes(slope, 0, 1), _real(np.conj(g)))
    back = np.conj(_as_it_was(back, x, np.shape(function.value)))
    (_, gradients), others = pull_through(
        lambda pair: function.at(pair[1], pair[0]), back, ((x, variables),), {}, 0, function.others
    )
    return [*gradients, *others]


def _real(x: Array) -> Any:
    """Give a vector of an array's numbers, of complex ones that of their real parts and then their imaginary parts."""
    x = np.reshape(x, (-1,))
    return np.concatenate([np.real(x), np.imag(x)]) if x.dtype.kind == "c" else x


def _as_it_was(vector: Array, like: Array, shape: tuple[int, ...]) -> Any:
    """Undo `_real`, for an array of the kind of another."""
    if like.dtype.kind == "c":
        real, imag = np.split(vector, 2)
        vector = real + 1j * imag
    return np.reshape(vector, shape)


defvjp(root, _implicit)
defvjp(fixed_point, _implicit)
