"""Transforms of functions of a few elements: what a call of one costs here and in HIPS autograd.

The functions are the same Python code for both libraries, which differ only in the transforms and in the module that
NumPy's functions come from. What is timed makes the derivative and calls it, as code does that asks for one once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tests.benchmarks.worker import WrongResultError, time_batches

ELEMENTS = 10
POINT, VECTOR = np.linspace(0.1, 1.0, ELEMENTS), np.linspace(1.0, -0.5, ELEMENTS)
WEIGHTS = np.random.default_rng(0).normal(size=(ELEMENTS, ELEMENTS))

Call = Callable[[], list[Any]]


class Library(NamedTuple):
    """What a workload is written in.

    Attributes:
        np: NumPy's functions.
        grad: makes the gradient.
        value_and_grad: makes the value and the gradient.
        elementwise_grad: makes the derivative of each element.
        vjp: gives the product of a function's Jacobian at a point with a vector from the left.
        jvp: the same from the right.
        hvp: gives the product of its Hessian with a vector.
    """

    np: Any
    grad: Any
    value_and_grad: Any
    elementwise_grad: Any
    vjp: Callable[[Any, Any, Any], Any]
    jvp: Callable[[Any, Any, Any], Any]
    hvp: Callable[[Any, Any, Any], Any]


def this_library() -> Library:
    import autodiff as ad

    return Library(
        np,
        ad.grad,
        ad.value_and_grad,
        ad.elementwise_grad,
        lambda f, x, v: ad.vjp(f, x)[1](v)[0],
        lambda f, x, v: ad.jvp(f, (x,), (v,))[1],
        lambda f, x, v: ad.hvp(f)(x, v),
    )


def hips_autograd() -> Library:
    import autograd
    import autograd.numpy as anp

    return Library(
        anp,
        autograd.grad,
        autograd.value_and_grad,
        autograd.elementwise_grad,
        lambda f, x, v: autograd.make_vjp(f)(x)[0](v),
        lambda f, x, v: autograd.make_jvp(f)(x)(v)[1],
        lambda f, x, v: autograd.hessian_vector_product(f)(x, v),
    )


def network(library: Library) -> Callable[[Any], Any]:
    """A loss of two layers, which share their weights."""
    np = library.np
    return lambda x: np.sum(np.tanh(np.dot(np.tanh(np.dot(x, WEIGHTS)), WEIGHTS)) ** 2)


def network_by_hand() -> tuple[Any, Any]:
    """The loss and its gradient."""
    h = np.tanh(POINT @ WEIGHTS)
    y = np.tanh(h @ WEIGHTS)
    return (y**2).sum(), ((2 * y * (1 - y**2)) @ WEIGHTS.T * (1 - h**2)) @ WEIGHTS.T


def twice(library: Library) -> Any:
    return library.grad(library.grad(library.np.sin))


def thrice(library: Library) -> Any:
    return library.grad(twice(library))


# Each with what it gives by hand, and how many times HIPS autograd's time it may take.
WORKLOADS: dict[str, tuple[Callable[[Library], Call], Call, float]] = {
    "grad(sin)": (lambda ad: lambda: [ad.grad(ad.np.sin)(1.0)], lambda: [np.cos(1.0)], 1.5),
    "value_and_grad(sin)": (
        lambda ad: lambda: [*ad.value_and_grad(ad.np.sin)(1.0)],
        lambda: [np.sin(1.0), np.cos(1.0)],
        1.5,
    ),
    "elementwise_grad(sin)": (lambda ad: lambda: [ad.elementwise_grad(ad.np.sin)(POINT)], lambda: [np.cos(POINT)], 1.5),
    "vjp(sin)": (lambda ad: lambda: [ad.vjp(ad.np.sin, POINT, VECTOR)], lambda: [np.cos(POINT) * VECTOR], 1.5),
    "jvp(sin)": (lambda ad: lambda: [ad.jvp(ad.np.sin, POINT, VECTOR)], lambda: [np.cos(POINT) * VECTOR], 1.5),
    "jvp of a product": (
        lambda ad: lambda: [ad.jvp(lambda x: ad.np.dot(WEIGHTS, x), POINT, VECTOR)],
        lambda: [WEIGHTS @ VECTOR],
        1.5,
    ),
    "grad, network": (lambda ad: lambda: [ad.grad(network(ad))(POINT)], lambda: [network_by_hand()[1]], 1.5),
    "jvp, network": (
        lambda ad: lambda: [ad.jvp(network(ad), POINT, VECTOR)],
        lambda: [network_by_hand()[1] @ VECTOR],
        1.5,
    ),
    "grad(grad(sin))": (lambda ad: lambda: [twice(ad)(1.0)], lambda: [-np.sin(1.0)], 1.0),
    "grad(grad(grad(sin)))": (lambda ad: lambda: [thrice(ad)(1.0)], lambda: [-np.cos(1.0)], 1.0),
    "hvp(sum(x³))": (
        lambda ad: lambda: [ad.hvp(lambda x: ad.np.sum(x**3), POINT, VECTOR)],
        lambda: [6 * POINT * VECTOR],
        1.0,
    ),
}

REFERENCE = "HIPS autograd"
CONTENDERS: dict[str, Callable[[], Library]] = {"this library": this_library, REFERENCE: hips_autograd}


def measure(contender: str, batches: int, batch_seconds: float) -> dict[str, Any]:
    """Check and time all workloads in one library, in this process.

    Returns:
        For each workload what `time_batches` gives.

    Raises:
        WrongResultError: a derivative is not the one computed by hand.
    """
    library = CONTENDERS[contender]()
    workloads: dict[str, Any] = {}
    for name, (make, by_hand, _) in WORKLOADS.items():
        call = make(library)
        for found, wanted in zip(call(), by_hand(), strict=True):
            if not np.allclose(found, wanted, rtol=1e-9, atol=1e-12):
                raise WrongResultError(f"{name}: {found}, by hand {wanted}")
        workloads[name] = time_batches(call, batches, batch_seconds)
    return {"workloads": workloads}
