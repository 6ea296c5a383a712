"""Functions that several processes run at once, under mpiexec, and what each of them gave.

``python -m tests.ranks FUNCTION FOLDER ARGUMENTS`` is what each of the processes is.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


@dataclass
class Outcome:
    """What a program gave.

    Attributes:
        results: what the function returned, by rank; None of one that did not come to its end.
        returncode: of mpiexec.
        stdout: of all ranks.
        stderr: of all ranks and mpiexec.
        seconds: that it took.
    """

    results: list[Any]
    returncode: int
    stdout: str
    stderr: str
    seconds: float


def mpiexec(ranks: int, *options: str) -> list[str]:
    """Give the command that starts as many processes, however few cores there are; a program's is to follow."""
    beside = Path(sys.executable).with_name("mpiexec")
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    assert found is not None, "mpiexec comes with the extra distributed"
    # Those who wait for others let them have the cores, unless it is said otherwise.
    waiting = () if "mpi_yield_when_idle" in options else ("--mca", "mpi_yield_when_idle", "1")
    return [found, "--allow-run-as-root", "--oversubscribe", *waiting, "-n", str(ranks), *options]


def run(ranks: int, function: str, *arguments: Any, seconds: float = 240, check: bool = True) -> Outcome:
    """Let several processes call a function, and wait for them, but no longer than some seconds.

    Args:
        ranks: how many.
        function: such as "tests.test_parallel:trained"; it is given the arguments, and returns what JSON can hold.
        arguments: what JSON can hold.
        seconds: after which all processes are killed, and an error is raised.
        check: whether each must come to its end.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.ranks", function, folder, json.dumps(arguments)]
        start = time.perf_counter()
        returncode, stdout, stderr = finished([*mpiexec(ranks), *command], seconds)
        files = [Path(folder, str(rank)) for rank in range(ranks)]
        results = [json.loads(file.read_text()) if file.exists() else None for file in files]
        outcome = Outcome(results, returncode, stdout, stderr, time.perf_counter() - start)
    assert returncode == 0 or not check, stderr
    return outcome


def finished(command: list[str], seconds: float) -> tuple[int, str, str]:
    """Run a command, and give its code, output and errors; it, and all that it has started, is gone afterwards."""
    # Threads of one process would take the cores of the others; what mpiexec says of another one is not for this one.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMPI_", "PMIX_", "PRTE_"))}
    environment = kept | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with (
        # What a run that was killed has left in a folder of all would be in the way of the next one.
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment | {"TMPDIR": folder},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        try:
            stdout, stderr = process.communicate(timeout=seconds)
        finally:
            for one in [process.pid, *_descendants(process.pid)] if process.returncode is None else ():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
    return process.returncode, stdout, stderr


def _descendants(pid: int) -> Iterator[int]:
    """Give all processes that one has started, and they in turn."""
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, tasks.read_text().split()):
            yield child
            yield from _descendants(child)


def main() -> None:
    """Call the function, and write what it gave."""
    from mpi4py import MPI

    path, folder, arguments = sys.argv[1:]
    module, _, name = path.partition(":")
    result = getattr(importlib.import_module(module), name)(*json.loads(arguments))
    Path(folder, str(MPI.COMM_WORLD.rank)).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
