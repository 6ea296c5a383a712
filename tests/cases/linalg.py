"""Products of vectors, matrices and stacks of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from tests.cases.case import Case, Sampler

sampler = Sampler(1)
normal = sampler.normal


def linalg() -> Iterator[Case]:
    lefts = {1: (3,), 2: (2, 3), 3: (2, 2, 3), 4: (1, 2, 2, 3)}
    rights = {1: (3,), 2: (3, 4), 3: (2, 3, 1), 4: (2, 1, 3, 2)}
    for x, y in product(lefts.values(), rights.values()):
        yield Case(f"matmul {x} {y}", np.matmul, (normal(*x), normal(*y)), torch="matmul")
    for x, y in (
        ((1, 2, 3), (4, 3, 2)),
        ((3, 1, 2, 1), (2, 1, 2)),
        ((0, 3), (3, 2)),
        ((2, 0), (0, 2)),
        ((0,), (0,)),
        ((2, 3), (5, 0, 3, 2)),
    ):
        yield Case(f"matmul {x} {y}", np.matmul, (normal(*x), normal(*y)), torch="matmul")
    lefts |= {0: (), 4: (1, 2, 1, 3)}
    rights |= {0: ()}

    def tensordot(torch: Any, x: Any, y: Any) -> Any:
        return torch.tensordot(x, y, ([x.ndim - 1], [max(y.ndim - 2, 0)])) if x.ndim and y.ndim else x * y

    for x, y in product(lefts.values(), rights.values()):
        yield Case(f"dot {x} {y}", np.dot, (normal(*x), normal(*y)), torch=tensordot)
    for x, y in (((0, 3), (3, 2)), ((2, 0), (0, 2)), ((0,), (0,))):
        yield Case(f"dot {x} {y}", np.dot, (normal(*x), normal(*y)), torch=tensordot)
    yield Case("matmul with a list on the right", lambda x: x @ [1.0, -2.0, 3.0], (normal(2, 3),))
    yield Case("matmul with a list on the left", lambda y: [1.0, -2.0, 3.0] @ y, (normal(3, 2),))
    yield Case(
        "matmul with nested lists",
        lambda x: np.matmul(np.matmul([[1.0, 2.0]], x), [[1.0], [2.0], [3.0]]),
        (normal(2, 3),),
    )
    yield Case("dot with a list", lambda x: np.dot(x, [1.0, -2.0, 3.0]) + np.dot([1.0, 2.0], x)[0], (normal(2, 3),))
    yield Case("dot with a number", lambda x: np.dot(x, 2.5) + np.dot(2, x), (normal(2, 3),))
    yield Case("dot()", lambda x: x.dot(x.T), (normal(2, 3),), torch=lambda _, x: x @ x.T)
    yield Case("matmul of a Tensor with itself", lambda x: x @ x.T, (normal(2, 3),), torch=lambda _, x: x @ x.T)


CASES = [*linalg()]
