"""Training on a cluster of Dask's: the chapter about it, and what happens when its processes die."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("distributed")

import dask
import dask.array as da
import distributed

import autodiff as ad
import nn
from demos import larger_than_memory

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Give a client of two processes, of which a task is not tried on a third one after the death of two."""
    options = {"distributed.scheduler.allowed-failures": 1, "scheduler": None}
    with pytest.MonkeyPatch.context() as patch, dask.config.set(options):
        patch.setattr(larger_than_memory, "GONE", "1s")
        with larger_than_memory.connected(None) as client:
            yield client
    assert not [child for child in multiprocessing.active_children() if "Dask" in child.name]
    assert dask.config.get("scheduler", None) is None


def test_the_chapter_on_a_cluster(client: Any, tmp_path: Path) -> None:
    code = f"""
from demos import larger_than_memory as chapter
chapter.PASSES, chapter.COUNTED = 2, (8, 16, 32)
result = chapter.main(["--address", "{client.scheduler.address}", "--chunks", "2", "--output", {str(tmp_path)!r}])
(limit, _), peaks = result["limits"], [*result["peaks"], result["own_peak"]]
assert all(0 < peak < limit == chapter.MEMORY for peak in peaks), peaks
assert 0 <= result["difference"] < 1e-10
for curve in result["losses"].values():
    assert len(curve) >= 2 and curve[-1] < curve[0] < 0.8
for counts in result["counts"].values():
    for few, more in zip(counts, counts[1:]):
        assert few < more <= 2.02 * few
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "data            48 MiB in 2 chunks\nmemory allowed  640 MiB of 2 workers together\n" in done.stdout
    assert len(re.findall(r"^peak memory of .* \d+ MiB, of 320 MiB that a worker may use$", done.stdout, re.M)) == 2
    assert done.stdout.endswith(f"wrote {tmp_path / 'larger_than_memory.png'}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["larger_than_memory.png"]


def test_the_data_is_four_times_the_memory_and_its_chunks_are_always_the_same() -> None:
    X, y = larger_than_memory.rows(larger_than_memory.CHUNKS, 0)
    assert X.nbytes >= 4 * 2 * larger_than_memory.MEMORY
    assert len(y) == len(X)
    few = larger_than_memory.rows(3, 0, 10)
    again = larger_than_memory.rows(5, 0, 10)
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
    with pytest.raises(
        distributed.scheduler.NoWorkerError, match=r"timed out after 1.00 s waiting without any .*workers"
    ):
        step(X, y)


def test_bad_addresses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for address in ("tcp://127.0.0.1:1", "nowhere", "smoke://signals:1"):
        with pytest.raises(SystemExit) as caught:
            larger_than_memory.main(["--output", str(tmp_path), "--address", address])
        assert caught.value.code == 2
        out, err = capsys.readouterr()
        assert out == ""
        words = f"argument --address: no scheduler answers at {re.escape(address)}: "
        assert re.fullmatch(rf"python -m demos\.larger_than_memory: {words}.*\n", err, re.DOTALL)


def test_dask_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    with pytest.raises(ImportError, match=r'pip install -e "\.\[demos,distributed\]"'):
        importlib.reload(larger_than_memory)
