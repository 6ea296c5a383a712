"""Several functions at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.cases.case import Case, Sampler

sampler = Sampler(5)
normal = sampler.normal


def compositions() -> Iterator[Case]:
    def softmax_cross_entropy(x: Any, labels: Any) -> Any:
        shifted = x - np.max(x, axis=1, keepdims=True)
        scores = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
        return -np.mean(np.take_along_axis(scores, labels[:, None], axis=1))

    def perceptron(x: Any, w: Any, b: Any, v: Any) -> Any:
        return np.tanh(x @ w + b) @ v

    labels = np.array([0, 2, 1, 2])
    yield Case(
        "softmax cross-entropy",
        softmax_cross_entropy,
        (normal(4, 3), labels),
        torch=lambda t, x, y: t.nn.functional.cross_entropy(x, y),
    )
    yield Case(
        "perceptron",
        perceptron,
        (normal(2, 3), normal(3, 2), normal(2), normal(2)),
        torch=lambda t, x, w, b, v: t.tanh(x @ w + b) @ v,
    )
    yield Case(
        "several outputs",
        lambda x, y: (x * y, np.sin(x), y.sum()),
        (normal(2), normal(2)),
        torch=lambda t, x, y: (x * y, t.sin(x), y.sum()),
    )


CASES = [*compositions()]
