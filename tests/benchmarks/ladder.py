"""The ladder: one training step of four networks, from tiny to large, in every library.

A step is the forward pass, softmax cross-entropy on integer labels, the backward pass and a plain SGD update, in
float32, with ReLU between the layers. A contender is a function that takes a `Problem` and returns ``step``, which
trains once and returns the loss as it was before the update. All start from the same weights and data. The contenders
that `compiled` shares know other activations and Adam too.
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
ADAM_LEARNING_RATE = 1e-3
CHECKED_STEPS = 5
RELATIVE_TOLERANCE = 5e-6  # float32 rounding, grown over the checked steps


@dataclass(frozen=True)
class Size:
    """Examples in a batch, the widths of the layers, input and output included, and what else makes a step.

    The activation is "relu", "tanh" or "sigmoid", the optimizer "SGD" or "Adam", the loss "cross_entropy" or "hinge".
    """

    batch: int
    widths: tuple[int, ...]
    activation: str = "relu"
    optimizer: str = "SGD"
    loss: str = "cross_entropy"

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

    size: Size
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
            size=size,
            x=rng.standard_normal((size.batch, size.widths[0]), dtype=np.float32),
            labels=rng.integers(0, size.widths[-1], size.batch),
            weights=[rng.standard_normal(layer, dtype=np.float32) * np.float32(layer[0] ** -0.5) for layer in layers],
            biases=[rng.standard_normal(outputs, dtype=np.float32) * np.float32(0.1) for _, outputs in layers],
        )


def cross_entropy(model: Any, x: Any, labels: Any) -> Any:
    """The loss of this library's contenders."""
    import nn

    return nn.functional.cross_entropy(model(x), labels)


def our_step(problem: Problem, loss_of: Callable[..., Any]) -> tuple[Callable[[Any, Any], Any], Any]:
    """Write the step with the public interface, as a function of the inputs and labels, and give what it changes."""
    import nn

    widths = [problem.x.shape[1], *(len(b) for b in problem.biases)]
    model = nn.MLP(widths, activation=problem.size.activation)
    state = {}
    for i, (W, b) in enumerate(zip(problem.weights, problem.biases)):
        state |= {f"layers.{2 * i}.weight": W, f"layers.{2 * i}.bias": b}
    model.load_state_dict(state)
    if problem.size.optimizer == "Adam":
        optimizer: Any = nn.optim.Adam(model.parameters(), lr=ADAM_LEARNING_RATE)
    else:
        optimizer = nn.optim.SGD(model.parameters(), lr=LEARNING_RATE)

    def step(x: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_of(model, x, labels)
        loss.backward()
        optimizer.step()
        return loss

    return step, (model, optimizer)


def this_library(problem: Problem) -> Step:
    """The public interface, run eagerly."""
    step, _ = our_step(problem, cross_entropy)
    return lambda: step(problem.x, problem.labels)


def numpy_by_hand(problem: Problem) -> Step:
    """The chain rule written out in NumPy, every result in a buffer that was made beforehand: ReLU and SGD only.

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


def limited_torch() -> Any:
    """PyTorch, with as many threads as the worker was given."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    return torch


def torch_modules(problem: Problem) -> Step:
    """PyTorch as its tutorials write it: ``nn.Sequential``, ``cross_entropy``, an optimizer of ``optim``."""
    torch = limited_torch()
    activation = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid}[problem.size.activation]
    layers = []
    for W, b in zip(problem.weights, problem.biases):
        linear = torch.nn.Linear(*W.shape)
        linear.load_state_dict({"weight": torch.from_numpy(W.T.copy()), "bias": torch.from_numpy(b)})
        layers += [linear, activation()]
    model = torch.nn.Sequential(*layers[:-1])
    if problem.size.optimizer == "Adam":
        optimizer = torch.optim.Adam(model.parameters(), lr=ADAM_LEARNING_RATE)
    else:
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


def torch_loss(problem: Problem, torch: Any) -> Callable[[Any], Any]:
    """The loss as a function of PyTorch tensors, all weights and then all biases."""
    x, labels = torch.from_numpy(problem.x), torch.from_numpy(problem.labels)
    cross_entropy = torch.nn.functional.cross_entropy
    activation = getattr(torch, problem.size.activation)
    last = len(problem.weights) - 1

    def loss_of(parameters: Any) -> Any:
        h = x
        for W, b in zip(parameters[:last], parameters[last + 1 :]):
            h = activation(torch.addmm(b, h, W))
        return cross_entropy(torch.addmm(parameters[-1], h, parameters[last]), labels)

    return loss_of


def torch_tensors(problem: Problem) -> Step:
    """PyTorch with its modules left out: tensors, `torch.autograd.grad`, and SGD by hand or the fused Adam."""
    torch = limited_torch()
    parameters = [torch.from_numpy(array).requires_grad_() for array in problem.weights + problem.biases]
    loss_of = torch_loss(problem, torch)
    if problem.size.optimizer == "Adam":
        adam = torch.optim.Adam(parameters, lr=ADAM_LEARNING_RATE, fused=True)

        def descend(gradients: Any) -> None:
            for parameter, gradient in zip(parameters, gradients):
                parameter.grad = gradient
            adam.step()
    else:

        def descend(gradients: Any) -> None:
            with torch.no_grad():
                for parameter, gradient in zip(parameters, gradients):
                    parameter.sub_(gradient, alpha=LEARNING_RATE)

    def step() -> Any:
        loss = loss_of(parameters)
        descend(torch.autograd.grad(loss, parameters))
        return loss

    return step


Update = Callable[[list[Any], list[Any], Any], tuple[list[Any], Any]]


def sgd_update(parameters: list[Any], gradients: list[Any], slots: Any) -> tuple[list[Any], Any]:
    """Give the parameters after a step of plain SGD; arrays of any library."""
    return [p - LEARNING_RATE * g for p, g in zip(parameters, gradients)], slots


def adam_update(parameters: list[Any], gradients: list[Any], slots: Any) -> tuple[list[Any], Any]:
    """Give the parameters after a step of Adam, and its slots: means, mean squares, steps; arrays of any library."""
    means, squares, step = slots
    step = step + 1
    means = [0.9 * mean + 0.1 * g for mean, g in zip(means, gradients)]
    squares = [0.999 * square + 0.001 * g * g for square, g in zip(squares, gradients)]
    rate, correction = ADAM_LEARNING_RATE / (1 - 0.9**step), 1 / (1 - 0.999**step)
    moved = [p - rate * m / ((v * correction) ** 0.5 + 1e-8) for p, m, v in zip(parameters, means, squares)]
    return moved, (means, squares, step)


def functional_optimizer(optimizer: str, parameters: list[Any], zero: Any) -> tuple[Update, Any]:
    """Give the update of an optimizer, and its slots at the start; ``zero`` is a float32 scalar of the library."""
    if optimizer == "SGD":
        return sgd_update, ()
    return adam_update, ([p * 0 for p in parameters], [p * 0 for p in parameters], zero)


def jax_jit(problem: Problem) -> Step:
    """JAX with the whole step compiled, the parameters' memory given back to it, and every step waited for."""
    import jax
    import jax.numpy as jnp

    activation = getattr(jax.nn, problem.size.activation)
    last = len(problem.weights) - 1

    def loss_of(parameters: Any, x: Any, labels: Any) -> Any:
        h = x
        for W, b in zip(parameters[:last], parameters[last + 1 :]):
            h = activation(h @ W + b)
        scores = jax.nn.log_softmax(h @ parameters[last] + parameters[-1])
        return -jnp.mean(jnp.take_along_axis(scores, labels[:, None], axis=1))

    parameters = [jnp.array(array) for array in problem.weights + problem.biases]
    update, slots = functional_optimizer(problem.size.optimizer, parameters, jnp.float32(0))

    def train(parameters: Any, slots: Any, x: Any, labels: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(parameters, x, labels)
        return *update(parameters, gradients, slots), loss

    compiled = jax.jit(train, donate_argnums=(0, 1))
    x, labels = jnp.array(problem.x), jnp.array(problem.labels)

    def step() -> Any:
        nonlocal parameters, slots
        parameters, slots, loss = jax.block_until_ready(compiled(parameters, slots, x, labels))
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
EAGER = "this library, eager"
BY_HAND = "hand-written NumPy, out= everywhere"
BARE_TENSORS = "PyTorch, bare tensors"
JAX = "JAX jit"
CONTENDERS: dict[str, Callable[[Problem], Step]] = {
    EAGER: this_library,
    PRODUCTS: products_alone,
    BY_HAND: numpy_by_hand,
    REFERENCE: torch_modules,
    BARE_TENSORS: torch_tensors,
    JAX: jax_jit,
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
