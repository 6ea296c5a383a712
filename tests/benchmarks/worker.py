"""One measurement in a process of its own, with a fixed number of threads, and the clock that all benchmarks share.

`in_fresh_process` starts ``python -m tests.benchmarks.worker`` with the task as JSON; the worker prints its result
as JSON. The number of threads must be known before NumPy is loaded, so it travels in the environment.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)
TIMEOUT = 300
PEERS = {  # modules, and what they are installed by
    "torch": "torch",
    "jax": "jax",
    "autograd": "autograd",
    "mygrad": "mygrad",
    "micrograd": "micrograd",
    "tangent": "tangent-ad",
    "sklearn": "scikit-learn",
    "numba": "numba",
}


class WrongResultError(Exception):
    """A contender computes something else than the reference."""


def in_fresh_process(benchmark: str, threads: int, **task: Any) -> dict[str, Any]:
    """Run ``measure(**task)`` of a benchmark's module in a new Python process.

    Returns:
        What ``measure`` returned; or, under ``"problem"``, why there is no measurement: ``"not installed"``,
        ``"wrong"`` or ``"failed"``, with the message under ``"detail"``. Also ``"elapsed"``, the process's seconds from
        start to end, and ``"disturbed"``, whether other programs left it less than a core for each thread.
    """
    cores = os.cpu_count() or 1
    with OtherPrograms() as others:
        result = _outcome(benchmark, threads, task)
    # A tenth of a core covers the system's own small errands.
    disturbed = others.cores > max(0, cores - threads) + 0.1
    return result | {"elapsed": others.elapsed, "disturbed": disturbed}


def _outcome(benchmark: str, threads: int, task: dict[str, Any]) -> dict[str, Any]:
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads)) | {"JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", __name__, json.dumps({"benchmark": benchmark, "threads": threads, "task": task})]
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return {"problem": "failed", "detail": f"no result within {TIMEOUT} seconds"}
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        complaint = done.stderr.strip().splitlines() or ["no output"]
        return {"problem": "failed", "detail": f"exit status {done.returncode}: {complaint[-1]}"}
    result: dict[str, Any] = json.loads(lines[-1])
    return result


class OtherPrograms:
    """How many cores' worth of time other programs, or other guests of the same host, take while a block runs.

    Known on Linux only; elsewhere it is zero.
    """

    cores = 0.0
    elapsed = 0.0

    def __enter__(self) -> OtherPrograms:
        self._start = self._now()
        return self

    def __exit__(self, *_: object) -> None:
        self.elapsed, taken = (end - start for end, start in zip(self._now(), self._start, strict=True))
        self.cores = max(0.0, taken / self.elapsed)

    @staticmethod
    def _now() -> tuple[float, float]:
        """Read the clock and the seconds of all cores that neither we nor our finished children have used."""
        try:
            user, nice, system, _idle, _wait, *interrupts_and_stolen = map(
                int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
            )
        except (OSError, ValueError):
            return time.perf_counter(), 0.0
        ours = sum(os.times()[:4])
        busy = (user + nice + system + sum(interrupts_and_stolen)) / os.sysconf("SC_CLK_TCK")
        return time.perf_counter(), busy - ours


def time_batches(call: Callable[[], Any], batches: int, batch_seconds: float) -> dict[str, Any]:
    """Warm a function up, then time batches of calls.

    Args:
        call: what is timed.
        batches: how many batches; fewer, but at least three, if they take four times as long as they should, as on
            a machine that is busy otherwise.
        batch_seconds: about how long a batch takes, which decides the number of calls in it; at least one.

    Returns:
        ``"calls"`` in a batch and ``"seconds"`` a call for each batch.
    """
    warm_up = 4 * batch_seconds
    durations = []
    start = time.perf_counter()
    while len(durations) < 3 or time.perf_counter() - start < warm_up:
        begin = time.perf_counter()
        call()
        durations.append(time.perf_counter() - begin)
    calls = max(1, round(batch_seconds / min(durations)))
    seconds: list[float] = []
    deadline = time.perf_counter() + 4 * batches * batch_seconds
    while len(seconds) < batches and (len(seconds) < 3 or time.perf_counter() < deadline):
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        seconds.append((time.perf_counter() - begin) / calls)
    return {"calls": calls, "seconds": seconds}


def _pin(threads: int) -> None:
    """Stay on as many cores as there are threads: JAX makes a thread a core, whatever the environment says."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])


def _work(benchmark: str, threads: int, task: dict[str, Any]) -> dict[str, Any]:
    _pin(threads)
    try:
        module = importlib.import_module(f"tests.benchmarks.{benchmark}")
        result: dict[str, Any] = module.measure(**task)
    except ModuleNotFoundError as error:  # of another module than a peer it is a mistake
        return {"problem": "not installed" if error.name in PEERS else "failed", "detail": str(error)}
    except WrongResultError as error:
        return {"problem": "wrong", "detail": str(error)}
    except Exception as error:  # whatever a contender raises belongs into the report
        return {"problem": "failed", "detail": f"{type(error).__name__}: {error}"}
    return result


if __name__ == "__main__":
    print(json.dumps(_work(**json.loads(sys.argv[1]))))
