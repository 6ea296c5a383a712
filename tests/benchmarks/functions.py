"""Compiled gradients: what a call of a short function costs, and what it takes to make the program of a long one.

Each contender is given arrays of NumPy's and gives one, as its users have them, or JAX's own arrays, which is faster.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks.worker import WrongResultError, time_batches

ELEMENTS = 50
POINT = np.linspace(-1.0, 1.0, ELEMENTS)
RATE, START = 0.5, np.linspace(0.0, 1.0, 10)
STEPS = (25, 100)  # of the long function

Gradient = Callable[..., Any]


def rosenbrock(x: Any) -> Any:
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def rosenbrock_by_hand() -> Any:
    errors = POINT[1:] - POINT[:-1] ** 2
    gradient = np.zeros(ELEMENTS)
    gradient[:-1] = -400 * errors * POINT[:-1] - 2 * (1 - POINT[:-1])
    gradient[1:] += 200 * errors
    return gradient


def runge_kutta(steps: int) -> Callable[[Any, Any], Any]:
    """The classic method for an equation of ten unknowns, written out in so many steps."""

    def slope(y: Any, k: Any) -> Any:
        return -k * y + y * y

    def last(y: Any, k: Any) -> Any:
        h = 0.01
        for _ in range(steps):
            k1 = slope(y, k)
            k2 = slope(y + h / 2 * k1, k)
            k3 = slope(y + h / 2 * k2, k)
            k4 = slope(y + h * k3, k)
            y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return (y * y).sum()

    return last


def this_library(f: Callable[..., Any], backend: str = "numpy") -> Gradient:
    import autodiff as ad

    return ad.compile(ad.grad(f), backend=backend)


def by_numba(f: Callable[..., Any]) -> Gradient:
    import numba  # noqa: F401 so that it counts as not installed, not as failed, where it is not

    return this_library(f, "numba")


def jax_jit(f: Callable[..., Any]) -> Gradient:
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax.jit(jax.grad(f))


def from_numpy(f: Callable[..., Any]) -> Gradient:
    gradient = jax_jit(f)
    return lambda *args: np.asarray(gradient(*args))


def from_jax(f: Callable[..., Any]) -> Gradient:
    gradient, arrays = jax_jit(f), {}
    import jax.numpy as jnp

    def call(x: Any, *rest: Any) -> Any:
        if id(x) not in arrays:
            arrays[id(x)] = jnp.asarray(x)
        return gradient(arrays[id(x)], *rest).block_until_ready()

    return call


REFERENCE = "JAX jit, of NumPy's arrays"
OURS = {"this library, compiled": this_library, "this library, compiled, Numba": by_numba}
CONTENDERS: dict[str, Callable[[Any], Gradient]] = {
    **OURS,
    REFERENCE: from_numpy,
    "JAX jit, of its own arrays": from_jax,
}
LONG = ("this library, compiled", REFERENCE)  # who also makes the long function


def measure(contender: str, batches: int, batch_seconds: float) -> dict[str, Any]:
    """Check and time a contender, in this process.

    Returns:
        What `time_batches` gives for the short function, and ``"first_calls"``: the seconds of the first call of the
        long one with each number of steps, if the contender makes it.

    Raises:
        WrongResultError: the gradient is not the one computed by hand.
    """
    make = CONTENDERS[contender]
    gradient = make(rosenbrock)
    found = np.asarray(gradient(POINT))
    if not np.allclose(found, rosenbrock_by_hand(), rtol=1e-9):
        raise WrongResultError(f"{found}, by hand {rosenbrock_by_hand()}")
    result = time_batches(lambda: gradient(POINT), batches, batch_seconds)
    if contender in LONG:
        make(runge_kutta(1))(START, RATE)  # what is imported and found once
        result["first_calls"] = [_first_call(make(runge_kutta(steps))) for steps in STEPS]
    return result


def _first_call(gradient: Gradient) -> float:
    start = time.perf_counter()
    gradient(START, RATE)
    return time.perf_counter() - start
