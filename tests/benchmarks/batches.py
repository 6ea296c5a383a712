"""Many derivatives at once: whole Jacobians and Hessians, and the gradients of single examples.

All is in float64. Each contender is given arrays of its own kind; JAX's compiler is given NumPy's and gives them, as
its users have them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks.worker import WrongResultError, time_batches

ELEMENTS, HIDDEN, EXAMPLES = 50, 64, 64
_RNG = np.random.default_rng(0)
POINT = np.linspace(-1.0, 1.0, ELEMENTS)
W1, W2 = _RNG.normal(size=(ELEMENTS, HIDDEN)) / 7, _RNG.normal(size=(HIDDEN, ELEMENTS)) / 8
X, Y = _RNG.normal(size=(EXAMPLES, ELEMENTS)), _RNG.normal(size=(EXAMPLES, HIDDEN))

Call = Callable[[], Any]
JACOBIAN, HESSIAN, EXAMPLE = "Jacobian", "Hessian", "per-example gradients"
ARRAYS = {JACOBIAN: (W1, W2, POINT), HESSIAN: (POINT,), EXAMPLE: (W1, X, Y)}


def network(np: Any) -> Callable[[Any, Any, Any], Any]:
    """Two layers, in a library's functions."""
    return lambda W1, W2, x: np.tanh(np.tanh(x @ W1) @ W2)


def rosenbrock(x: Any) -> Any:
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def loss(np: Any) -> Callable[[Any, Any, Any], Any]:
    """The squared error of one layer and one example, in a library's functions."""
    return lambda W, x, y: ((np.tanh(x @ W) - y) ** 2).sum()


def by_hand(workload: str) -> Any:
    """Compute what all contenders are to give."""
    if workload == JACOBIAN:
        h = np.tanh(POINT @ W1)
        y = np.tanh(h @ W2)
        return ((1 - y**2)[:, np.newaxis] * W2.T * (1 - h**2)) @ W1.T
    if workload == HESSIAN:
        diagonal = np.zeros(ELEMENTS)
        diagonal[:-1] = 1200 * POINT[:-1] ** 2 - 400 * POINT[1:] + 2
        diagonal[1:] += 200
        beside = -400 * POINT[:-1]
        return np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    outputs = np.tanh(X @ W1)
    return X[:, :, np.newaxis] * (2 * (outputs - Y) * (1 - outputs**2))[:, np.newaxis, :]


def this_library(workload: str) -> Call:
    f = _of_this_library(workload)
    return lambda: f(*ARRAYS[workload])


def _of_this_library(workload: str) -> Callable[..., Any]:
    import autodiff as ad

    if workload == JACOBIAN:
        return ad.jacobian(network(np), 2)
    if workload == HESSIAN:
        return ad.hessian(rosenbrock)
    return ad.vmap(ad.grad(loss(np)), in_axes=(None, 0, 0))


def compiled(workload: str, backend: str = "numpy") -> Call:
    import autodiff as ad

    f = ad.compile(_of_this_library(workload), backend=backend)
    return lambda: f(*ARRAYS[workload])


def by_numba(workload: str) -> Call:
    import numba  # noqa: F401 so that it counts as not installed, not as failed, where it is not

    return compiled(workload, "numba")


def torch_reverse(workload: str) -> Call:
    import torch
    from torch import func

    arrays = list(map(torch.from_numpy, ARRAYS[workload]))
    f = {
        JACOBIAN: lambda: func.jacrev(network(torch), argnums=2),
        HESSIAN: lambda: func.jacrev(func.jacrev(rosenbrock)),
        EXAMPLE: lambda: func.vmap(func.grad(loss(torch)), in_dims=(None, 0, 0)),
    }[workload]()
    return lambda: f(*arrays)


def torch_forward(workload: str) -> Call:
    import torch
    from torch import func

    arrays = list(map(torch.from_numpy, ARRAYS[workload]))
    f = func.jacfwd(network(torch), argnums=2) if workload == JACOBIAN else func.hessian(rosenbrock)
    return lambda: f(*arrays)


def torch_functional(workload: str, vectorize: bool = False) -> Call:
    import torch
    from torch.autograd import functional

    *others, x = map(torch.from_numpy, ARRAYS[workload])
    if workload == JACOBIAN:
        f = network(torch)
        return lambda: functional.jacobian(lambda x: f(*others, x), x, vectorize=vectorize)
    return lambda: functional.hessian(rosenbrock, x, vectorize=vectorize)


def torch_vectorized(workload: str) -> Call:
    return torch_functional(workload, vectorize=True)


def _of_jax(workload: str) -> Callable[..., Any]:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    if workload == JACOBIAN:
        return jax.jacrev(network(jnp), 2)
    return jax.hessian(rosenbrock) if workload == HESSIAN else jax.vmap(jax.grad(loss(jnp)), in_axes=(None, 0, 0))


def jax_eager(workload: str) -> Call:
    f = _of_jax(workload)
    import jax.numpy as jnp

    arrays = list(map(jnp.asarray, ARRAYS[workload]))
    return lambda: f(*arrays).block_until_ready()


def jax_jit(workload: str) -> Call:
    f = _of_jax(workload)
    import jax

    f = jax.jit(f)
    return lambda: np.asarray(f(*ARRAYS[workload]))


EAGER, NUMPY_BACKEND, NUMBA_BACKEND = "this library", "this library, compiled", "this library, compiled, Numba"
REFERENCE, JAX_JIT = "PyTorch, torch.func, reverse", "JAX jit"
ALL, MATRICES = (JACOBIAN, HESSIAN, EXAMPLE), (JACOBIAN, HESSIAN)
# Each with what it is given to do.
CONTENDERS: dict[str, tuple[Callable[[str], Call], tuple[str, ...]]] = {
    EAGER: (this_library, ALL),
    NUMPY_BACKEND: (compiled, ALL),
    NUMBA_BACKEND: (by_numba, ALL),
    REFERENCE: (torch_reverse, ALL),
    "PyTorch, torch.func, forward": (torch_forward, MATRICES),
    "PyTorch, autograd.functional": (torch_functional, MATRICES),
    "PyTorch, autograd.functional, vectorized": (torch_vectorized, MATRICES),
    "JAX": (jax_eager, ALL),
    JAX_JIT: (jax_jit, ALL),
}
TORCH = [name for name in CONTENDERS if name.startswith("PyTorch")]
# Whose time, divided by that of the fastest of whom, is to be at most what.
LIMITS: dict[str, tuple[str, list[str], dict[str, float]]] = {
    "this library / best of PyTorch": (EAGER, TORCH, dict(zip(ALL, (0.35, 0.5, 0.7)))),
    "compiled / JAX jit": (NUMPY_BACKEND, [JAX_JIT], dict.fromkeys(ALL, 2.0)),
    "compiled, Numba / JAX jit": (NUMBA_BACKEND, [JAX_JIT], dict.fromkeys(ALL, 1.0)),
}


def contenders(workload: str) -> list[str]:
    """List who is given a workload."""
    return [name for name in CONTENDERS if workload in workloads(name)]


def workloads(contender: str) -> tuple[str, ...]:
    """List what a contender is given to do."""
    return CONTENDERS[contender][1]


def measure(contender: str, size: str, batches: int, batch_seconds: float, in_turns: bool = False) -> dict[str, Any]:
    """Check and time a contender at one workload, in turns with the others if it is so asked.

    Returns:
        What `time_batches` gives.

    Raises:
        WrongResultError: the derivatives are not those computed by hand.
    """
    make, _ = CONTENDERS[contender]
    call = make(size)
    found, wanted = np.asarray(call()), by_hand(size)
    if found.shape != wanted.shape or not np.allclose(found, wanted, rtol=1e-9, atol=1e-12):
        raise WrongResultError(f"{size} of shape {found.shape}: {found}, by hand {wanted}")
    return time_batches(call, batches, batch_seconds, in_turns)
