"""Functions and models as users of gradients write them, and how many statements their compiled gradients have.

Each is small enough that a reader can say what its gradient should look like. The functions are plain NumPy, and the
models have a twin that is: a function of the parameters, for tangent-ad, which differentiates the source of functions.

A program is counted by what a reader has to read of it: `statements` counts the statements of ``step`` and those of
``build`` that compute something, but not what makes memory and constants, nor ``return``. Of the adjoint that
tangent-ad writes, `statements_of_tangent` counts all but ``return``, docstrings and assertions; lines that give another
name to a value are counted apart.
"""

from __future__ import annotations

import ast
import inspect
import os
import textwrap
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

import autodiff as ad
import nn
from nn import functional

MEMORY = ("np.empty(", "np.array(", "np.ones(", "np.zeros(", "np.full(", "np.arange(", "np.float64(", "np.float32(")


class Case(NamedTuple):
    """A function whose gradient is taken.

    Attributes:
        function: of arrays, which gives a number.
        shapes: of its arguments: a tuple or a length for numbers around 0, a list for numbers from 0.5 to 2.
        wrt: the arguments by which it is differentiated.
        by_tangent: whether tangent-ad differentiates it, too.
    """

    function: Callable[..., Any]
    shapes: tuple[Any, ...]
    wrt: tuple[int, ...] = (0,)
    by_tangent: bool = True

    def arguments(self) -> list[Any]:
        """Make arguments, the same in each call."""
        rng = np.random.default_rng(0)
        return [
            rng.uniform(0.5, 2.0, shape) if isinstance(shape, list) else rng.normal(size=shape) for shape in self.shapes
        ]

    def gradient(self) -> Callable[..., Any]:
        """Make the gradient, a function of the arguments, that runs eagerly."""
        return ad.grad(self.function, argnums=self.wrt)


class ModelCase(NamedTuple):
    """A model and a loss, whose gradients by all parameters are taken.

    Attributes:
        make: makes the model, each time the same.
        loss: of the model and its arguments.
        arguments: an input and a target.
        twin: the same loss as a function of the parameters and the arguments, which may be others.
        twin_arguments: those, where they are others.
    """

    make: Callable[[], nn.Module]
    loss: Callable[..., Any]
    arguments: tuple[Any, ...]
    twin: Callable[..., Any]
    twin_arguments: tuple[Any, ...] = ()

    def gradient(self) -> tuple[nn.Module, Callable[..., Any]]:
        """Make the model, and a step that gives its parameters their gradients."""
        model = self.make()

        def gradients(*args: Any) -> None:
            for parameter in model.parameters():
                parameter.grad = None
            self.loss(model, *args).backward()

        return model, gradients

    def as_function(self) -> tuple[Callable[..., Any], tuple[int, ...], list[Any]]:
        """Give the twin, the arguments that are parameters, and its arguments."""
        parameters = [parameter.data for parameter in self.make().parameters()]
        return self.twin, tuple(range(len(parameters))), [*parameters, *(self.twin_arguments or self.arguments)]


def statements(source: str) -> int:
    """Count the statements of a program."""
    build = next(one for one in ast.parse(source).body if isinstance(one, ast.FunctionDef))
    count = 0
    for one in ast.walk(build):
        is_memory = isinstance(one, ast.Assign) and ast.unparse(one.value).startswith(MEMORY)
        is_text = isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)
        is_frame = isinstance(one, ast.FunctionDef | ast.Return)
        count += isinstance(one, ast.stmt) and not (is_memory or is_text or is_frame)
    return count


def statements_of_tangent(function: Callable[..., Any], wrt: tuple[int, ...]) -> tuple[int, int]:
    """Count the statements of the adjoint by tangent-ad, and how many of them only name a value again.

    Raises:
        ImportError: tangent-ad is not installed.
        Exception: it cannot differentiate the function.
    """
    no_files = mock.patch.dict(os.environ, {"TANGENT_DISK_CACHE": "0"})
    with no_files, warnings.catch_warnings(action="ignore"):
        import tangent

        function.__globals__["tangent"] = tangent  # which it calls by this name in what it makes of the source
        adjoint = inspect.getsource(tangent.grad(function, wrt=wrt))
    found = [
        one
        for one in ast.walk(ast.parse(textwrap.dedent(adjoint)))
        if isinstance(one, ast.stmt)
        and not isinstance(one, ast.FunctionDef | ast.Return | ast.Assert)
        and not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
    ]
    return len(found), sum(isinstance(one, ast.Assign) and isinstance(one.value, ast.Name) for one in found)


# Fits


def least_squares(w, X, y):
    residual = np.dot(X, w) - y
    return np.sum(residual**2)


def ridge(w, X, y):
    residual = X @ w - y
    return np.mean(residual**2) + 0.1 * np.sum(w**2)


def elastic_net(w, X, y):
    residual = y - np.dot(X, w)
    return np.sum(residual * residual) / 2 + 0.1 * np.sum(np.abs(w))


def logistic(w, b, X, y):
    z = np.dot(X, w) + b
    return np.mean(np.log(1 + np.exp(-y * z)))


def softmax_regression(W, b, X, Y):
    logits = np.dot(X, W) + b
    shifted = logits - np.max(logits, axis=1, keepdims=True)
    log_total = np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    return -np.mean(np.sum(Y * (shifted - log_total), axis=1))


def poisson(w, X, counts):
    eta = np.dot(X, w)
    return np.sum(np.exp(eta) - counts * eta)


def huber(w, X, y):
    r = np.dot(X, w) - y
    size = np.abs(r)
    return np.sum(np.where(size < 1.0, 0.5 * r**2, size - 0.5))


def hinge(w, X, y):
    margin = 1 - y * np.dot(X, w)
    return np.sum(np.maximum(margin, 0)) + 0.5 * np.dot(w, w)


def tanh_layer(W, b, X, Y):
    return np.sum((np.tanh(np.dot(X, W) + b) - Y) ** 2)


def factorization(U, V, A, mask):
    error = mask * (A - np.dot(U, np.transpose(V)))
    return np.sum(error**2)


def reconstruction(W, X):
    code = np.dot(X, W)
    return np.mean((np.dot(code, np.transpose(W)) - X) ** 2)


# Probability


def normal_likelihood(mu, log_sigma, x):
    z = (x - mu) / np.exp(log_sigma)
    return np.sum(-0.5 * z**2 - log_sigma)


def multivariate_normal(mu, L, X):
    d = X - mu
    precision = np.dot(L, np.transpose(L))
    return 0.5 * np.sum(d * np.dot(d, precision))


def mixture(logits, mu, x):
    log_p = logits - 0.5 * (np.reshape(x, (-1, 1)) - mu) ** 2
    largest = np.max(log_p, axis=1, keepdims=True)
    return np.sum(np.log(np.sum(np.exp(log_p - largest), axis=1, keepdims=True)) + largest)


def gaussian_kernel(x, z, weights):
    distance = np.sum((np.expand_dims(x, 1) - np.expand_dims(z, 0)) ** 2, axis=2)
    return np.sum(weights * np.exp(-0.5 * distance))


def entropy(p):
    q = p / np.sum(p)
    return -np.sum(q * np.log(q))


# Products


def quadratic_form(x, A):
    return np.dot(x, np.dot(A, x))


def bilinear(x, A, y):
    return np.dot(np.dot(x, A), y)


def einsum_product(A, B, C):
    return np.sum(np.einsum("ij,jk->ik", A, B) * C)


def einsum_form(A, B, C):
    return np.sum(np.einsum("ij,kj->ik", A, B) * C)


def einsum_batch(A, B, C):
    return np.sum(np.einsum("nij,njk->nik", A, B) * C)


def tensordot_product(A, B):
    return np.sum(np.tensordot(A, B, axes=([0, 2], [1, 0])) ** 2)


def inner_product(A, B):
    return np.sum(np.inner(A, B) ** 2)


def vdot_product(A, B):
    return np.vdot(A, B) ** 2


def dot_of_a_stack(A, B):
    return np.sum(np.dot(A, B) ** 2)


def kronecker_product(A, B):
    return np.sum(np.kron(A, B) ** 3)


def transposed_product(A, B):
    return np.sum((A.T @ B.T).T ** 2)


def outer_product(a, b, C):
    return np.sum((np.outer(a, b) - C) ** 2)


def chain_of_products(A, B, C):
    return np.sum(A @ B @ C)


def product_of_stacks(A, B):
    return np.sum(np.tanh(np.matmul(A, B)))


def trace_of_product(A, B):
    return np.trace(np.dot(A, B))


def solution(A, b):
    return np.sum(np.linalg.solve(A, b) ** 2)


def attention(Q, K, V):
    scores = np.matmul(Q, np.swapaxes(K, 1, 2)) / 2.0
    p = np.exp(scores - np.max(scores, axis=2, keepdims=True))
    return np.sum(np.matmul(p / np.sum(p, axis=2, keepdims=True), V) ** 2)


def cosine(a, b):
    return np.dot(a, b) / (np.sqrt(np.sum(a**2)) * np.sqrt(np.sum(b**2)))


def norm(x, y):
    return np.linalg.norm(x - y)


# Parts of arrays


def rosenbrock(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def total_variation(image):
    return np.sum((image[1:] - image[:-1]) ** 2) + np.sum((image[:, 1:] - image[:, :-1]) ** 2)


def convolution(kernel, x, y):
    z = kernel[0] * x[:-2] + kernel[1] * x[1:-1] + kernel[2] * x[2:]
    return np.sum((z - y) ** 2)


def joined(a, b, w):
    both = np.concatenate((a, b), axis=0)
    return np.sum(np.tanh(both) * w)


def random_walk(steps, y):
    return np.mean((np.cumsum(steps) - y) ** 2)


def smoothness(x):
    return np.sum(np.reshape(x, (3, 4))[1] ** 2) + np.sum(x[::2] * x[1::2])


# Numbers and loops


def polynomial(c, x, y):
    p = c[0] + x * (c[1] + x * (c[2] + x * c[3]))
    return np.mean((p - y) ** 2)


def pendulum(theta, omega):
    return 0.5 * omega**2 + 9.81 * (1 - np.cos(theta))


def newton(a):
    x = a
    for _ in range(3):
        x = x - (x * x - a) / (2 * x)
    return np.sum(x)


def runge_kutta(y, k):
    h = 0.1
    for _ in range(2):
        k1 = -k * y
        k2 = -k * (y + h / 2 * k1)
        k3 = -k * (y + h / 2 * k2)
        k4 = -k * (y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return np.sum(y**2)


def leapfrog(q, p):
    for _ in range(3):
        p = p - 0.05 * np.sin(q)
        q = q + 0.1 * p
        p = p - 0.05 * np.sin(q)
    return np.sum(p**2) / 2 - np.sum(np.cos(q))


def power_iteration(x, A):
    for _ in range(2):
        x = np.dot(A, x)
        x = x / np.sqrt(np.sum(x**2))
    return np.dot(x, np.dot(A, x))


FUNCTIONS = [
    Case(least_squares, (4, (6, 4), 6)),
    Case(ridge, (4, (6, 4), 6)),
    Case(elastic_net, (4, (6, 4), 6)),
    Case(logistic, (4, (), (6, 4), 6), (0, 1)),
    Case(softmax_regression, ((4, 3), 3, (6, 4), (6, 3)), (0, 1)),
    Case(poisson, (4, (6, 4), [6])),
    Case(huber, (4, (6, 4), 6)),
    Case(hinge, (4, (6, 4), 6)),
    Case(tanh_layer, ((4, 3), 3, (6, 4), (6, 3)), (0, 1)),
    Case(factorization, ((5, 2), (4, 2), (5, 4), (5, 4)), (0, 1)),
    Case(reconstruction, ((4, 2), (6, 4))),
    Case(normal_likelihood, (3, 3, (5, 3)), (0, 1)),
    Case(multivariate_normal, (3, (3, 3), (5, 3)), (0, 1)),
    Case(mixture, (3, 3, 5), (0, 1)),
    Case(gaussian_kernel, ((5, 2), (4, 2), (5, 4))),
    Case(entropy, ([5],)),
    Case(quadratic_form, (4, (4, 4)), (0, 1)),
    Case(bilinear, (3, (3, 4), 4), (0, 1, 2)),
    Case(einsum_product, ((5, 3), (3, 4), (5, 4)), (0, 1)),
    Case(einsum_form, ((5, 3), (4, 3), (5, 4)), (0, 1)),
    Case(einsum_batch, ((2, 5, 3), (2, 3, 4), (2, 5, 4)), (0, 1)),
    Case(tensordot_product, ((2, 3, 4), (4, 2, 5)), (0, 1), by_tangent=False),
    Case(inner_product, ((2, 3), (4, 3)), (0, 1), by_tangent=False),
    Case(vdot_product, ((2, 3), (2, 3)), (0, 1), by_tangent=False),
    Case(dot_of_a_stack, ((2, 3, 4), (4, 5)), (0, 1), by_tangent=False),
    Case(kronecker_product, ((2, 3), (3, 2)), (0, 1), by_tangent=False),
    Case(transposed_product, ((4, 3), (2, 4)), (0, 1), by_tangent=False),
    Case(outer_product, (5, 4, (5, 4)), (0, 1)),
    Case(chain_of_products, ((5, 3), (3, 4), (4, 2)), (0, 1, 2)),
    Case(product_of_stacks, ((2, 5, 3), (2, 3, 4)), (0, 1)),
    Case(trace_of_product, ((5, 3), (3, 5)), (0, 1)),
    Case(solution, ((4, 4), 4), (0, 1)),
    Case(attention, ((2, 5, 4), (2, 6, 4), (2, 6, 3)), (0, 1, 2)),
    Case(cosine, (4, 4), (0, 1)),
    Case(norm, (4, 4)),
    Case(rosenbrock, (6,)),
    Case(total_variation, ((5, 4),)),
    Case(convolution, (3, 8, 6), (0, 1)),
    Case(joined, (3, 4, 7), (0, 1)),
    Case(random_walk, (6, 6)),
    Case(smoothness, (12,)),
    Case(polynomial, (4, 8, 8)),
    Case(pendulum, ((), ()), (0, 1)),
    Case(newton, ([4],)),
    Case(runge_kutta, (3, 3), (0, 1)),
    Case(leapfrog, (3, 3), (0, 1)),
    Case(power_iteration, (4, (4, 4)), (0,)),
]


# Models


def tanh_mlp(W, b, V, c, x, y):
    return np.mean((np.dot(np.tanh(np.dot(x, W) + b), V) + c - y) ** 2)


def relu_mlp(W, b, V, c, x, y):
    return np.mean((np.dot(np.maximum(np.dot(x, W) + b, 0), V) + c - y) ** 2)


def sigmoid_mlp(W, b, V, c, x, y):
    h = 1 / (1 + np.exp(-(np.dot(x, W) + b)))
    return np.mean((np.dot(h, V) + c - y) ** 2)


def leaky_mlp(W, b, V, c, x, y):
    z = np.dot(x, W) + b
    return np.mean((np.dot(np.where(z > 0, z, 0.01 * z), V) + c - y) ** 2)


def silu_mlp(W, b, V, c, x, y):
    z = np.dot(x, W) + b
    return np.mean((np.dot(z / (1 + np.exp(-z)), V) + c - y) ** 2)


def softplus_mlp(W, b, V, c, x, y):
    z = np.dot(x, W) + b
    return np.mean((np.dot(np.logaddexp(z, 0), V) + c - y) ** 2)


def linear_regression(W, b, x, y):
    return np.mean((np.dot(x, W) + b - y) ** 2)


def softmax_classifier(W, b, x, Y):
    z = np.dot(x, W) + b
    shifted = z - np.max(z, axis=1, keepdims=True)
    return -np.sum(Y * (shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True)))) / 6


def autoencoder(W, b, V, c, x):
    return np.mean((np.dot(np.tanh(np.dot(x, W) + b), V) + c - x) ** 2)


def normalized_mlp(W, b, gain, shift, V, c, x, y):
    z = np.dot(x, W) + b
    d = z - np.mean(z, axis=1, keepdims=True)
    normal = d / np.sqrt(np.mean(d**2, axis=1, keepdims=True) + 1e-5)
    return np.mean((np.dot(normal * gain + shift, V) + c - y) ** 2)


def batch_normalized_mlp(W, b, gain, shift, V, c, x, y):
    z = np.dot(x, W) + b
    d = z - np.mean(z, axis=0)
    normal = d / np.sqrt(np.mean(d**2, axis=0) + 1e-5)
    return np.mean((np.dot(normal * gain + shift, V) + c - y) ** 2)


def deep_mlp(W, b, V, c, U, d, x, y):
    h = np.tanh(np.dot(x, W) + b)
    g = np.tanh(np.dot(h, V) + c)
    return np.mean((np.dot(g, U) + d - y) ** 2)


def perceptron(*sizes: int, activation: Any = "tanh") -> Callable[[], nn.Module]:
    return lambda: nn.MLP([*sizes], activation=activation, rng=0, dtype=np.float64)


def linear(fan_in: int, fan_out: int) -> nn.Module:
    return nn.Linear(fan_in, fan_out, rng=0, dtype=np.float64)


def squared_error(model: nn.Module, x: Any, y: Any) -> Any:
    return functional.mse_loss(model(x), y)


X, Y = np.random.default_rng(0).normal(size=(6, 4)), np.random.default_rng(1).normal(size=(6, 3))
LABELS = np.array([0, 1, 2, 2, 1, 0])
MODELS = [
    ModelCase(perceptron(4, 5, 3), squared_error, (X, Y), tanh_mlp),
    ModelCase(perceptron(4, 5, 3, activation="relu"), squared_error, (X, Y), relu_mlp),
    ModelCase(perceptron(4, 5, 3, activation="sigmoid"), squared_error, (X, Y), sigmoid_mlp),
    ModelCase(perceptron(4, 5, 3, activation="leaky_relu"), squared_error, (X, Y), leaky_mlp),
    ModelCase(perceptron(4, 5, 3, activation="silu"), squared_error, (X, Y), silu_mlp),
    ModelCase(perceptron(4, 5, 3, activation="softplus"), squared_error, (X, Y), softplus_mlp),
    ModelCase(perceptron(4, 5, 4, 3), squared_error, (X, Y), deep_mlp),
    ModelCase(lambda: linear(4, 3), squared_error, (X, Y), linear_regression),
    ModelCase(
        lambda: linear(4, 3),
        lambda m, x, t: functional.cross_entropy(m(x), t),
        (X, LABELS),
        softmax_classifier,
        (X, np.eye(3)[LABELS]),
    ),
    ModelCase(perceptron(4, 2, 4), lambda m, x: functional.mse_loss(m(x), x), (X,), autoencoder),
    ModelCase(
        lambda: nn.Sequential(linear(4, 5), nn.LayerNorm(5, dtype=np.float64), linear(5, 3)),
        squared_error,
        (X, Y),
        normalized_mlp,
    ),
    ModelCase(
        lambda: nn.Sequential(linear(4, 5), nn.BatchNorm1d(5, dtype=np.float64), linear(5, 3)),
        squared_error,
        (X, Y),
        batch_normalized_mlp,
    ),
]
