"""The ladder: one training step of four networks, from tiny to large, in every library.

A step is the forward pass, softmax cross-entropy on integer labels, the backward pass and a plain SGD update, in
float32, with ReLU between the layers. A contender is a function that takes a `Problem` and returns ``step``, which
trains once and returns the loss as it was before the update. All start from the same weights and data.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.benchmarks.worker import WrongResultError, time_batches

Array = np.ndarray[Any, Any]
Step = Callable[[], Any]

LEARNING_RATE = 0.1
CHECKED_STEPS = 5
RELATIVE_TOLERANCE = 5e-6  # float32 rounding, grown over the checked steps


@dataclass(frozen=True)
class Size:
    """Examples in a batch and the widths of the layers, input and output included."""

    batch: int
    widths: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.batch}, {'-'.join(map(str, self.widths))}"


SIZES = {
    "T": Size(32, (64, 32, 10)),
    "S": Size(128, (784, 128, 10)),
    "M": Size(128, (784, 512, 256, 10)),
    "L": Size(256, (1024, 1024, 1024, 10)),
}


@dataclass(frozen=True)
class Problem:
    """What a contender trains on, and where it starts: weights of shape ``(in, out)`` and biases ``(out,)``."""

    x: Array
    labels: Array
    weights: list[Array]
    biases: list[Array]

    @classmethod
    def of(cls, size: Size) -> Problem:
        """Draw the problem of this size, the same at every call and in arrays of its own."""
        rng = np.random.default_rng(0)
        layers = list(zip(size.widths, size.widths[1:]))
        return cls(
            x=rng.standard_normal((size.batch, size.widths[0]), dtype=np.float32),
            labels=rng.integers(0, size.widths[-1], size.batch),
            weights=[rng.standard_normal(layer, dtype=np.float32) * np.float32(layer[0] ** -0.5) for layer in layers],
            biases=[rng.standard_normal(outputs, dtype=np.float32) * np.float32(0.1) for _, outputs in layers],
        )


def this_library(problem: Problem) -> Step:
    """The public interface, run eagerly."""
    import nn

    model = nn.MLP([problem.x.shape[1], *(len(b) for b in problem.biases)], activation="relu")
    state = {}
    for i, (W, b) in enumerate(zip(problem.weights, problem.biases)):
        state |= {f"layers.{2 * i}.weight": W, f"layers.{2 * i}.bias": b}
    model.load_state_dict(state)
    optimizer = nn.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    x, labels = problem.x, problem.labels

    def step() -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def numpy_by_hand(problem: Problem) -> Step:
    """The chain rule written out in NumPy, every result in a buffer that was made beforehand.

    The logits are computed transposed, classes by examples: NumPy reduces a short last axis slowly. For the same
    reason bias gradients are products with a vector of ones. The true gradients exist after a step, as they do in
    the other contenders: the learning rate is not folded into the products.
    """
    x, labels, weights, biases = problem.x, problem.labels, problem.weights, problem.biases
    n, classes = len(x), len(biases[-1])
    hidden = [np.empty((n, len(b)), np.float32) for b in biases[:-1]]
    inputs = [x, *hidden]
    active = [np.empty(h.shape, np.bool_) for h in hidden]
    gradients = [np.empty_like(h) for h in hidden]
    d_weights, d_biases = [np.empty_like(W) for W in weights], [np.empty_like(b) for b in biases]
    logits, probabilities = np.empty((classes, n), np.float32), np.empty((classes, n), np.float32)
    flat_logits, flat_probabilities = logits.reshape(-1), probabilities.reshape(-1)
    largest, total, log_total, of_label = (np.empty(n, np.float32) for _ in range(4))
    index, columns, ones = np.empty(n, np.int64), np.arange(n), np.ones(n, np.float32)
    last_bias = biases[-1].reshape(-1, 1)
    rate, share = np.float32(LEARNING_RATE), np.float32(1 / n)

    def step() -> Any:
        for h, W, b, a in zip(inputs, weights, biases, hidden):
            np.dot(h, W, out=a)
            np.add(a, b, out=a)
            np.maximum(a, 0, out=a)
        np.dot(weights[-1].T, inputs[-1].T, out=logits)
        np.add(logits, last_bias, out=logits)

        np.maximum.reduce(logits, axis=0, out=largest)
        np.subtract(logits, largest, out=logits)
        np.exp(logits, out=probabilities)
        np.add.reduce(probabilities, axis=0, out=total)
        np.multiply(labels, n, out=index)
        np.add(index, columns, out=index)
        flat_logits.take(index, out=of_label, mode="clip")
        np.log(total, out=log_total)
        np.subtract(log_total, of_label, out=log_total)
        loss = np.add.reduce(log_total) * share

        np.multiply(total, n, out=total)
        np.divide(probabilities, total, out=probabilities)
        flat_probabilities[index] -= share  # now the gradient of the logits

        g = probabilities.T
        np.dot(probabilities, ones, out=d_biases[-1])
        for i in reversed(range(len(weights))):
            W, b, dW, db = weights[i], biases[i], d_weights[i], d_biases[i]
            np.dot(inputs[i].T, g, out=dW)
            if i:
                below = gradients[i - 1]
                np.dot(g, W.T, out=below)
                np.greater(hidden[i - 1], 0, out=active[i - 1])
                np.multiply(below, active[i - 1], out=below)
                np.dot(ones, below, out=d_biases[i - 1])
                g = below
            np.multiply(dW, rate, out=dW)
            np.subtract(W, dW, out=W)
            np.multiply(db, rate, out=db)
            np.subtract(b, db, out=b)
        return loss

    return step


def products_alone(problem: Problem) -> Step:
    """The matrix products of a step and nothing else: what no NumPy program can beat. It learns nothing."""
    x, weights = problem.x, problem.weights
    outputs = [np.full((len(x), len(b)), 0.01, np.float32) for b in problem.biases]
    inputs = [x, *outputs[:-1]]
    d_weights = [np.empty_like(W) for W in weights]
    results = [np.empty_like(h) for h in outputs]
    d_inputs = [np.empty_like(h) for h in inputs]

    def step() -> None:
        for h, W, a in zip(inputs, weights, results):
            np.dot(h, W, out=a)
        for i in reversed(range(len(weights))):
            np.dot(inputs[i].T, outputs[i], out=d_weights[i])
            if i:
                np.dot(outputs[i], weights[i].T, out=d_inputs[i])

    return step


def _torch() -> Any:
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    return torch


def torch_modules(problem: Problem) -> Step:
    """PyTorch as its tutorials write it: ``nn.Sequential``, ``cross_entropy``, ``optim.SGD``."""
    torch = _torch()
    layers = []
    for W, b in zip(problem.weights, problem.biases):
        linear = torch.nn.Linear(*W.shape)
        linear.load_state_dict({"weight": torch.from_numpy(W.T.copy()), "bias": torch.from_numpy(b)})
        layers += [linear, torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    x, labels = torch.from_numpy(problem.x), torch.from_numpy(problem.labels)
    cross_entropy = torch.nn.functional.cross_entropy

    def step() -> Any:
        optimizer.zero_grad()
        loss = cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def torch_tensors(problem: Problem) -> Step:
    """PyTorch with its modules and optimizer left out: tensors and `torch.autograd.grad`."""
    torch = _torch()
    weights = [torch.from_numpy(W).requires_grad_() for W in problem.weights]
    biases = [torch.from_numpy(b).requires_grad_() for b in problem.biases]
    parameters = weights + biases
    x, labels = torch.from_numpy(problem.x), torch.from_numpy(problem.labels)
    cross_entropy = torch.nn.functional.cross_entropy

    def step() -> Any:
        h = x
        for W, b in zip(weights[:-1], biases[:-1]):
            h = torch.relu(torch.addmm(b, h, W))
        loss = cross_entropy(torch.addmm(biases[-1], h, weights[-1]), labels)
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients):
                parameter.sub_(gradient, alpha=LEARNING_RATE)
        return loss

    return step


def jax_jit(problem: Problem) -> Step:
    """JAX with the whole step compiled, the parameters' memory given back to it, and every step waited for."""
    import jax
    import jax.numpy as jnp

    def loss_of(parameters: Any, x: Any, labels: Any) -> Any:
        h = x
        for W, b in parameters[:-1]:
            h = jax.nn.relu(h @ W + b)
        W, b = parameters[-1]
        scores = jax.nn.log_softmax(h @ W + b)
        return -jnp.mean(jnp.take_along_axis(scores, labels[:, None], axis=1))

    def update(parameters: Any, x: Any, labels: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(parameters, x, labels)
        return jax.tree.map(lambda p, g: p - LEARNING_RATE * g, parameters, gradients), loss

    compiled = jax.jit(update, donate_argnums=0)
    parameters = [(jnp.array(W), jnp.array(b)) for W, b in zip(problem.weights, problem.biases)]
    x, labels = jnp.array(problem.x), jnp.array(problem.labels)

    def step() -> Any:
        nonlocal parameters
        parameters, loss = jax.block_until_ready(compiled(parameters, x, labels))
        return loss

    return step


def hips_autograd(problem: Problem) -> Step:
    """HIPS autograd: `value_and_grad` of a function in its own NumPy."""
    import autograd.numpy as anp
    from autograd import value_and_grad

    x, labels = problem.x, problem.labels
    rows = np.arange(len(x))

    def loss_of(parameters: Any) -> Any:
        h = x
        for W, b in parameters[:-1]:
            h = anp.dot(h, W) + b
            h = h * (h > 0)  # faster here than the gradient of its maximum
        W, b = parameters[-1]
        logits = anp.dot(h, W) + b
        logits = logits - anp.max(logits, axis=1, keepdims=True)
        return anp.mean(anp.log(anp.sum(anp.exp(logits), axis=1)) - logits[rows, labels])

    parameters = list(zip(problem.weights, problem.biases))
    differentiate = value_and_grad(loss_of)

    def step() -> Any:
        loss, gradients = differentiate(parameters)
        for (W, b), (dW, db) in zip(parameters, gradients):
            W -= LEARNING_RATE * dW
            b -= LEARNING_RATE * db
        return loss

    return step


def mygrad(problem: Problem) -> Step:
    """MyGrad with its own loss and activation, and the guard of its memory turned off, which it offers for speed."""
    import mygrad as mg
    from mygrad.nnet.activations import relu
    from mygrad.nnet.losses import softmax_crossentropy

    mg.turn_memory_guarding_off()
    weights, biases = [mg.tensor(W) for W in problem.weights], [mg.tensor(b) for b in problem.biases]
    parameters = weights + biases
    x, labels = problem.x, problem.labels

    def step() -> Any:
        h = x
        for W, b in zip(weights[:-1], biases[:-1]):
            h = relu(mg.matmul(h, W) + b)
        loss = softmax_crossentropy(mg.matmul(h, weights[-1]) + biases[-1], labels)
        loss.backward()
        for parameter in parameters:
            parameter.data -= LEARNING_RATE * parameter.grad
        return loss

    return step


PRODUCTS = "the matrix products alone"
REFERENCE = "PyTorch nn + optim"
CONTENDERS: dict[str, Callable[[Problem], Step]] = {
    "this library, eager": this_library,
    PRODUCTS: products_alone,
    "hand-written NumPy, out= everywhere": numpy_by_hand,
    REFERENCE: torch_modules,
    "PyTorch, bare tensors": torch_tensors,
    "JAX jit": jax_jit,
    "MyGrad": mygrad,
    "HIPS autograd": hips_autograd,
}


def losses(step: Step) -> list[float]:
    """Losses of the first steps: at the start and after each of the `CHECKED_STEPS` updates."""

    def values() -> Iterator[float]:
        for _ in range(CHECKED_STEPS + 1):
            loss = step()
            yield float(loss.item() if hasattr(loss, "item") else loss)

    return list(values())


def measure(contender: str, size: str, batches: int, batch_seconds: float) -> dict[str, Any]:
    """Check and time one contender, in this process.

    Raises:
        WrongResultError: its losses are not those of the hand-written NumPy.
    """
    step = CONTENDERS[contender](Problem.of(SIZES[size]))
    result: dict[str, Any] = {}
    if contender != PRODUCTS:
        found = result["losses"] = losses(step)
        expected = losses(numpy_by_hand(Problem.of(SIZES[size])))
        if not np.allclose(found, expected, rtol=RELATIVE_TOLERANCE, atol=0):
            raise WrongResultError(f"losses {found}, hand-written NumPy has {expected}")
    return result | time_batches(step, batches, batch_seconds)
