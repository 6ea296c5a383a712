"""The command ``python -m tests.benchmarks``: runs the benchmarks in rounds, prints and writes the tables.

A round starts every contender's process again, those of one size and number of threads right after each other, so
that the drift of a shared machine hits all alike.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import itertools
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
    batches,
    chain,
    compiled,
    digits,
    estimators,
    functions,
    ladder,
    operation,
    optimizers,
    parallel,
    readable,
    scalars,
    transforms,
)
from tests.benchmarks.report import REPORTS, Measurement, missed_limits
from tests.benchmarks.worker import PEERS, ROOT, in_fresh_process, in_fresh_processes

COMMON = ("benchmark", "threads", "round")  # what a process is not asked, but its group


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Time this library against others, side by side on this machine. A whole run takes more than an "
        "hour, most of it for `compiled`; let the machine do nothing else meanwhile.",
    )
    parser.add_argument(
        "benchmark",
        nargs="?",
        choices=["all", *REPORTS],
        default="all",
        help="which benchmark (default: all): a training step (ladder), a compiled one, the whole training of the "
        "digits demo, scikit-learn's estimators, a recorded operation, the optimizers, graphs of single numbers "
        "(scalars), transforms of small functions, whole Jacobians and the like (batches), compiled functions, long "
        "chains, statements of gradients (readable), a step by two processes (parallel)",
    )
    parser.add_argument(
        "--threads", type=int, nargs="+", default=[1, 2], metavar="N", help="for ladder and compiled (default: 1 2)"
    )
    parser.add_argument(
        "--sizes",
        nargs="+",
        choices=compiled.WORKLOADS,
        default=list(compiled.WORKLOADS),
        metavar="NAME",
        help=f"of ladder and parallel ({', '.join(ladder.SIZES)}) and of compiled ({'; '.join(compiled.WORKLOADS)})",
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
    """List every process that the run starts, in order; those that differ in the contender alone take turns."""
    clock = {"batches": 3, "batch_seconds": 0.01} if options.quick else {"batches": 9, "batch_seconds": 0.03}
    chosen = REPORTS if options.benchmark == "all" else [options.benchmark]
    lengths = chain.LENGTHS[:-1] if options.quick else chain.LENGTHS
    for number in range(options.rounds):
        turn = {"round": number}
        if "ladder" in chosen:
            for size in filter(ladder.SIZES.__contains__, options.sizes):
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
        if "estimators" in chosen:
            seeds = 1 if options.quick else estimators.SEEDS
            for contender in _rotated(list(estimators.CONTENDERS), number):
                task = {"benchmark": "estimators", **turn, "threads": 1, "contender": contender}
                yield {**task, "seed": number * seeds, "seeds": seeds}
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
        if "batches" in chosen:
            for size in batches.ALL:
                for contender in _rotated(batches.contenders(size), number):
                    named = {"contender": contender, "size": size, "threads": 1, "in_turns": True}
                    yield {"benchmark": "batches", **turn, **named, **clock}
        if "functions" in chosen:
            for contender in _rotated(list(functions.CONTENDERS), number):
                yield {"benchmark": "functions", **turn, "threads": 1, "contender": contender, **clock}
        if "chain" in chosen:
            for length in lengths:
                task = {"benchmark": "chain", **turn, "threads": 1, "length": length}
                yield {**task, "quantity": "seconds", "operations": 200_000}
                if number == 0:
                    yield {**task, "quantity": "bytes"}
        if "parallel" in chosen:
            for size in filter(ladder.SIZES.__contains__, options.sizes):
                few = {**clock, "batches": 2 if options.quick else 4}
                yield {"benchmark": "parallel", **turn, "threads": parallel.RANKS, "size": size, **few}
        if "readable" in chosen and number == 0:
            for contender in readable.CONTENDERS:
                yield {"benchmark": "readable", **turn, "threads": 1, "contender": contender}


def _compiled_tasks(options: argparse.Namespace, number: int, common: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """List the processes of a round of `compiled`: the variants of small networks with the fewest threads only."""
    for size in options.sizes:
        for threads in [min(options.threads)] if size in compiled.VARIANTS else options.threads:
            for contender in _rotated(compiled.contenders(size, threads), number):
                named = {"contender": contender, "size": size, "threads": threads, "in_turns": True}
                yield {"benchmark": "compiled", "quantity": "seconds", **named, **common}
    for size in filter(options.sizes.__contains__, compiled.MEASURED_FOR_MEMORY if number == 0 else ()):
        for contender in compiled.LIBRARY:
            named = {"contender": contender, "size": size, "threads": 1}
            yield {"benchmark": "compiled", "quantity": "bytes", **named, "round": number}


def _rotated(names: list[str], by: int) -> list[str]:
    """Begin with another contender in each round, so that nobody always follows the same neighbour's heat."""
    by %= len(names)
    return names[by:] + names[:by]


def run(options: argparse.Namespace) -> list[Measurement]:
    """Run every process and collect what was asked with what came back."""
    measurements: list[Measurement] = []
    patience = options.patience
    missing: dict[str, dict[str, Any]] = {}
    listed = list(tasks(options))
    with tqdm(total=len(listed), unit="process", leave=False, disable=None) as progress:
        for _, numbered in itertools.groupby(enumerate(listed), key=_together):
            group = [task for _, task in numbered]
            progress.set_postfix_str(" ".join(str(group[0][key]) for key in ("size", "length") if key in group[0]))
            asked = [task for task in group if _who(task) not in missing]
            results = _results(asked)
            while any(result["disturbed"] for result in results) and patience > 0:
                start = time.perf_counter()
                time.sleep(min(1.0, patience))
                results = _results(asked)
                patience -= time.perf_counter() - start
            for task in group:
                result = missing.get(_who(task)) or results.pop(0)
                if result.get("problem") == "not installed":
                    missing[_who(task)] = result
                measurements.append(task | result)
            progress.update(len(group))
    return measurements


def _together(numbered: tuple[int, dict[str, Any]]) -> Any:
    """Say what the tasks that take turns have in common, and no others."""
    number, task = numbered
    return {**task, "contender": ""} if task.get("in_turns") else number


def _who(task: dict[str, Any]) -> str:
    return f"{task['benchmark']} {task.get('contender', '')}"


def _results(group: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run tasks that differ in the contender alone."""
    if not group:
        return []
    asked = [{name: value for name, value in task.items() if name not in COMMON} for task in group]
    return in_fresh_processes(group[0]["benchmark"], group[0]["threads"], asked)


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
