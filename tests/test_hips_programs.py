"""Programs as users of HIPS autograd write them: each runs on both libraries, and nothing but the imports differs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.testing import check_gradients

pytest.importorskip("scipy")

Parameters = dict[str, Any]
Program = Callable[[Any], Callable[[Parameters], Any]]


def _ours() -> Any:
    return SimpleNamespace(np=np, grad=ad.grad, tuple=tuple, scipy=importlib.import_module("autodiff.scipy"))


def _hips() -> Any:
    autograd = pytest.importorskip("autograd")
    for name in ("integrate", "signal", "special", "stats.multivariate_normal", "stats.t"):
        importlib.import_module(f"autograd.scipy.{name}")
    return SimpleNamespace(np=autograd.numpy, grad=autograd.grad, tuple=autograd.tuple, scipy=autograd.scipy)


def _drawn(*shapes: tuple[int, ...], scale: float = 1.0) -> list[Any]:
    rng = np.random.default_rng(7)
    return [scale * rng.standard_normal(shape) for shape in shapes]


def mixture(lib: Any) -> Callable[[Parameters], Any]:
    """Points of three clouds, each normal with a covariance of its own."""
    np = lib.np
    points = _drawn((3, 8, 2))[0] * 0.5 + 2 * np.array([[[0.0, 0.0]], [[1.0, 0.0]], [[0.0, 1.0]]])
    points = points.reshape(24, 2)

    def loss(p: Parameters) -> Any:
        shares = p["shares"] - lib.scipy.special.logsumexp(p["shares"])
        rows = []
        for share, centre, root in zip(shares, p["centres"], p["roots"]):
            covariance = np.dot(root.T, root) + 0.1 * np.eye(2)
            rows.append(share + lib.scipy.stats.multivariate_normal.logpdf(points, centre, covariance))
        return -np.sum(lib.scipy.special.logsumexp(np.vstack(rows), axis=0))

    return loss


def independent_components(lib: Any) -> Callable[[Parameters], Any]:
    """Two sources that eight sensors mix, with errors that are now and then large."""
    np = lib.np
    seen = _drawn((12, 8))[0]

    def loss(p: Parameters) -> Any:
        mixed = np.dot(p["sources"], p["mixing"])
        return -np.sum(lib.scipy.stats.t.logpdf(seen, 1 + np.exp(p["freedom"]), mixed, np.exp(p["spread"])))

    return loss


def gaussian_process(lib: Any) -> Callable[[Parameters], Any]:
    """The marginal likelihood of a curve, by the widths of its kernel and the noise."""
    np = lib.np
    x = np.linspace(-1.0, 1.0, 12)[:, None]
    y = np.sin(3 * x[:, 0])

    def loss(p: Parameters) -> Any:
        scaled = x / np.exp(p["width"])
        apart = np.sum((np.expand_dims(scaled, 1) - np.expand_dims(scaled, 0)) ** 2, axis=2)
        covariance = np.exp(p["height"]) * np.exp(-0.5 * apart) + np.exp(p["noise"]) * np.eye(12)
        return -lib.scipy.stats.multivariate_normal.logpdf(y, p["mean"] * np.ones(12), covariance)

    return loss


def convolutions(lib: Any) -> Callable[[Parameters], Any]:
    """Two layers of filters with the largest of each four between them, and the logarithm of a softmax."""
    np = lib.np
    images, classes = _drawn((4, 1, 10, 10))[0], np.eye(3)[[0, 1, 2, 0]]

    def filtered(images: Any, filters: Any) -> Any:
        return lib.scipy.signal.convolve(images, filters, axes=([2, 3], [2, 3]), dot_axes=([1], [0]), mode="valid")

    def loss(p: Parameters) -> Any:
        maps = np.tanh(filtered(images, p["first"]) + p["bias"])
        maps = np.max(np.max(np.reshape(maps, (4, 2, 4, 2, 4, 2)), axis=3), axis=4)
        maps = np.reshape(filtered(maps, p["second"]), (4, -1))
        scores = np.dot(maps, p["out"])
        return -np.sum(classes * (scores - lib.scipy.special.logsumexp(scores, axis=1, keepdims=True)))

    return loss


def equation_network(lib: Any) -> Callable[[Parameters], Any]:
    """A field of velocities, which is a network, and the path along it."""
    np = lib.np
    times = np.linspace(0.0, 1.0, 6)
    target = np.stack([np.cos(times), np.sin(times)], axis=1)

    def velocity(y: Any, t: Any, W: Any, b: Any, V: Any, c: Any) -> Any:
        return np.dot(np.tanh(np.dot(y, W) + b), V) + c * np.cos(t)

    def loss(p: Parameters) -> Any:
        weights = lib.tuple((p["W"], p["b"], p["V"], p["c"]))
        path = lib.scipy.integrate.odeint(velocity, p["start"], times, weights, rtol=1e-10, atol=1e-10)
        return np.sum((path - target) ** 2)

    return loss


def _named(**shapes: tuple[int, ...]) -> Parameters:
    return dict(zip(shapes, _drawn(*shapes.values(), scale=0.5)))


# The program, its parameters, and how close both come; of the equation, second derivatives would take long.
PROGRAMS: list[tuple[Program, Parameters, float]] = [
    (mixture, _named(shares=(3,), centres=(3, 2), roots=(3, 2, 2)), 1e-9),
    (independent_components, _named(sources=(12, 2), mixing=(2, 8), freedom=(), spread=(8,)), 1e-9),
    (gaussian_process, _named(mean=(), width=(1,), height=(), noise=()), 1e-8),
    (convolutions, _named(first=(1, 2, 3, 3), bias=(1, 2, 1, 1), second=(2, 3, 2, 2), out=(27, 3)), 1e-9),
    (equation_network, _named(start=(2,), W=(2, 5), b=(5,), V=(5, 2), c=(2,)), 1e-6),
]


def _of_gradient(lib: Any, loss: Callable[[Parameters], Any]) -> Callable[[Parameters], Any]:
    return lambda p: sum(lib.np.sum(lib.np.sin(g)) for _, g in sorted(lib.grad(loss)(p).items()))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # in autograd's import of SciPy
@pytest.mark.parametrize(("program", "parameters", "near"), PROGRAMS)
def test_values_and_gradients_are_those_of_hips_autograd(program: Program, parameters: Parameters, near: float) -> None:
    ours, hips = _ours(), _hips()
    loss, other = program(ours), program(hips)
    np.testing.assert_allclose(loss(parameters), other(parameters), rtol=near)
    functions = [(loss, other)]
    if program is not equation_network:
        functions.append((_of_gradient(ours, loss), _of_gradient(hips, other)))
    for function, theirs in functions:
        gradient, expected = ours.grad(function)(parameters), hips.grad(theirs)(parameters)
        for name, numbers in expected.items():
            np.testing.assert_allclose(gradient[name], numbers, rtol=near, atol=near * np.max(np.abs(numbers)))


@pytest.mark.parametrize(("program", "parameters"), [row[:2] for row in PROGRAMS])
def test_gradients_are_central_differences(program: Program, parameters: Parameters) -> None:
    check_gradients(program(_ours()), parameters, directions=2, rtol=1e-4)
