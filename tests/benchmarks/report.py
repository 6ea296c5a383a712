"""From raw measurements to Markdown: which number stands for many, and how the tables look.

A measurement is a dictionary: what was asked (``benchmark``, ``round``, ``contender`` ...) and what came back, either
times or a ``problem``.
"""

from __future__ import annotations

import math
import statistics
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tests.benchmarks import batches as at_once
from tests.benchmarks import (
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

Measurement = dict[str, Any]
Best = Callable[[Measurement], float]

SMALL_SHARE = 0.02  # of a step, for a statement to be left out of a table
WORDS = {1: "one thread", 2: "two threads"}


def number(value: float) -> str:
    """Three significant digits, and a thin layout for thousands.

    Example:
        >>> [number(value) for value in (0.5678, 7.123, 145.6, 20712.3)]
        ['0.568', '7.12', '146', '20,700']
    """
    if value < 0:
        return f"-{number(-value)}"
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


def cell(
    measurements: Sequence[Measurement], reference: Sequence[Measurement], best: Best, per_second: float = 1e6
) -> str:
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
    shown = number(statistics.median(map(best, calm or measurements)) * per_second)
    found = ratio(measurements, reference, best)
    if found is not None:
        shown += f" ({found:.2f})" if found >= 0.01 else f" (1/{number(1 / found)})"
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


def verdict(
    measurements: Sequence[Measurement], others: Iterable[Sequence[Measurement]], best: Best, limit: float
) -> str:
    """Compare a contender with the best of some others: the ratio, its limit, and whether it is met."""
    found = [(r, other) for other in others if (r := ratio(measurements, other, best)) is not None]
    if not found or any("problem" in m for m in measurements):
        return "not measured"
    largest, strongest = max(found, key=lambda pair: pair[0])
    star = "" if _pairs(measurements, strongest, best, calm=True) else " *"
    return f"{largest:.3f}, at most {limit:.2f}: {'met' if largest <= limit else '**not met**'}{star}"


def fastest(measurement: Measurement) -> float:
    """Seconds a call in the best batch."""
    return float(min(measurement["seconds"]))


def ladder_report(measurements: Sequence[Measurement]) -> str:
    """A table with a row a contender and a column a size, for each number of threads."""
    sizes = [size for size in ladder.SIZES if any(m["size"] == size for m in measurements)]
    rows = rows_by_threads(
        measurements, sizes, lambda size, threads: list(ladder.CONTENDERS), lambda size: ladder.REFERENCE
    )
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


def rows_by_threads(
    measurements: Sequence[Measurement],
    sizes: Sequence[str],
    runs: Callable[[str, int], list[str]],
    reference: Callable[[str], str],
) -> list[list[str]]:
    """Make the rows of contenders for each number of threads.

    Args:
        measurements: of all contenders.
        sizes: the columns.
        runs: says who runs a size with so many threads.
        reference: says by whom the others are divided.
    """
    rows = []
    for threads in _numbers_of_threads(measurements):
        rows.append([_in_words(threads), *[""] * len(sizes)])
        for contender in dict.fromkeys(name for size in sizes for name in runs(size, threads)):
            cells = []
            for size in sizes:
                mine = selected(measurements, contender, size, threads)
                against = selected(measurements, reference(size), size, threads)
                cells.append(cell(mine, against, fastest) if contender in runs(size, threads) else "")
            rows.append([contender, *cells])
    return rows


def selected(measurements: Sequence[Measurement], contender: str, size: str, threads: int) -> list[Measurement]:
    """Pick the measurements of one contender at one thing."""
    wanted = contender, size, threads
    return [m for m in measurements if (m["contender"], m["size"], m["threads"]) == wanted]


def _numbers_of_threads(measurements: Sequence[Measurement]) -> list[int]:
    return sorted({m["threads"] for m in measurements})


def _in_words(threads: int) -> str:
    return f"**{WORDS.get(threads, f'{threads} threads')}**"


def compiled_report(measurements: Sequence[Measurement]) -> str:
    """Tables of times, of the limits they are to keep, of first calls, and of memory."""
    timed = [m for m in measurements if m["quantity"] == "seconds"]
    run = [name for name in compiled.WORKLOADS if any(m["size"] == name for m in timed)]
    text = (
        "## A compiled step\n\n"
        f"Microseconds a step (ratio to {ladder.REFERENCE}; for the {compiled.MOONS}, to {compiled.MICROGRAD}), as in "
        f"the table of one training step: the median over {rounds(timed)} of the best of {batches(timed)} batches, in "
        "processes that take turns, pinned to as many cores as they have threads. Losses were checked against the same "
        f"training in float64 over {ladder.CHECKED_STEPS} steps before timing.\n"
    )
    for title, workloads in compiled.TRAININGS.items():
        if sizes := [name for name in run if name in workloads]:
            header = ["microseconds a step", *(f"{name}: batch {workloads[name]}" for name in sizes)]
            text += f"\n### {title}\n\n{table(header, _compiled_rows(timed, sizes))}\n"
            text += f"\nWhat the ratios are to be at most:\n\n{table(['ratio', *sizes], _limits(timed, sizes))}\n"
    text += spread(timed)
    if variants := [name for name in run if name in compiled.VARIANTS]:
        text += (
            "\n### Variants\n\nT with other activations, with other batches, with ten hidden layers of 32; and "
            f"{compiled.MICROGRAD}'s demo of two moons, batch {compiled.WORKLOADS[compiled.MOONS]}, with its loss.\n\n"
        )
        few = [m for m in timed if m["size"] in variants]
        text += table(["microseconds a step", *variants], _compiled_rows(few, variants)) + "\n"
    text += "\nSeconds of the first step, in which a compiler works:\n\n"
    text += table(["seconds", *run], _first_calls(timed, run)) + "\n"
    text += _lines([m for m in measurements if m["quantity"] == "lines" and "problem" not in m])
    return text + _memory([m for m in measurements if m["quantity"] == "bytes"]) + remarks(measurements)


def _compiled_rows(measurements: Sequence[Measurement], sizes: Sequence[str]) -> list[list[str]]:
    return rows_by_threads(measurements, sizes, compiled.contenders, compiled.reference)


def _limits(measurements: Sequence[Measurement], sizes: Sequence[str]) -> list[list[str]]:
    """Make the rows of the ratios that are to be kept."""
    rows = []
    for threads in _numbers_of_threads(measurements):
        rows.append([_in_words(threads), *[""] * len(sizes)])
        for name, (contender, others, limits) in compiled.LIMITS.items():
            if not any(size in limits for size in sizes):
                continue
            cells = []
            for size in sizes:
                against = [selected(measurements, other, size, threads) for other in others]
                cells.append(verdict(selected(measurements, contender, size, threads), against, fastest, limits[size]))
            rows.append([name, *cells])
    return rows


def missed_limits(measurements: Sequence[Measurement]) -> list[dict[str, Any]]:
    """List the processes that find out why a limit of `compiled` was missed: statement by statement."""
    timed = [m for m in measurements if m["benchmark"] == "compiled" and m["quantity"] == "seconds"]
    missed: dict[tuple[str, str, int], None] = {}
    for threads in _numbers_of_threads(timed):
        for contender, others, limits in compiled.LIMITS.values():
            for size, limit in limits.items():
                against = [selected(timed, other, size, threads) for other in others]
                if "not met" in verdict(selected(timed, contender, size, threads), against, fastest, limit):
                    missed[contender, size, threads] = None
    return [
        {"benchmark": "compiled", "quantity": "lines", "contender": contender, "size": size, "threads": threads}
        for contender, size, threads in missed
    ]


def _lines(measurements: Sequence[Measurement]) -> str:
    """A table of what the statements take for each program that missed a limit."""
    text = ""
    for m in measurements:
        total = sum(seconds for _, seconds in m["lines"])
        shown = [(line, seconds) for line, seconds in m["lines"] if seconds >= SMALL_SHARE * total]
        rest = total - sum(seconds for _, seconds in shown)
        rows = [[number(seconds * 1e6), f"{seconds / total:.1%}", f"`{line}`"] for line, seconds in shown]
        rows.append([number(rest * 1e6), f"{rest / total:.1%}", f"statements of less than {SMALL_SHARE:.0%} each"])
        text += (
            f"\nWhere a limit is not met, the statements of {m['contender']}, {m['size']}, {WORDS[m['threads']]}:\n\n"
            + table(["microseconds", "share", "statement"], rows)
            + "\n"
        )
    return text


def _first_calls(measurements: Sequence[Measurement], sizes: Sequence[str]) -> list[list[str]]:
    """Make the rows of those who compile, with the fewest threads."""
    threads = _numbers_of_threads(measurements)[0]
    rows = []
    for contender in compiled.COMPILERS:
        cells = []
        for size in sizes:
            mine = selected(measurements, contender, size, threads)
            runs = contender in compiled.contenders(size, threads)
            cells.append(cell(mine, [], lambda m: m["first_call"], per_second=1) if runs else "")
        rows.append([contender, *cells])
    return rows


def _memory(measurements: Sequence[Measurement]) -> str:
    """A table with a row a way to run this library's step, and columns for later steps and for the first."""
    if not measurements:
        return ""
    sizes = [size for size in compiled.MEASURED_FOR_MEMORY if any(m["size"] == size for m in measurements)]
    columns = [(size, part) for part in ("bytes", "first_bytes") for size in sizes]
    rows = []
    for contender in compiled.LIBRARY:
        cells = []
        for size, part in columns:
            (mine,), (reference,) = (selected(measurements, name, size, 1) for name in (contender, ladder.EAGER))
            shown = mine.get("problem")
            if shown is None:
                shown = number(mine[part] / 1e6)
                shown += f" ({mine[part] / reference[part]:.2f})" if part in reference else ""
            cells.append(str(shown))
        rows.append([contender, *cells])
    header = [f"{size}{', first step' if part == 'first_bytes' else ''}" for size, part in columns]
    return (
        "\nMegabytes at the peak of a step (ratio to the eager one, to be at most 1), parameters included, data not: "
        "NumPy's arrays that were there before it and what was allocated in it, traced in a process of its own. In the "
        "first step a program is also made and compared with the eager step on copies.\n\n"
        + table(["megabytes", *header], rows)
        + "\n"
    )


def digits_report(measurements: Sequence[Measurement]) -> str:
    """A table with a row a library: time, this library's share of it, and what was learned."""
    ours = [m for m in measurements if m["contender"] == digits.OURS]
    rows = []
    for contender in digits.CONTENDERS:
        mine = [m for m in measurements if m["contender"] == contender]
        accuracies = [accuracy for m in mine for accuracy in m.get("accuracies", ())]
        learned = "-"
        if accuracies:
            learned = f"{statistics.median(accuracies):.4f} ({min(accuracies):.4f} to {max(accuracies):.4f})"
        limit = digits.LIMITS.get(contender)
        share = "" if limit is None else verdict(ours, [mine], fastest, limit)
        rows.append([contender, cell(mine, [], fastest, per_second=1), share, learned])
    trainings = max(m["trainings"] for m in measurements)
    text = (
        "## The digits job\n\n"
        f"Seconds for {digits.EPOCHS} epochs over the training images of `demos.digits`, without validation: "
        f"64-{digits.HIDDEN}-10, ReLU, batches of {digits.BATCH_SIZE}, Adam. One thread; the median over "
        f"{rounds(measurements)} of the best of {trainings} training{'s' if trainings > 1 else ''} in a fresh process. "
        "The accuracy on the test images is the median over all trainings, each with a seed of its own; in brackets "
        "stand the least and the greatest.\n\n"
    )
    header = ["", "seconds", "this library's time / this one's", "test accuracy"]
    return text + table(header, rows) + "\n" + remarks(measurements)


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
    """Make the function that picks a workload's best time out of a measurement."""
    return lambda measurement: min(measurement["workloads"][name][part])


def transforms_report(measurements: Sequence[Measurement]) -> str:
    """A table with a row a transform and a column a library."""
    rows = []
    for name, (_, _, limit) in transforms.WORKLOADS.items():
        groups = [[m for m in measurements if m["contender"] == contender] for contender in transforms.CONTENDERS]
        reference = groups[list(transforms.CONTENDERS).index(transforms.REFERENCE)]
        rows.append(
            [name, *(cell(mine, reference, best_of_workload(name, "seconds")) for mine in groups), f"{limit:.2f}"]
        )
    text = (
        "## Transforms of functions\n\n"
        f"Microseconds (ratio to {transforms.REFERENCE}) to make a derivative and call it, of a number or of "
        f"{transforms.ELEMENTS} float64 elements. The network has two layers of {transforms.ELEMENTS}. One thread; the "
        f"median over {rounds(measurements)} of the best of {batches(measurements)} batches in a fresh process. "
        "Derivatives were compared with those by hand before timing.\n\n"
    )
    header = ["microseconds", *transforms.CONTENDERS, "the ratio is to be at most"]
    return text + table(header, rows) + "\n" + remarks(measurements)


def batches_report(measurements: Sequence[Measurement]) -> str:
    """A table with a row a contender and a column a workload, and one of the limits."""
    sizes = [size for size in at_once.ALL if any(m["size"] == size for m in measurements)]
    rows = rows_by_threads(
        measurements, sizes, lambda size, threads: at_once.contenders(size), lambda size: at_once.REFERENCE
    )
    limits = [
        [
            name,
            *(
                verdict(
                    selected(measurements, contender, size, 1),
                    [selected(measurements, other, size, 1) for other in others],
                    fastest,
                    limit[size],
                )
                for size in sizes
            ),
        ]
        for name, (contender, others, limit) in at_once.LIMITS.items()
    ]
    text = (
        "## Many derivatives at once\n\n"
        f"Microseconds (ratio to {at_once.REFERENCE}), in float64: the Jacobian of `tanh(tanh(x @ W1) @ W2)`, "
        f"{at_once.ELEMENTS} to {at_once.ELEMENTS} through {at_once.HIDDEN}; the Hessian of Rosenbrock's function of "
        f"{at_once.ELEMENTS} numbers; the gradients of {at_once.EXAMPLES} single examples by a `W` of "
        f"{at_once.ELEMENTS} x {at_once.HIDDEN}, `vmap(grad(loss), in_axes=(None, 0, 0))`. The median over "
        f"{rounds(measurements)} of the best of {batches(measurements)} batches, in processes that take turns. "
        "Derivatives were compared with those "
        "by hand before timing.\n\n"
    )
    text += table(["microseconds", *sizes], rows)
    text += f"\n\nWhat the ratios are to be at most:\n\n{table(['ratio', *sizes], limits)}\n"
    return text + spread(measurements) + remarks(measurements)


def functions_report(measurements: Sequence[Measurement]) -> str:
    """A table with a row a contender."""
    reference = [m for m in measurements if m["contender"] == functions.REFERENCE]
    rows = []
    for contender in functions.CONTENDERS:
        mine = [m for m in measurements if m["contender"] == contender]
        long = contender in functions.LONG
        firsts = [
            cell(mine, [], lambda m, k=k: m["first_calls"][k], per_second=1) if long else "not run"
            for k in range(len(functions.STEPS))
        ]
        rows.append([contender, cell(mine, reference, lambda m: min(m["seconds"])), *firsts])
    header = ["", "microseconds a call", *(f"seconds to make {steps} steps" for steps in functions.STEPS)]
    return (
        "## Compiled functions\n\n"
        f"The gradient of Rosenbrock's function of {functions.ELEMENTS} numbers, microseconds a call (ratio to "
        f"{functions.REFERENCE}), and the first call of the gradient of a Runge-Kutta method, written out in so many "
        f"steps, in seconds. One thread; the median over {rounds(measurements)} of the best of {batches(measurements)} "
        "batches in a fresh process. The gradient was compared with the one by hand before timing.\n\n"
        + table(header, rows)
        + "\n"
        + remarks(measurements)
    )


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


def parallel_report(measurements: Sequence[Measurement]) -> str:
    """Tables of the steps of one and of two processes, of what the exchange takes, and of what it would elsewhere."""
    sizes = [size for size in ladder.SIZES if any(m["size"] == size for m in measurements)]
    reference = parallel.REFERENCE

    def shown(name: str, case: str = "", other: str | None = None) -> list[str]:
        key, by = parallel.key(name, case), parallel.key(other or name, case)
        groups = ((_part(measurements, size, key), _part(measurements, size, by)) for size in sizes)
        return [cell(ours, theirs if other else [], fastest) for ours, theirs in groups]

    def quotients(one: str, other: str, rest: bool = False) -> list[str]:
        groups = ((_part(measurements, size, one), _part(measurements, size, other)) for size in sizes)
        found = [ratio(ours, theirs, fastest) for ours, theirs in groups]
        return ["not measured" if value is None else f"{1 - value if rest else value:.2f}" for value in found]

    def verdicts(case: str) -> list[str]:
        keys = parallel.key(parallel.FIT, case), parallel.key(reference, case)
        groups = ([_part(measurements, size, key) for key in keys] for size in sizes)
        return [verdict(ours, [theirs], fastest, parallel.LIMIT) for ours, theirs in groups]

    empty = [""] * len(sizes)
    steps = []
    for case in parallel.CASES:
        steps += [[f"**{case}**", *empty], *([name, *shown(name, case, reference)] for name in parallel.CONTENDERS)]
    steps += [[f"**{parallel.SILENT}**", *empty], [parallel.LOOP, *shown(parallel.LOOP, parallel.SILENT)]]
    alone, half, whole = (parallel.key(parallel.FIT, case) for case in parallel.CASES)
    one, both, silent = (parallel.key(parallel.LOOP, case) for case in (parallel.ONE, parallel.WEAK, parallel.SILENT))
    shares = [
        ["numbers exchanged", *(f"{parallel.parameters_of(size):,}" for size in sizes)],
        ["microseconds of an Allreduce", *shown(parallel.EXCHANGE)],
        ["the same by the model", *(_by_model(measurements, size) for size in sizes)],
        ["its share of fit's step, half of the batch each", *quotients(parallel.EXCHANGE, half)],
        ["its share of fit's step, a batch each", *quotients(parallel.EXCHANGE, whole)],
        ["the share of the loop's step that goes with it in all, a batch each", *quotients(silent, both, rest=True)],
        ["strong scaling: steps of two processes in the time of one's", *quotients(alone, half)],
        ["weak scaling: the same, with a batch each", *quotients(alone, whole)],
        ["weak scaling of processes that exchange nothing", *quotients(one, silent)],
        ["fit by PyTorch, half of the batch each", *verdicts(parallel.STRONG)],
        ["fit by PyTorch, a batch each", *verdicts(parallel.WEAK)],
    ]
    text = (
        "## Two processes\n\n"
        f"Microseconds a step (ratio to {reference}, with gloo) of the networks of the ladder: "
        f"{'; '.join(f'{size}: batch {ladder.SIZES[size]}' for size in sizes)}. A process has one thread and a core; "
        f"all take turns; the median over {rounds(measurements)} of the best of {batches(measurements)} batches. `fit` "
        "is compiled, and takes other rows in each step, the loops always the same. Weights were compared with those "
        f"of one process before timing.\n\n{table(['microseconds a step', *sizes], steps)}\n\n"
        "What the exchange takes, through shared memory, and what two processes gain. The model is given an Allreduce "
        f"of one number and one of {parallel.MANY:,}.\n\n{table(['', *sizes], shares)}\n"
    )
    return text + _on_clusters(measurements) + remarks([m | {"contender": "two processes"} for m in measurements])


def _part(measurements: Sequence[Measurement], size: str, key: str) -> list[Measurement]:
    """Give one number of the many in a measurement of `parallel` as a measurement."""
    missing = {"problem": "not installed", "detail": "No module named 'torch'"}
    found = []
    for m in measurements:
        if m["size"] == size:
            seconds = m.get("seconds", {})
            answer = {} if "problem" in m else {"seconds": seconds[key]} if key in seconds else missing
            found.append(m | answer | {"contender": key})
    return found


def _by_model(measurements: Sequence[Measurement], size: str) -> str:
    """Give the time of an Allreduce between two processes as it follows from those of a small and of a large one."""
    parts = [
        [m for m in _part(measurements, size, name) if "problem" not in m]
        for name in (parallel.LATENCY, parallel.BANDWIDTH)
    ]
    if not all(parts):
        return "not measured"
    latency, many = (statistics.median(map(fastest, part)) for part in parts)
    bandwidth = 4 * parallel.MANY / (many - latency)
    numbers = parallel.parameters_of(size)
    return number(parallel.allreduce_seconds(parallel.RANKS, 4 * numbers, latency, bandwidth) * 1e6)


def _on_clusters(measurements: Sequence[Measurement]) -> str:
    """A table of an Allreduce between many machines, as the model has it, and of the batches that are too small."""
    key = parallel.key(parallel.FIT, parallel.ONE)
    speeds = [
        parallel.flops(parallel.parameters_of(m["size"]), ladder.SIZES[m["size"]].batch) / min(m["seconds"][key])
        for m in measurements
        if "problem" not in m
    ]
    if not speeds:
        return ""
    rows = []
    for parameters in parallel.PARAMETERS:
        cells = []
        for latency, bandwidth in parallel.NETWORKS.values():
            for ranks in parallel.CLUSTERS:
                seconds = parallel.allreduce_seconds(ranks, 4 * parameters, latency, bandwidth)
                bounds = parallel.rows_where_it_stops_paying(ranks, parameters, seconds, max(speeds))
                cells.append(f"{number(seconds * 1e3)} ({', '.join(f'{math.ceil(bound):,}' for bound in bounds)})")
        rows.append([f"{parameters:,}", *cells])
    header = [f"{name}, {ranks} ranks" for name in parallel.NETWORKS for ranks in parallel.CLUSTERS]
    latencies = ", ".join(f"{latency * 1e6:.0f} at {name}" for name, (latency, _) in parallel.NETWORKS.items())
    return (
        "\nMilliseconds of an Allreduce of float32 gradients between machines, as the model has it, with microseconds "
        f"a message of {latencies}. In brackets, for ranks that compute {number(max(speeds) / 1e9)} billion operations "
        "a second, as the fastest here: the rows in a batch of all ranks with which they are no faster than one of "
        "them alone; and the rows of each with which the exchange takes as long as the computation. With fewer it does "
        f"not pay.\n\n{table(['parameters', *header], rows)}\n"
    )


def readable_report(measurements: Sequence[Measurement]) -> str:
    """A table with a row a function and a column a library."""
    counts = {m["contender"]: m.get("statements", {}) for m in measurements}
    rows = [
        [name, *(str(counts.get(contender, {}).get(name) or "") for contender in readable.CONTENDERS)]
        for name in readable.CASES
    ]
    text = (
        "## What there is to read\n\nStatements of the gradient of a function as compiled, and of the adjoint that "
        "tangent-ad writes of it, or of a function that computes the same as a model; empty where it writes none.\n\n"
    )
    return text + table(["statements", *readable.CONTENDERS], rows) + "\n" + remarks(measurements)


def estimators_report(measurements: Sequence[Measurement]) -> str:
    """Two tables: what is learned of each data set and the time of it, and the times of the two jobs."""
    ours, theirs = (
        [m for m in measurements if m["contender"] == contender and "problem" not in m]
        for contender in estimators.CONTENDERS
    )
    rows = []
    for name in estimators.DATA if ours and theirs else ():
        scores = [[score for m in group for score in m["scores"][name]] for group in (ours, theirs)]
        means = [statistics.fmean(group) for group in scores]
        differences = [one - other for one, other in zip(*scores)]  # of the same rows
        error = statistics.stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else math.nan
        noise = f"{means[0] - means[1]:+.4f}, standard error {error:.4f}"
        times = cell(ours, theirs, lambda m, name=name: min(m["seconds"][name]), per_second=1)
        rows.append([name, *(f"{mean:.4f}" for mean in means), noise, times])
    jobs = [
        [job, *(cell(group, [], of_job(job), per_second=1) for group in (ours, theirs)),
         verdict(ours, [theirs], of_job(job), limit)]
        for job, limit in estimators.LIMITS.items()
    ]  # fmt: skip
    seeds = sum(m["seeds"] for m in ours)
    text = (
        "## Estimators\n\n"
        f"Accuracy (of diabetes R²) on test rows, the mean over {seeds} seeds for weights and split, with the "
        "defaults; the processor's seconds are those of the fastest training, in brackets the ratio.\n\n"
    )
    header = ["", *estimators.CONTENDERS, "difference", "seconds"]
    text += table(header, rows) + (
        "\n\nThe processor's seconds of "
        + " and ".join(
            f"{estimators.ITERATIONS[job]} iterations over {estimators.ROWS[job]:,} {job} rows of "
            f"{estimators.FEATURES[job]:,} features"
            for job in estimators.LIMITS
        )
        + ", in float64, one thread:\n\n"
    )
    header = ["", *estimators.CONTENDERS, "ratio"]
    return text + table(header, jobs) + "\n" + remarks(measurements)


def of_job(job: str) -> Best:
    """Make the function that picks the seconds of a job out of a measurement."""
    return lambda measurement: float(measurement["jobs"][job])


REPORTS = {
    "ladder": ladder_report,
    "compiled": compiled_report,
    "digits": digits_report,
    "estimators": estimators_report,
    "operation": operation_report,
    "optimizers": optimizers_report,
    "scalars": scalars_report,
    "transforms": transforms_report,
    "batches": batches_report,
    "functions": functions_report,
    "chain": chain_report,
    "readable": readable_report,
    "parallel": parallel_report,
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
            found[f"- {where}: {m['problem']}: {textwrap.shorten(m['detail'], 300)}"] = None
    return "\n" + "\n".join(found) + "\n" if found else ""
