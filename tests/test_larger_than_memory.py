"""Training on a cluster of Dask's: the chapter about it, and what happens when its processes die."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("distributed")
pytest.importorskip("nbclient")

import itertools

import dask
import dask.array as da
import distributed

import autodiff as ad
import nn
from demos import chapter
from tests.notebooks import defined, run_notebook


@pytest.fixture(scope="module")
def defines() -> dict[str, Any]:
    """Give what the chapter defines before it looks for a cluster."""
    return defined("larger_than_memory", before="chapter.enter")


@pytest.fixture(scope="module")
def client(defines: dict[str, Any]) -> Iterator[Any]:
    """Give a client of two processes, of which a task is not tried on a third one after the death of two."""
    options = {"distributed.scheduler.allowed-failures": 1, "scheduler": None}
    defines["GONE"] = "1s"
    with dask.config.set(options), defines["connected"](None) as client:
        yield client
    assert not [child for child in multiprocessing.active_children() if "Dask" in child.name]
    assert dask.config.get("scheduler", None) is None


def test_the_chapter_on_a_cluster(client: Any, tmp_path: Path) -> None:
    changes = {
        "connected(options.address)": f"connected({client.scheduler.address!r})",
        "rows(options.chunks,": "rows(2,",
        "{options.chunks} chunks": "2 chunks",
        "PASSES, RATE = 8, 3, 4.0": "PASSES, RATE = 8, 2, 4.0",
        "COUNTED = (16, 32, 64, 128)": "COUNTED = (8, 16, 32)",
    }
    names, out, shown = run_notebook("larger_than_memory", tmp_path, changes, afresh=True)
    (limit, _), peaks = names["limits"], [*names["peaks"], names["own_peak"]]
    assert all(0 < peak < limit == names["MEMORY"] for peak in peaks), peaks
    assert 0 <= names["difference"] < 1e-10
    for curve in names["losses"].values():
        assert len(curve) >= 2
        assert curve[-1] < curve[0] < 0.8
    for counts in names["counts"].values():
        for few, more in itertools.pairwise(counts):
            assert few < more <= 2.02 * few
    assert "data            48 MiB in 2 chunks\nmemory allowed  640 MiB of 2 workers together\n" in out
    assert len(re.findall(r"^peak memory of .* \d+ MiB, of 320 MiB that a worker may use$", out, re.M)) == 2
    assert shown == ["image/png"]
    assert not list(tmp_path.iterdir())


def test_the_data_is_four_times_the_memory_and_its_chunks_are_always_the_same(defines: dict[str, Any]) -> None:
    rows = defines["rows"]
    X, y = rows(defines["CHUNKS"], 0)
    assert X.nbytes >= 4 * 2 * defines["MEMORY"]
    assert len(y) == len(X)
    few = rows(3, 0, 10)
    again = rows(5, 0, 10)
    for one, other in zip(few, again, strict=True):
        np.testing.assert_array_equal(one, other[:30])
    assert 0.3 < np.mean(few[1]) < 0.7


def dying(block: Any, folder: str, deaths: int, block_id: Any = None) -> Any:
    """Kill the process that computes this in the middle of the chunks, a number of times."""
    if block_id[0] == 5:
        for death in range(deaths):
            try:
                os.mkdir(f"{folder}/{death}")
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)
    return block


def step(X: Any, y: Any) -> tuple[Any, Any]:
    model = nn.MLP([4, 3, 1], activation="tanh", rng=0, dtype=np.float64)
    loss = nn.functional.mse_loss(model(X), y)
    loss.backward()
    ad.materialize((loss, model))
    return loss.item(), [parameter.grad for parameter in model.parameters()]


def test_a_step_survives_the_death_of_a_worker(client: Any, tmp_path: Path) -> None:
    X, y = (da.random.default_rng(0).normal(size=(80, n), chunks=(10, n)) for n in (4, 1))
    loss, gradients = step(X.map_blocks(dying, str(tmp_path), 1, dtype=X.dtype, meta=np.empty((0, 0))), y)
    assert os.listdir(tmp_path) == ["0"]
    expected, exact = step(*dask.compute(X, y))
    assert loss == pytest.approx(expected, rel=1e-13)
    for one, other in zip(gradients, exact, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def test_the_death_of_all_workers_is_an_error_that_says_so(client: Any, tmp_path: Path) -> None:
    X, y = (da.random.default_rng(0).normal(size=(80, n), chunks=(10, n)) for n in (4, 1))
    with pytest.raises(distributed.KilledWorker, match="all those workers died while running it"):
        step(X.map_blocks(dying, str(tmp_path), 9, dtype=X.dtype, meta=np.empty((0, 0))), y)
    assert len(os.listdir(tmp_path)) == 2


def test_a_step_without_any_worker_is_an_error_that_says_so(client: Any) -> None:
    X, y = (da.random.default_rng(0).normal(size=(80, n), chunks=(10, n)) for n in (4, 1))
    client.cluster.scale(0)
    while client.nthreads():  # a worker that is given a task while it goes would count as killed by it
        time.sleep(0.01)
    with pytest.raises(
        distributed.scheduler.NoWorkerError, match=r"timed out after 1.00 s waiting without any .*workers"
    ):
        step(X, y)


def test_bad_addresses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for address in ("tcp://127.0.0.1:1", "nowhere", "smoke://signals:1"):
        flags = ["--output", str(tmp_path), "--address", address]
        with pytest.raises(SystemExit) as caught:
            chapter.run("larger_than_memory", flags, {"timeout=5": "timeout=1"})
        assert caught.value.code == 2
        err = capsys.readouterr().err
        words = f"argument --address: no scheduler answers at {re.escape(address)}: "
        assert re.fullmatch(rf"python -m demos\.larger_than_memory: {words}.*\n", err, re.DOTALL)


def test_dask_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    with pytest.raises(ImportError, match=r'needs Dask: pip install -e "\.\[distributed\]"'):
        chapter.run("larger_than_memory")
