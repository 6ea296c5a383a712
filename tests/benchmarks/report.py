"""From raw measurements to Markdown: which number stands for many, and how the tables look.

A measurement is a dictionary: what was asked (``benchmark``, ``round``, ``contender`` ...) and what came back, either
times or a ``problem``.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tests.benchmarks import chain, ladder, operation, optimizers, scalars

Measurement = dict[str, Any]
Best = Callable[[Measurement], float]

WORDS = {1: "one thread", 2: "two threads"}


def number(value: float) -> str:
    """Three significant digits, and a thin layout for thousands.

    Example:
        >>> [number(value) for value in (0.5678, 7.123, 145.6, 20712.3)]
        ['0.568', '7.12', '146', '20,700']
    """
    if value >= 1000:
        digits = len(str(int(value))) - 3
        return f"{round(value / 10**digits) * 10**digits:,}"
    return f"{value:.{max(0, 2 if value >= 1 else 3) - (value >= 10) - (value >= 100)}f}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a Markdown table with its columns aligned.

    Example:
        >>> print(table(["step", "T"], [["NumPy", "30"], ["JAX", "32.5"]]))
        | step  | T    |
        | ----- | ---- |
        | NumPy | 30   |
        | JAX   | 32.5 |
    """
    rows = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths)) + " |" for row in rows)


def cell(measurements: Sequence[Measurement], reference: Sequence[Measurement], best: Best) -> str:
    """Show a contender: the median over the rounds, in microseconds, and behind it the ratio to the reference.

    The ratio is taken within each round, between processes that ran shortly after each other, and then the median.
    Rounds that other programs disturbed count only where there is no other; a star says so.
    """
    if not measurements:
        return "not run"
    problems = [m["problem"] for m in measurements if "problem" in m]
    if problems:
        return str(problems[0])
    calm = [m for m in measurements if not m.get("disturbed")]
    shown = number(statistics.median(map(best, calm or measurements)) * 1e6)
    found = ratio(measurements, reference, best)
    if found is not None:
        shown += f" ({found:.2f})"
    return shown if calm and (not reference or _pairs(calm, reference, best, calm=True)) else f"{shown} *"


def ratio(measurements: Sequence[Measurement], reference: Sequence[Measurement], best: Best) -> float | None:
    """Median over the rounds of the ratio to the reference in the same round; None where there is none."""
    pairs = _pairs(measurements, reference, best, calm=True) or _pairs(measurements, reference, best, calm=False)
    return statistics.median(ours / theirs for ours, theirs in pairs) if pairs else None


def _pairs(
    measurements: Sequence[Measurement], reference: Sequence[Measurement], best: Best, calm: bool
) -> list[tuple[float, float]]:
    """Times of a contender and of the reference in the same round, of all rounds or only of undisturbed ones."""
    ours, theirs = (
        {m["round"]: best(m) for m in group if "problem" not in m and not (calm and m.get("disturbed"))}
        for group in (measurements, reference)
    )
    return [(ours[number], theirs[number]) for number in ours if number in theirs]


def fastest(measurement: Measurement) -> float:
    """Seconds a call in the best batch."""
    return float(min(measurement["seconds"]))


def ladder_report(measurements: Sequence[Measurement]) -> str:
    """A table with a row a contender and a column a size, for each number of threads."""
    sizes = [size for size in ladder.SIZES if any(m["size"] == size for m in measurements)]
    rows = []
    for threads in sorted({m["threads"] for m in measurements}):
        rows.append([f"**{WORDS.get(threads, f'{threads} threads')}**", *[""] * len(sizes)])
        for contender in ladder.CONTENDERS:
            cells = []
            for size in sizes:
                same = [m for m in measurements if (m["size"], m["threads"]) == (size, threads)]
                mine = [m for m in same if m["contender"] == contender]
                cells.append(cell(mine, [m for m in same if m["contender"] == ladder.REFERENCE], fastest))
            rows.append([contender, *cells])
    text = (
        "## One training step\n\n"
        f"Microseconds a step (ratio to {ladder.REFERENCE}): forward, softmax cross-entropy, backward, plain SGD "
        f"update, float32, ReLU. Each number is the median over {rounds(measurements)} of the best of "
        f"{batches(measurements)} batches of steps in a fresh process; the ratio is the median of the rounds' ratios. "
        "Every process is pinned to as many cores as it has threads. Losses were checked against the hand-written "
        f"NumPy over {ladder.CHECKED_STEPS} steps before timing.\n\n"
    )
    header = ["microseconds a step", *(f"{size}: batch {ladder.SIZES[size]}" for size in sizes)]
    return text + table(header, rows) + "\n" + spread(measurements) + remarks(measurements)


def operation_report(measurements: Sequence[Measurement]) -> str:
    """A table with a row a library and a column a chain, and the geometric mean of the ratios at the end."""
    reference = [m for m in measurements if m["contender"] == operation.REFERENCE]
    rows = []
    for contender in operation.CONTENDERS:
        mine = [m for m in measurements if m["contender"] == contender]
        ratios = [ratio(mine, reference, best_of_chain(name)) for name in operation.CHAINS]
        known = [r for r in ratios if r is not None]
        mean = f"{statistics.geometric_mean(known):.2f}" if len(known) == len(operation.CHAINS) else "-"
        rows.append([contender, *(cell(mine, reference, best_of_chain(name)) for name in operation.CHAINS), mean])
    text = (
        "## One recorded operation\n\n"
        f"Microseconds an operation (ratio to {operation.REFERENCE}), forward and backward, on {operation.ELEMENTS} "
        f"float64 elements, in a chain of {operation.LENGTH:,}; `c` is a constant array, `x` and `w` require a "
        f"gradient. One thread; the median over {rounds(measurements)} of the best of {batches(measurements)} batches "
        "in a fresh process. Gradients were checked before timing.\n\n"
    )
    header = ["microseconds an operation", *operation.CHAINS, "geometric mean of the ratios"]
    return text + table(header, rows) + "\n" + remarks(measurements)


def best_of_chain(name: str) -> Best:
    """Make the function that picks a chain's best batch out of a measurement of `operation`."""
    return lambda measurement: min(measurement["chains"][name]["seconds"])


def scalars_report(measurements: Sequence[Measurement]) -> str:
    """A table with a row a library and a column a workload, with and without the cycle collector."""
    reference = [m for m in measurements if m["contender"] == scalars.REFERENCE]
    rows = []
    for part, remark in {"seconds": "", "uncollected": ", cycle collector off"}.items():
        for contender in scalars.CONTENDERS:
            mine = [m for m in measurements if m["contender"] == contender]
            cells = (cell(mine, reference, best_of_workload(name, part)) for name in scalars.WORKLOADS)
            rows.append([contender + remark, *cells])
    rows.append(["*the ratio is to be at most*", *(f"({limit:.2f})" for _, _, limit in scalars.WORKLOADS.values())])
    text = (
        "## Single numbers\n\n"
        f"Microseconds an operation (ratio to {scalars.REFERENCE}), forward and backward, in graphs of "
        f"{scalars.LENGTH:,} operations on scalars; and microseconds a step (forward, zero_grad, backward) of "
        f"{scalars.REFERENCE}'s demo, a network of {'-'.join(map(str, scalars.NEURONS))} built neuron by neuron, over "
        f"{scalars.POINTS} points. The same Python code runs in both. One thread; the median over "
        f"{rounds(measurements)} of the best of {batches(measurements)} batches in a fresh process. "
        f"{scalars.REFERENCE}'s graphs are cycles, which wait for Python's cycle collector; this library's have none. "
        "Gradients were compared before timing.\n\n"
    )
    header = ["microseconds", *scalars.WORKLOADS]
    return text + table(header, rows) + "\n" + remarks(measurements)


def best_of_workload(name: str, part: str) -> Best:
    """Make the function that picks a workload's best time out of a measurement of `scalars`."""
    return lambda measurement: min(measurement["workloads"][name][part])


def chain_report(measurements: Sequence[Measurement]) -> str:
    """A table with a row a length."""
    rows = []
    for length in sorted({m["length"] for m in measurements}):
        same = [m for m in measurements if m["length"] == length]
        timed = [m for m in same if m["quantity"] == "seconds"]
        traced = [m for m in same if m["quantity"] == "bytes"]
        cells = [cell(timed, [], lambda m, part=part: min(m[part])) for part in PARTS]
        size = "not run" if not traced else traced[0].get("problem") or number(traced[0]["bytes"])
        rows.append([f"{length:,}", *cells, size])
    text = (
        "## Length of the graph\n\n"
        f"A chain of scalar operations `x * {chain.FACTOR}` in this library, microseconds an operation: the median "
        f"over {rounds(measurements)} of the best repetition in a fresh process, one thread. Memory is what Python "
        "and NumPy had allocated at the peak of both passes, traced in a process of its own.\n\n"
    )
    header = ["operations", *PARTS.values(), "bytes a node"]
    return text + table(header, rows) + "\n" + remarks(measurements)


PARTS = {
    "forward": "forward",
    "uncollected": "forward, cycle collector off",
    "backward": "backward",
    "free": "letting go of the graph",
}


def optimizers_report(measurements: Sequence[Measurement]) -> str:
    """A table with a row a library and a column an optimizer and number of arrays."""
    reference = [m for m in measurements if m["contender"] == optimizers.REFERENCE]
    cases = {
        f"{name}, {arrays}": optimizers.case(name, arrays)
        for name in optimizers.OPTIMIZERS
        for arrays in optimizers.ARRAYS
    }
    rows = []
    for contender in optimizers.CONTENDERS:
        mine = [m for m in measurements if m["contender"] == contender]
        rows.append([contender, *(cell(mine, reference, best_of_step(key)) for key in cases.values())])
    text = (
        "## Optimizers\n\n"
        f"Microseconds a step (ratio to {optimizers.REFERENCE}) over {optimizers.NUMBERS:,} float32 numbers in as many "
        f"arrays as it says. One thread; the median over {rounds(measurements)} of the best of {batches(measurements)} "
        "batches in a fresh process. The steps were checked before timing.\n\n"
    )
    return text + table(["microseconds a step", *cases], rows) + "\n" + remarks(measurements)


def best_of_step(name: str) -> Best:
    """Make the function that picks the best batch of an optimizer's steps out of a measurement."""
    return lambda m: min(m["steps"][name]["seconds"])


REPORTS = {
    "ladder": ladder_report,
    "operation": operation_report,
    "optimizers": optimizers_report,
    "scalars": scalars_report,
    "chain": chain_report,
}


def rounds(measurements: Sequence[Measurement]) -> str:
    """Say how many rounds there were."""
    count = max((m["round"] for m in measurements), default=0) + 1
    return f"{count} round{'s' if count > 1 else ''}"


def batches(measurements: Sequence[Measurement]) -> int:
    """Find how many batches a process timed."""
    return int(measurements[0]["batches"])


def spread(measurements: Sequence[Measurement]) -> str:
    """Say how far the rounds lie apart, so that a reader can tell a difference from noise."""
    groups: dict[tuple[Any, ...], list[float]] = {}
    for m in measurements:
        if "problem" not in m and not m.get("disturbed"):
            groups.setdefault((m["contender"], m["size"], m["threads"]), []).append(fastest(m))
    spreads = [max(times) / min(times) - 1 for times in groups.values() if len(times) > 1]
    if not spreads:
        return ""
    return (
        "\nBetween the fastest and the slowest undisturbed round of a number lie "
        f"{statistics.median(spreads):.0%} (median) to {max(spreads):.0%} (the worst).\n"
    )


def remarks(measurements: Sequence[Measurement]) -> str:
    """List what could not be measured and why, and explain the star."""
    found: dict[str, None] = {}
    disturbed = sum(1 for m in measurements if m.get("disturbed"))
    if disturbed:
        text = f"{disturbed} of {len(measurements)} processes had less than a core for each thread because of other"
        found[f"- {text} programs; they count only where a number has no other (\\*), which then means little"] = None
    for m in measurements:
        if "problem" in m:
            where = m["contender"] if "contender" in m else f"{m['length']:,} operations"
            if "size" in m and m["problem"] != "not installed":
                where += f", {m['size']}, {m['threads']} threads"
            found[f"- {where}: {m['problem']}: {m['detail']}"] = None
    return "\n" + "\n".join(found) + "\n" if found else ""
