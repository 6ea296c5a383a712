"""`scipy.integrate`: solutions of ordinary differential equations, differentiated by the adjoint equation."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import integrate

from autodiff.arrays.whole import looked_at, require
from autodiff.core.record import data_of, is_variable
from autodiff.core.rule import Array, Function, defvjp
from autodiff.core.tape import recording
from autodiff.scipy.callbacks import Callback, joined, solution
from autodiff.transforms.run import Plan, Run, zeros

__all__ = ["odeint"]

_FINE = ("Integration successful.", "Nothing was done; the integration time was 0.")
_SIGNATURE = inspect.signature(integrate.odeint)
_SHARED = ("rtol", "atol", "hmax", "hmin", "mxstep")  # options that the way back has too
_TOLERANCE = 1.49012e-8  # SciPy's, if none is given
_DRIFT = 100  # times the tolerance: as far as a solution may come back from where it was
_MOST_PIECES = 4**5  # of an interval


def __getattr__(name: str) -> Any:
    return getattr(integrate, name)


def odeint(
    func: Callable[..., Any], y0: Array, t: Array, args: tuple[Any, ...] = (), *options: Any, **keywords: Any
) -> Any:
    """Solution of ``dy/dt = func(y, t, *args)`` from ``y0`` on, as `scipy.integrate.odeint`.

    It is differentiated by ``y0``, ``t``, what is in ``args``, also in nested containers, and the Tensors that ``func``
    uses from outside. The gradient solves the adjoint equation, backward in time, with the same solver and tolerances
    (Chen et al. 2018, algorithm 1). The steps are no way back: SciPy keeps none, and chooses their lengths and orders
    by the values, so that what it computes has jumps. So the gradient is that of the exact solution, as exact as the
    tolerances make it: with SciPy's own, of 1e-8, it agrees with central differences to about 1e-6, and along chaotic
    and stiff solutions to 5e-5 (Lorenz' equations over 10 units of time, van der Pol's, Robertson's). For
    `check_gradients`, which compares more closely, give both tolerances as 1e-10.

    The way back begins anew, at each time in ``t``, from what was found there. Where an equation runs off when it is
    solved backward, as stiff ones do, an interval is cut into pieces until it comes back to where it was. That takes
    time, a hundred times as long as the solution and more.

    Second derivatives solve the adjoint of the adjoint equation, and so on. In a batch, SciPy solves one member after
    the other. Compiled programs call SciPy too; they cut no intervals, and raise an error instead.

    Args:
        func: gives ``dy/dt``, an array like ``y0`` or a list of numbers, in NumPy's functions.
        y0: where the solution begins: a vector, or a number.
        t: times, in order, the first of which is that of ``y0``.
        args: a tuple of further arguments of ``func``.
        options: SciPy's. The way back heeds ``rtol``, ``atol``, ``hmax``, ``hmin``, ``mxstep`` and ``tfirst``; the
            gradient is as exact as the smallest ``rtol`` says, relative to its largest element.
        keywords: options by their names.

    Returns:
        The solution at all times, along the first axis. With ``full_output`` the pair of it and SciPy's dict.

    Raises:
        TypeError: ``func`` is not callable, or ``args`` is no tuple.
        ValueError: the times are not in order.
        RuntimeError: in the backward pass: SciPy failed, of which it has warned, as where a solution grows without
            bounds; or the solution is not finite, or does not come back; or ``func`` gives other values than before.

    Example:
        >>> from autodiff.scipy.integrate import odeint
        >>> rate = ad.Tensor(2.0)
        >>> y = odeint(lambda y, t, rate: -rate * y, 1.0, [0.0, 0.5], args=(rate,))
        >>> y[-1, 0].backward()
        >>> bool(np.isclose(rate.grad, -0.5 * np.exp(-1.0)))
        True
    """
    if not isinstance(args, tuple):
        raise TypeError(f"odeint: args must be a tuple, got {type(args).__name__}: write args=(a,)")
    given = _SIGNATURE.bind(func, y0, t, args, *options, **keywords).arguments
    own = {name: value for name, value in given.items() if name not in ("func", "y0", "t", "args")}
    tfirst, full_output = own.pop("tfirst", False), own.pop("full_output", False)

    def right_side(y: Array, t: Array, *args: Any) -> Any:
        return func(t, y, *args) if tfirst else func(y, t, *args)

    if (slope := own.pop("Dfun", None)) is not None:
        own["Dfun"] = lambda y, t, *args: slope(t, y, *args) if tfirst else slope(y, t, *args)
    ys, _, details = _solved(Callback("odeint", func, args, right_side), joined(y0), joined(t), own)
    if full_output and details is None:
        raise NotImplementedError("odeint: full_output is not there in a batch, nor in a program that is compiled")
    return (ys, details) if full_output else ys


odeint.__signature__ = _SIGNATURE  # type: ignore[attr-defined]


def _solved(function: Callback, y0: Array, t: Array, options: dict[str, Any], is_quiet: bool = False) -> Any:
    """Give the solution, whether that succeeded, and what SciPy says of it."""
    right_side, plain, rebuild = function.function, function.plain, function.rebuild

    def solve(y0: Array, t: Array, *leaves: Array) -> Any:
        args = rebuild(leaves)

        def with_args(function: Function) -> Function:
            return lambda y, t: plain(function(y, t, *args))

        own = {**options, "Dfun": with_args(options["Dfun"])} if "Dfun" in options else options
        quiet = warnings.catch_warnings(action="ignore", category=integrate.ODEintWarning)
        with recording(False), quiet if is_quiet else contextlib.nullcontext():
            ys, details = integrate.odeint(with_args(right_side), y0, t, full_output=True, **own)
        return ys, np.bool_(details["message"] in _FINE), details

    ys, success, details = solution(solve, data_of(y0), data_of(t), *function.arrays)
    why = f"; SciPy says: {details['message']}" if details else ""
    shared = {name: options[name] for name in _SHARED if name in options}
    ys = function.solved(odeint, ys, (y0, t), (ys[-1], data_of(t)[-1]), shared, success, why, is_variable(t))
    return ys, success, details


def _adjoint(g: Array, ys: Array, tensors: Any, recipe: Any) -> list[Any]:
    """Solve the adjoint equation from the last time to the first, and begin anew at each with what `odeint` gave there.

    The solution goes back together with its gradient and the integral of that times ``∂f/∂θ``.
    """
    function, options, success, why, by_time = recipe
    failed = f"{function.name} has no derivative: "
    require(success, RuntimeError, f"{failed}the integration failed{why}")
    is_finite = np.all(np.isfinite(data_of(ys))) & np.all(np.isfinite(data_of(g)))
    require(is_finite, RuntimeError, f"{failed}the solution, or the gradient of it, is not finite")
    t, variables = tensors[1], function.variables(tensors)
    parameters = [*variables, *function.others]
    if any(one.dtype.kind == "c" for one in parameters):
        raise TypeError(f"{failed}there is none by complex numbers: give their real and imaginary parts")
    ends = list(itertools.accumulate((math.prod(np.shape(one)) for one in parameters), initial=0))
    gradient, total, pieces = np.zeros_like(data_of(g[0])), np.zeros(ends[-1]), 1
    slopes: list[Any] = []
    for i in range(len(t) - 1, 0, -1):
        gradient = gradient + g[i]
        slopes.append(np.sum(g[i] * function.at(variables, ys[i], t[i])) if by_time else 0.0)
        times, points = t[i - 1 : i + 1], ys[i - 1 : i + 1]
        while True:
            if pieces > 1:
                times = t[i - 1] + (t[i] - t[i - 1]) * np.linspace(0, 1, pieces + 1)
                right_side = Callback("odeint", _right_side(function), (variables, function.constants))
                points = _solved(right_side, ys[i - 1], times, options)[0]
            pulled = _pulled(function, variables, points, times, gradient, ends[-1], options)
            if pulled is not None:
                break
            pieces *= 4
            if pieces > _MOST_PIECES:
                raise RuntimeError(
                    f"{failed}solved backward, it does not come back to where it was at time {data_of(t[i - 1])}: give "
                    "other rtol and atol, or split it into several calls"
                )
        gradient, part = pulled
        total = total + part
    slopes.append(-np.sum(gradient * function.at(variables, ys[0], t[0])) if by_time else 0.0)
    by_parameters = [
        np.reshape(total[start:stop], np.shape(one))
        for one, (start, stop) in zip(parameters, itertools.pairwise(ends), strict=True)
    ]
    return [np.reshape(gradient + g[0], np.shape(tensors[0])), np.stack(slopes[::-1]), *by_parameters]


def _pulled(
    function: Callback, variables: list[Any], ys: Array, t: Array, gradient: Array, size: int, options: dict[str, Any]
) -> Any:
    """Carry a gradient of the last point back to the first: that, and those of the parameters; or None."""
    count = np.shape(ys)[1]
    rtol, atol = (
        np.broadcast_to(_TOLERANCE if options.get(name) is None else options[name], count) for name in ("rtol", "atol")
    )
    exact = np.full(count + size, rtol.min() or _TOLERANCE)  # of the gradient, whose largest element is made 1
    own = {**options, "rtol": np.concatenate([rtol, exact]), "atol": np.concatenate([atol, exact])}
    total: Any = 0
    for k in range(len(t) - 1, 0, -1):
        scale = np.max(np.abs(data_of(gradient)))
        scale = np.where(scale > 0, scale, 1)
        state = np.concatenate([ys[k], gradient / scale, np.zeros(size)])
        backward = Callback("odeint", _backward(function, count), (variables, function.constants))
        ended, success, _ = _solved(backward, state, np.stack([t[k], t[k - 1]]), own, is_quiet=True)
        there = data_of(ys[k - 1])
        away = np.abs(data_of(ended)[-1, :count] - there)
        is_close = success & np.all(away <= _DRIFT * (rtol * np.max(np.abs(there)) + atol))
        seen = looked_at(is_close)
        if seen is None:
            problem = "solved backward, it does not come back to where it was: give more times, or do not compile it"
            require(is_close, RuntimeError, f"{function.name} has no derivative: {problem}")
        elif not seen.all():
            return None
        gradient = ended[-1, count : 2 * count] * scale
        total = total + ended[-1, 2 * count :] * scale
    return gradient, total


def _right_side(function: Callback) -> Function:
    """Make the right side a function of its variables and constants too."""
    return lambda y, t, variables, constants: function.at(variables, y, t, constants=constants)


def _backward(function: Callback, count: int) -> Function:
    """Make the right side for the solution, its gradient and the integral, side by side."""
    right_side = _right_side(function)

    def backward(state: Array, t: Array, variables: Sequence[Array], constants: Sequence[Any]) -> Any:
        run = Run(Plan("odeint", right_side, (0, 1, 2)), (state[:count], t, variables, constants), {})
        by = [*run.inputs, *function.others]
        gradient = np.reshape(state[count : 2 * count], np.shape(run.outputs[0]))
        slopes = run.pull_from(run.outputs, [gradient], by, hooks="between") or list(map(zeros, by))
        del slopes[1]  # by time
        parts = [*run.given_out(run.outputs), *(-slope for slope in slopes)]
        return np.concatenate([np.reshape(part, (-1,)) for part in parts])

    return backward


defvjp(odeint, _adjoint)
