"""One measurement in a process of its own, with a fixed number of threads, and the clock that all benchmarks share.

`in_fresh_processes` starts ``python -m tests.benchmarks.worker`` with a task as JSON; the worker prints its result as
JSON. The number of threads must be known before NumPy is loaded, so it travels in the environment.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
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
TIMEOUT = 300  # seconds for a turn
WAITING = "waiting for the next turn"
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
    """Run one task as `in_fresh_processes` does."""
    (result,) = in_fresh_processes(benchmark, threads, [task])
    return result


def in_fresh_processes(benchmark: str, threads: int, tasks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run ``measure(**task)`` of a benchmark's module for each task, in a Python process of its own.

    One of them works at a time: until it ends, or until it calls `take_turn`. Then the next one does, and at last the
    first again.

    Returns:
        What ``measure`` returned for each; or, under ``"problem"``, why there is no measurement: ``"not installed"``,
        ``"wrong"`` or ``"failed"``, with the message under ``"detail"``. Also ``"elapsed"``, the seconds from the first
        start to the last end, and ``"disturbed"``, whether other programs left less than a core for each thread.
    """
    cores = os.cpu_count() or 1
    runs = [_run(benchmark, threads, task) for task in tasks]
    results: dict[int, dict[str, Any]] = {}
    with OtherPrograms() as others:
        while len(results) < len(runs):
            for number, run in enumerate(runs):
                if number not in results and (result := next(run)) is not None:
                    results[number] = result
    # A tenth of a core covers the system's own small errands.
    disturbed = others.cores > max(0, cores - threads) + 0.1
    return [results[number] | {"elapsed": others.elapsed, "disturbed": disturbed} for number in range(len(runs))]


def _run(benchmark: str, threads: int, task: dict[str, Any]) -> Iterator[dict[str, Any] | None]:
    """Start a process, and give None whenever it waits for its turn, and at last its result."""
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads)) | {"JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", __name__, json.dumps({"benchmark": benchmark, "threads": threads, "task": task})]
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=errors, text=True
        ) as process,
    ):
        assert process.stdin is not None
        while (line := _last_line(process)) == WAITING:
            yield None
            with contextlib.suppress(BrokenPipeError):
                print(file=process.stdin, flush=True)
        status = process.wait()
        errors.seek(0)
        complaint = errors.read().strip().splitlines() or ["no output"]
    if line is None:
        yield {"problem": "failed", "detail": f"no result within {TIMEOUT} seconds"}
    elif status or not line:
        yield {"problem": "failed", "detail": f"exit status {status}: {complaint[-1]}"}
    else:
        yield json.loads(line)


def _last_line(process: subprocess.Popen[str]) -> str | None:
    """Give the last line that a process prints before it waits or ends; None if it does neither and is killed."""
    line = ""
    alarm = threading.Timer(TIMEOUT, process.kill)
    alarm.start()
    for printed in process.stdout or ():
        line = printed.strip()
        if line == WAITING:
            break
    is_late = alarm.finished.is_set()
    alarm.cancel()
    return None if is_late else line


def take_turn() -> None:
    """Wait, in a process that `in_fresh_processes` started, until the others have had their turns."""
    print(WAITING, flush=True)
    sys.stdin.readline()


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


def time_batches(call: Callable[[], Any], batches: int, batch_seconds: float, in_turns: bool = False) -> dict[str, Any]:
    """Warm a function up, then time batches of calls.

    Args:
        call: what is timed.
        batches: how many batches; fewer, but at least three, if they take four times as long as they should, as on
            a machine that is busy otherwise.
        batch_seconds: about how long a batch takes, which decides the number of calls in it; at least one.
        in_turns: whether other processes have their turns between two batches, and it warms up again after them.

    Returns:
        ``"calls"`` in a batch and ``"seconds"`` a call for each batch.
    """
    calls = max(1, round(batch_seconds / _warm_up(call, 4 * batch_seconds)))
    seconds: list[float] = []
    while len(seconds) < batches and (len(seconds) < 3 or sum(seconds) * calls < 4 * batches * batch_seconds):
        if in_turns:
            take_turn()
            _warm_up(call, batch_seconds / 2)
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        seconds.append((time.perf_counter() - begin) / calls)
    return {"calls": calls, "seconds": seconds}


def _warm_up(call: Callable[[], Any], seconds: float) -> float:
    """Call a function for a while, at least three times, and give the seconds of the fastest call."""
    durations: list[float] = []
    start = time.perf_counter()
    while len(durations) < 3 or time.perf_counter() - start < seconds:
        begin = time.perf_counter()
        call()
        durations.append(time.perf_counter() - begin)
    return min(durations)


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
