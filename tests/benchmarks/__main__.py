"""The command ``python -m tests.benchmarks``: runs the benchmarks in rounds, prints and writes the tables.

A round starts every contender's process again, those of one size and number of threads right after each other, so
that the drift of a shared machine hits all alike.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tests.benchmarks import (
    chain,
    compiled,
    digits,
    functions,
    ladder,
    operation,
    optimizers,
    readable,
    scalars,
    transforms,
)
from tests.benchmarks.report import REPORTS, Measurement, missed_limits
from tests.benchmarks.worker import PEERS, ROOT, in_fresh_process


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Time this library against others, side by side on this machine. A whole run takes about "
        "three quarters of an hour, most of it for `compiled`; let the machine do nothing else meanwhile.",
    )
    parser.add_argument(
        "benchmark",
        nargs="?",
        choices=["all", *REPORTS],
        default="all",
        help="which benchmark (default: all): a training step (ladder), a compiled one, the whole training of the "
        "digits demo, a recorded operation, the optimizers, graphs of single numbers (scalars), transforms "
        "of small functions, compiled functions, long chains, statements of gradients (readable)",
    )
    parser.add_argument(
        "--threads", type=int, nargs="+", default=[1, 2], metavar="N", help="for ladder and compiled (default: 1 2)"
    )
    parser.add_argument(
        "--sizes", nargs="+", choices=ladder.SIZES, default=list(ladder.SIZES), help="of ladder and compiled"
    )
    parser.add_argument("--rounds", type=int, default=None, help="times that every process is started (default: 3)")
    parser.add_argument(
        "--patience",
        type=float,
        default=None,
        metavar="SECONDS",
        help="time to spend, in the whole run, on repeating what other programs disturbed (default: 60)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("demos/output"),
        help="folder for benchmarks.md and .json (default: demos/output)",
    )
    parser.add_argument("--quick", action="store_true", help="a smoke run: one round, fewer and shorter batches")
    options = parser.parse_args(arguments)
    if options.rounds is None:
        options.rounds = 1 if options.quick else 3
    if options.patience is None:
        options.patience = 0 if options.quick else 60
    if min(options.rounds, *options.threads) < 1:
        parser.error("--rounds and --threads are positive numbers")
    return options


def tasks(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """List every process that the run starts, in order."""
    clock = {"batches": 3, "batch_seconds": 0.01} if options.quick else {"batches": 9, "batch_seconds": 0.03}
    chosen = REPORTS if options.benchmark == "all" else [options.benchmark]
    lengths = chain.LENGTHS[:-1] if options.quick else chain.LENGTHS
    for number in range(options.rounds):
        turn = {"round": number}
        if "ladder" in chosen:
            for size in options.sizes:
                for threads in options.threads:
                    for contender in _rotated(list(ladder.CONTENDERS), number):
                        named = {"contender": contender, "size": size, "threads": threads}
                        yield {"benchmark": "ladder", **turn, **named, **clock}
        if "compiled" in chosen:
            yield from _compiled_tasks(options, number, turn | clock)
        if "digits" in chosen:
            trainings = 1 if options.quick else digits.TRAININGS
            for contender in _rotated(list(digits.CONTENDERS), number):
                task = {"benchmark": "digits", **turn, "threads": 1, "contender": contender}
                yield {**task, "seed": number * trainings, "trainings": trainings}
        if "operation" in chosen:
            for contender in _rotated(list(operation.CONTENDERS), number):
                yield {"benchmark": "operation", **turn, "threads": 1, "contender": contender, **clock}
        if "optimizers" in chosen:
            for contender in _rotated(list(optimizers.CONTENDERS), number):
                yield {"benchmark": "optimizers", **turn, "threads": 1, "contender": contender, **clock}
        if "scalars" in chosen:
            for contender in _rotated(list(scalars.CONTENDERS), number):
                yield {"benchmark": "scalars", **turn, "threads": 1, "contender": contender, **clock}
        if "transforms" in chosen:
            for contender in _rotated(list(transforms.CONTENDERS), number):
                yield {"benchmark": "transforms", **turn, "threads": 1, "contender": contender, **clock}
        if "functions" in chosen:
            for contender in _rotated(list(functions.CONTENDERS), number):
                yield {"benchmark": "functions", **turn, "threads": 1, "contender": contender, **clock}
        if "chain" in chosen:
            for length in lengths:
                task = {"benchmark": "chain", **turn, "threads": 1, "length": length}
                yield {**task, "quantity": "seconds", "operations": 200_000}
                if number == 0:
                    yield {**task, "quantity": "bytes"}
        if "readable" in chosen and number == 0:
            for contender in readable.CONTENDERS:
                yield {"benchmark": "readable", **turn, "threads": 1, "contender": contender}


def _compiled_tasks(options: argparse.Namespace, number: int, common: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """List the processes of a round of `compiled`: the variants of small networks with the fewest threads only."""
    for size in [*options.sizes, *compiled.VARIANTS]:
        for threads in options.threads if size in options.sizes else [min(options.threads)]:
            for contender in _rotated(compiled.contenders(size, threads), number):
                named = {"contender": contender, "size": size, "threads": threads}
                yield {"benchmark": "compiled", "quantity": "seconds", **named, **common}
    for size in compiled.MEASURED_FOR_MEMORY if number == 0 else ():
        for contender in compiled.LIBRARY:
            named = {"contender": contender, "size": size, "threads": 1}
            yield {"benchmark": "compiled", "quantity": "bytes", **named, "round": number}


def _rotated(names: list[str], by: int) -> list[str]:
    """Begin with another contender in each round, so that nobody always follows the same neighbour's heat."""
    by %= len(names)
    return names[by:] + names[:by]


def run(options: argparse.Namespace) -> list[Measurement]:
    """Run every process and collect what was asked with what came back."""
    measurements = []
    patience = options.patience
    missing: dict[str, dict[str, Any]] = {}
    with tqdm(list(tasks(options)), unit="process", leave=False, disable=None) as progress:
        for task in progress:
            contender = task.get("contender", "")
            progress.set_postfix_str(" ".join(str(task[key]) for key in ("size", "contender", "length") if key in task))
            key = f"{task['benchmark']} {contender}"
            result = missing.get(key)
            if result is None:
                asked = {name: value for name, value in task.items() if name != "round"}
                result = in_fresh_process(**asked)
                while result["disturbed"] and patience > 0:
                    start = time.perf_counter()
                    time.sleep(min(1.0, patience))
                    result = in_fresh_process(**asked)
                    patience -= time.perf_counter() - start
                if result.get("problem") == "not installed":
                    missing[key] = result
            measurements.append(task | result)
    return measurements


def machine() -> dict[str, Any]:
    """Describe what the numbers were measured on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    versions = {}
    for peer in PEERS.values():
        try:
            versions[peer] = importlib.metadata.version(peer)
        except importlib.metadata.PackageNotFoundError:
            versions[peer] = "not installed"
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": cores,
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": f"{blas['name']} {blas['version']}",
        **versions,
    }


def _cpu() -> str:
    """Find the processor's name, which Python itself knows on few systems."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def main() -> None:
    """Run, print, write."""
    options = parse()
    here = machine()
    peers = ", ".join(f"{peer} {here[peer]}" for peer in PEERS.values())
    head = (
        f"{here['cpu']}, {here['cores']} cores; Python {here['python']}, NumPy {here['numpy']} with {here['blas']}; "
        f"{peers}. {here['time'][:10]}.\n"
    )
    measurements = run(options)
    if not options.quick:
        measurements += [task | in_fresh_process(**task) | {"round": 0} for task in missed_limits(measurements)]
    parts = ["# Benchmarks\n", head]
    for benchmark, report in REPORTS.items():
        if found := [m for m in measurements if m["benchmark"] == benchmark]:
            parts.append(report(found))
    text = "\n".join(parts)
    print(text)
    folder = ROOT / options.output
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"benchmark": options.benchmark, "rounds": options.rounds, "quick": options.quick}
    raw = {"machine": here, "settings": settings, "measurements": measurements}
    (folder / "benchmarks.md").write_text(text)
    (folder / "benchmarks.json").write_text(json.dumps(raw, indent=1))
    print(f"Written to {options.output}: benchmarks.md, benchmarks.json")


if __name__ == "__main__":
    main()
