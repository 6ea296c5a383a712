"""Training by several processes: the same as by one but for rounding, and the same on all ranks to the last bit."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nn
from tests.ranks import run

pytest.importorskip("mpi4py")

Values = dict[str, Any]


def problem(rows: int = 103, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, 5)), rng.integers(0, 3, rows)


def spread(predictions: Any, targets: Any) -> float:
    """A metric that is no mean over rows."""
    return float(np.ptp(predictions[:, 0]) + targets.max())


def squares(predictions: Any, targets: Any) -> Any:
    """A loss of the user's, the mean over rows."""
    return ((predictions - np.eye(3)[targets]) ** 2).mean()


def trained(comm: Any, kind: str = "SGD", seed: int = 0, options: Values | None = None, **changed: Any) -> Values:
    """Train a small classifier, and give its weights and history as JSON can hold them."""
    X, y = problem()
    model = changed.pop("model", None) or nn.MLP([5, 16, 3], activation="tanh", rng=seed)
    optimizer = getattr(nn.optim, kind)(model.parameters(), **{"lr": 0.05, **(options or {})})
    given: Values = (
        {
            "epochs": 9,
            "batch_size": 18,  # the last batch has 13 rows
            "validation_data": (X[:51], y[:51]),
            "metrics": ["accuracy"],
            "clip_norm": 0.3,
            "schedule": nn.optim.StepLR(optimizer, 3),
            "rng": 1,
        }
        | changed
    )
    if given["schedule"] is nn.optim.ReduceLROnPlateau:
        given["schedule"] = nn.optim.ReduceLROnPlateau(optimizer, patience=0, threshold=0.05)
    history = nn.fit(model, *given.pop("data", (X, y)), optimizer=optimizer, comm=comm, **given)
    columns = {name: values for name, values in history.columns().items() if name != "seconds"}
    return {"weights": {name: x.tolist() for name, x in model.state_dict().items()}, "history": columns}


class Partly(nn.Module):
    """A model with a parameter of another dtype, one that few rows use, so that some ranks do not, and more."""

    def __init__(self) -> None:
        self.layer = nn.Linear(5, 3, rng=0)
        self.scale = nn.Parameter(np.float64(1.5))
        self.rare = nn.Parameter(np.ones(3, np.float32))
        self.unused = nn.Parameter(np.ones(2, np.float32))
        self.frozen = nn.Parameter(np.ones(3, np.float32))
        self.frozen.requires_grad = False

    def forward(self, x: Any) -> Any:
        out = self.layer(x) * self.scale.astype(np.float32) + self.frozen
        are_large = x[:, :1] > 1
        return out + self.rare * are_large if are_large.any() else out


# What is trained, beside what all runs have.
WAYS: dict[str, Values] = {
    "SGD": {},
    "momentum": {"options": {"momentum": 0.9, "nesterov": True}},
    "Adam": {"kind": "Adam"},
    "SGD compiled": {"compile": True},
    "Adam compiled": {"kind": "Adam", "compile": True, "metrics": ["accuracy", spread]},
    "metrics": {"metrics": [spread, "accuracy"], "loss": squares},
    "patience": {"patience": 2, "min_delta": 0.02, "epochs": 30, "schedule": None, "validation_data": problem(40, 1)},
    "plateau": {"options": {"lr": 1.0}, "schedule": nn.optim.ReduceLROnPlateau},
    "large batch": {"batch_size": 1000},
    "last batch of two rows": {"batch_size": 101, "validation_data": problem(2)},
}


def difference(one: Any, other: Any) -> float:
    """Give by how much two results differ at most."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        return max(difference(one[name], other[name]) for name in one)
    return float(np.abs(np.array(one) - np.array(other)).max())


def as_ranks(folder: str) -> Values:
    """Train in all ways, as a rank, whose weights before are its own; and what only ranks do."""
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    results = {name: trained(comm, seed=comm.rank, **way) for name, way in WAYS.items()}
    results["partly"] = trained(comm, model=Partly())
    files = tuple(np.load(Path(folder, f"{name}.npy"), mmap_mode="r") for name in "Xy")
    results["from files"] = trained(comm, data=files)
    exact = [trained(comm, "Adam", compile=compile, epochs=51, batch_size=10) for compile in (False, None)]
    results["default is eager"] = exact[0] == exact[1]

    def noisy(seed: int) -> nn.Module:
        return nn.Sequential(nn.Linear(5, 3, rng=0), nn.Dropout(0.5, rng=seed))

    masks = []
    for seed in (0, 0, 1):
        model = noisy(seed)
        masks.append((trained(comm, model=model, epochs=2), model.train()(np.ones((1, 5))).data.tolist()))
    results["dropout"] = {"same": masks[0] == masks[1], "other": masks[0][0] == masks[2][0]}
    results["draws"] = len(set(map(str, comm.allgather(masks[0][1]))))

    def interrupt(epoch: int, *_: Any) -> None:
        if epoch == 3 and comm.rank == 1:
            os.kill(os.getpid(), signal.SIGINT)

    results["Ctrl-C"] = trained(comm, callbacks=[interrupt])
    results["handler"] = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    results["stopped by rank 0"] = len(
        trained(comm, callbacks=[lambda epoch, *_: epoch == 2 + comm.rank])["history"]["loss"]
    )
    return results


def test_ranks_learn_what_one_process_learns(tmp_path: Path) -> None:
    for name, array in zip("Xy", problem(), strict=True):
        np.save(tmp_path / f"{name}.npy", array)
    first, *others = run(4, "tests.test_parallel:as_ranks", str(tmp_path), seconds=300).results
    assert len(others) == 3
    assert all(other == first for other in others)  # weights and histories, bit for bit
    for name, way in WAYS.items():
        alone = trained(None, **way)
        assert difference(alone, first[name]) < 1e-5, name
        assert first[name]["weights"] != trained(None, **{**way, "epochs": 1})["weights"]
    assert difference(trained(None, model=Partly()), first["partly"]) < 1e-5
    assert len(first["patience"]["history"]["loss"]) < 30
    assert len(set(first["plateau"]["history"]["lr"])) > 1
    assert first["from files"] == first["SGD"]
    assert first["default is eager"]
    assert first["dropout"] == {"same": True, "other": False}
    assert first["draws"] > 1
    assert len(first["Ctrl-C"]["history"]["loss"]) == 3
    assert first["handler"]
    assert first["stopped by rank 0"] == 2


def averages() -> Values:
    """Average gradients that differ by rank, and give them."""
    from mpi4py import MPI

    rank = MPI.COMM_WORLD.rank
    model = nn.Sequential(nn.Linear(2, 1, rng=rank), nn.Linear(1, 1, dtype=np.complex64, rng=rank))
    nn.parallel.broadcast(model)
    weight, bias, other, _ = model.parameters()
    results: Values = {"weights": str([x.tolist() for x in model.state_dict().values()])}
    for samples in (None, 3 * rank):
        weight.grad, bias.grad = np.full((2, 1), rank + 1, np.float32), None
        other.grad = np.array([[1j * rank]], np.complex64) if rank else None
        nn.parallel.average_gradients(model, samples=samples)
        results["by rank" if samples is None else "by samples"] = [
            None if p.grad is None else str(p.grad.tolist()) for p in (weight, bias, other)
        ]
        results["dtypes"] = [str(weight.grad.dtype), str(other.grad.dtype)]
    X, y = nn.parallel.shard(np.arange(5), np.arange(5))
    results["rows"] = str(MPI.COMM_WORLD.allgather((X.tolist(), y.base is not None)))
    return results


def test_average_gradients_and_shard() -> None:
    first, other = run(2, "tests.test_parallel:averages").results
    assert first == other
    assert first["by rank"] == ["[[1.5], [1.5]]", None, "[[0.5j]]"]
    assert first["by samples"] == ["[[2.0], [2.0]]", None, "[[1j]]"]
    assert first["dtypes"] == ["float32", "complex64"]
    assert first["rows"] == "[([0, 1, 2], True), ([3, 4], True)]"


def test_one_rank_is_a_single_process_bit_for_bit() -> None:
    from mpi4py import MPI

    assert trained(MPI.COMM_SELF, metrics=[spread]) == trained(None, metrics=[spread])


@pytest.mark.parametrize("comm", ["world", 3, True, object()])
def test_what_is_no_communicator(comm: Any) -> None:
    with pytest.raises(TypeError, match=r"fit: comm must be a communicator of mpi4py, such as MPI.COMM_WORLD, got"):
        trained(comm)
    with pytest.raises(TypeError, match=r"broadcast: comm must be a communicator"):
        nn.parallel.broadcast(nn.MLP([2, 1]), comm=comm)


def test_without_mpi4py(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    trained(None, epochs=1)
    for call in (
        lambda: trained("world"),
        lambda: nn.parallel.broadcast(nn.MLP([2, 1])),
        lambda: nn.parallel.average_gradients(nn.MLP([2, 1])),
        lambda: nn.parallel.shard(np.ones(2), np.ones(2)),
    ):
        with pytest.raises(ImportError, match=r'pip install -e "\.\[distributed\]"'):
            call()
