"""One recorded operation: what recording it and running its derivative cost beside the arithmetic.

Chains of operations on eight float64 elements, forward and backward; the time is divided by the length of the chain.
The chains are the same Python code for every library, which differ only in what flows through it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks.worker import WrongResultError, time_batches

ELEMENTS = 8
LENGTH = 1000

Chain = Callable[[Any, Any, Any, Any], Any]


def multiply_by_constant(x: Any, c: Any, w: Any, tanh: Any) -> Any:
    for _ in range(LENGTH):
        x = x * c
    return x


def multiply_by_weight(x: Any, c: Any, w: Any, tanh: Any) -> Any:
    for _ in range(LENGTH):
        x = x * w
    return x


def add_constant(x: Any, c: Any, w: Any, tanh: Any) -> Any:
    for _ in range(LENGTH):
        x = x + c
    return x


def multiply_and_add(x: Any, c: Any, w: Any, tanh: Any) -> Any:
    for _ in range(LENGTH // 2):
        x = x * c
        x = x + c
    return x


def tanh_chain(x: Any, c: Any, w: Any, tanh: Any) -> Any:
    for _ in range(LENGTH):
        x = tanh(x)
    return x


CHAINS: dict[str, Chain] = {
    "x * c": multiply_by_constant,
    "x * w": multiply_by_weight,
    "x + c": add_constant,
    "x * c + c": multiply_and_add,
    "tanh(x)": tanh_chain,
}


def inputs() -> tuple[np.ndarray[Any, Any], ...]:
    """The variable ``x``, the constant ``c`` and the weight ``w``; a product of a thousand of them stays near one."""
    return np.linspace(0.5, 1.5, ELEMENTS), np.linspace(0.999, 1.001, ELEMENTS), np.linspace(1.001, 0.999, ELEMENTS)


def expected(chain: str) -> list[Any]:
    """Gradients of the sum of the chain's output by hand, of ``x`` and, where it takes part, of ``w``."""
    x, c, w = inputs()
    if chain == "tanh(x)":
        gradient = np.ones(ELEMENTS)
        for _ in range(LENGTH):
            x = np.tanh(x)
            gradient *= 1 - x * x
        return [gradient]
    return {
        "x * c": [c**LENGTH],
        "x * w": [w**LENGTH, LENGTH * x * w ** (LENGTH - 1)],
        "x + c": [np.ones(ELEMENTS)],
        "x * c + c": [c ** (LENGTH // 2)],
    }[chain]


Pass = Callable[[], list[Any]]


def this_library(chain: Chain) -> Pass:
    from autodiff import Tensor

    x, c, w = inputs()
    x, w, ones = Tensor(x), Tensor(w), np.ones(ELEMENTS)

    def run() -> list[Any]:
        x.grad = w.grad = None
        chain(x, c, w, np.tanh).backward(ones)
        return [x.grad, w.grad]

    return run


def torch(chain: Chain) -> Pass:
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    x, c, w = map(torch.from_numpy, inputs())
    x.requires_grad_(), w.requires_grad_()
    ones = torch.ones(ELEMENTS, dtype=torch.float64)

    def run() -> list[Any]:
        x.grad = w.grad = None
        chain(x, c, w, torch.tanh).backward(ones)
        return [x.grad, w.grad]

    return run


def hips_autograd(chain: Chain) -> Pass:
    import autograd.numpy as anp
    from autograd import make_vjp

    x, c, w = inputs()
    ones = np.ones(ELEMENTS)
    if chain is multiply_by_weight:
        pull = make_vjp(lambda x, w: chain(x, c, w, anp.tanh), argnum=(0, 1))
        return lambda: list(pull(x, w)[0](ones))
    pull = make_vjp(lambda x: chain(x, c, None, anp.tanh))
    return lambda: [pull(x)[0](ones)]


def mygrad(chain: Chain) -> Pass:
    import mygrad as mg

    mg.turn_memory_guarding_off()
    x, c, w = inputs()
    x, w, ones = mg.tensor(x), mg.tensor(w), np.ones(ELEMENTS)

    def run() -> list[Any]:
        chain(x, c, w, mg.tanh).backward(ones)
        return [x.grad, w.grad]

    return run


REFERENCE = "PyTorch"
CONTENDERS: dict[str, Callable[[Chain], Pass]] = {
    "this library": this_library,
    REFERENCE: torch,
    "HIPS autograd": hips_autograd,
    "MyGrad": mygrad,
}


def measure(contender: str, batches: int, batch_seconds: float) -> dict[str, Any]:
    """Check and time all chains in one library, in this process.

    Returns:
        For each chain what `time_batches` gives, its ``"seconds"`` being those of one operation.

    Raises:
        WrongResultError: a gradient is not the one computed by hand.
    """
    chains: dict[str, Any] = {}
    for name, chain in CHAINS.items():
        run = CONTENDERS[contender](chain)
        run()
        right = expected(name)
        for found, wanted in zip(run(), right):
            if not np.allclose(np.asarray(found), wanted, rtol=1e-9, atol=0):
                raise WrongResultError(f"{name}: gradient {found}, by hand {wanted}")
        timed = time_batches(run, batches, batch_seconds)
        chains[name] = timed | {"seconds": [s / LENGTH for s in timed["seconds"]]}
    return {"chains": chains}
