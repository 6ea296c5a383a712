"""Training by several processes: the same as by one but for rounding, and no rank alone in success or failure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nn
from tests.ranks import run

pytest.importorskip("mpi4py")

Arrays = dict[str, Any]


def problem(rows: int = 103) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, 5)), rng.integers(0, 3, rows)


def trained(comm: Any, kind: str = "SGD", seed: int = 0, options: Arrays | None = None, **changed: Any) -> Arrays:
    """Train a small classifier, and give its weights and history as JSON can hold them."""
    X, y = problem()
    model = nn.MLP([5, 16, 3], activation="tanh", rng=seed)
    optimizer = getattr(nn.optim, kind)(model.parameters(), **{"lr": 0.05, **(options or {})})
    given: Arrays = {
        "epochs": 9,
        "batch_size": 18,  # the last batch has 13 rows
        "validation_data": (X[:51], y[:51]),
        "metrics": ["accuracy"],
        "clip_norm": 0.3,
        "schedule": nn.optim.StepLR(optimizer, 3),
        "rng": 1,
    }
    history = nn.fit(model, X, y, optimizer=optimizer, comm=comm, **(given | changed))
    columns = {name: values for name, values in history.columns().items() if name != "seconds"}
    return {"weights": {name: x.tolist() for name, x in model.state_dict().items()}, "history": columns}


OPTIMIZERS: list[tuple[str, Arrays]] = [("SGD", {}), ("SGD", {"momentum": 0.9, "nesterov": True}), ("Adam", {})]
COMPILE = (False, True)


def difference(one: Arrays, other: Arrays) -> float:
    """Give by how much two results differ at most."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        return max(difference(one[name], other[name]) for name in one)
    return float(np.abs(np.array(one) - np.array(other)).max())


def as_ranks() -> list[Arrays]:
    """Train in all ways, as a rank, whose weights before are its own."""
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    return [
        trained(comm, kind, comm.rank, options, compile=compile) for kind, options in OPTIMIZERS for compile in COMPILE
    ]


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_learn_what_one_process_learns(ranks: int) -> None:
    first, *others = run(ranks, "tests.test_parallel:as_ranks").results
    assert all(other == first for other in others)  # weights and histories, bit for bit
    alone = [trained(None, kind, 0, options, compile=compile) for kind, options in OPTIMIZERS for compile in COMPILE]
    for one, other in zip(alone, first, strict=True):
        assert difference(one, other) < 1e-5
    eager, compiled = first[0], first[1]
    assert eager["weights"] != trained(None, epochs=1)["weights"]
    assert difference(eager, compiled) < 1e-5
