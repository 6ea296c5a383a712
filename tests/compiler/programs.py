"""Small random training steps, whose shapes have axes of one element and none, and whose results show each other."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import autodiff as ad
import nn
from autodiff import Tensor
from autodiff.core.record import data_of
from autodiff.transforms.containers import walk

SHAPES = [(), (1,), (3,), (1, 1), (3, 1), (1, 3), (2, 3), (3, 3), (20, 3), (20, 1), (3, 4)]
CALLS = 4
UNARY = """
np.tanh({a}) | -{a} | {a} * 0.5 | {a}.sum() | {a}.mean() | {a}.squeeze() | np.reshape({a}, -1) | np.reshape({a}, ())
{a}.T | {a}[..., None] | {a}[None] | np.clip({a}, -1.0, 1.0) | np.max({a}) | np.abs({a}) | np.linalg.norm({a})
np.cumsum({a})
{a}.sum(axis=-1) | {a}.mean(axis=0) | np.max({a}, axis=-1) | {a}.sum(axis=0, keepdims=True) | np.var({a}, axis=-1)
{a}[0] | {a}[-1] | {a}[..., 0] | {a}[::-1] | {a}[:1] | np.take({a}, 0, axis=-1) | np.moveaxis({a}, 0, -1)
"""
BINARY = """
{a} + {b} | {a} * {b} | {a} - {b} | np.maximum({a}, {b}) | np.where({b} > 0, {a}, 0.1) | np.where({a} > 0, {a}, {b})
np.dot({a}, {b}) | {a} @ {b} | np.dot({b}, {a}) | {a} / (1 + {b} ** 2) | np.stack([{a}, {b}])
np.concatenate([np.ravel({a}), np.ravel({b})])
"""
EXPRESSIONS = [
    text.strip() for line in (UNARY, BINARY, BINARY) for text in line.replace("\n", "|").split("|") if text.strip()
]
UPDATES: dict[str, Callable[[Any], Any]] = {
    "assign": lambda ws: None,
    "momentum": lambda ws: nn.optim.SGD(ws, lr=0.05, momentum=0.9),
    "adam": lambda ws: nn.optim.Adam(ws, lr=0.05, eps=0.1),
    "clip": lambda ws: nn.optim.SGD(ws, lr=0.05),
}


class RandomStep:
    """A random step: parameters of which some may get no gradient, calls, a loss, an update, and results.

    Attributes:
        source: its text.
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._seed = seed
        self._shapes = [SHAPES[k] for k in rng.integers(len(SHAPES), size=3)]
        self._update = list(UPDATES)[rng.integers(len(UPDATES))]
        self._is_own = self._update == "assign" and rng.random() < 0.5
        self._has_gaps = rng.random() < 0.3
        found = {f"w{k}": rng.normal(size=shape) for k, shape in enumerate(self._shapes)}
        found["x"] = found["w0"] if self._is_own else rng.normal(size=self._shapes[0])
        lines: list[str] = []
        for _ in range(200):
            a, b = (list(found)[-1 - int(k)] for k in rng.exponential(2, 2).astype(int) % len(found))
            text = EXPRESSIONS[rng.integers(len(EXPRESSIONS))].format(a=a, b=b)
            try:
                with warnings.catch_warnings(action="ignore"):
                    value = np.asarray(eval(text, {"np": np}, found))
            except (ValueError, IndexError, AttributeError, np.exceptions.AxisError):
                continue  # the shapes do not go together
            if len(lines) < 9 and 0 < value.size <= 100 and value.ndim <= 3:
                found[f"v{len(lines)}"] = value
                lines.append(f"v{len(lines)} = {text}")
        used = [f"v{k}" for k in rng.integers(len(lines), size=3)]
        assigned = "for w in ws: w.data = w.data if w.grad is None else w.data - 0.05 * w.grad"
        clipped = "norm = nn.optim.clip_grad_norm_(ws, 0.5)"
        kept = [name if self._update == "assign" else f"{name} * 1" for name in (*used, "x")]
        self.source = "\n    ".join(
            [
                "def step(x):",
                "for w in ws: w.grad = None",
                "w0, w1, w2 = ws",
                *lines,
                "loss = " + " + ".join(f"(np.tanh({name}) ** 2).mean()" for name in used) + " + (w0 * 0.1).sum()",
                "results = [" + ", ".join(kept) + "]",
                "loss.backward()",
                *([clipped] if self._update == "clip" else []),
                assigned if self._update == "assign" else "optimizer.step()",
                "return loss, results, (x * 1).sum() if optimizer is None else loss * 2",
            ]
        )

    def make(self) -> tuple[list[Tensor], list[Any], Callable[[Any], Any]]:
        """Give the parameters, all of the state, and the step, each time anew."""
        rng = np.random.default_rng(self._seed)
        ws = [Tensor(rng.normal(size=shape)[()]) for shape in self._shapes]
        space = {"np": np, "nn": nn, "ws": ws, "optimizer": UPDATES[self._update](ws)}
        exec(self.source, space)
        return ws, [one for one in (ws, space["optimizer"]) if one is not None], space["step"]

    def argument(self, call: int, ws: list[Tensor]) -> Any:
        """Give the argument of a call, which may be the array of a parameter, or have gaps in memory."""
        if self._is_own:
            return ws[0].data
        numbers = np.random.default_rng((self._seed, call)).normal(size=self._shapes[0])
        return np.repeat(numbers, 2, axis=-1)[..., ::2] if self._has_gaps and numbers.ndim else numbers


def assert_same_random_step(random: RandomStep, **options: Any) -> None:
    """Take a random step eagerly and compiled, keep all results, and compare them and the state at the end."""
    (ws, state, step), (others, _, eager) = random.make(), random.make()
    compiled = ad.compile(step, state, **options)
    kept = [compiled(random.argument(call, ws)) for call in range(CALLS)]
    wanted = [copy.deepcopy(numbers_in(eager(random.argument(call, others)))) for call in range(CALLS)]
    for found, value in zip(numbers_in([kept, ws]), numbers_in([wanted, others]), strict=True):
        assert np.shape(found) == np.shape(value)
        if options.get("exact"):
            np.testing.assert_array_equal(found, value, random.source)
        np.testing.assert_allclose(found, value, 1e-7, 1e-9, err_msg=random.source)


def numbers_in(results: Any) -> list[Any]:
    return [data_of(leaf) for _, leaf in walk(results)]
