"""The benchmarks measure what they say: same losses, wrong contenders found out, tables in shape. Nothing is timed."""

import importlib.util
import json
import os
from dataclasses import replace

import numpy as np
import pytest

from tests.benchmarks import (
    batches,
    chain,
    compiled,
    digits,
    estimators,
    functions,
    ladder,
    lines,
    operation,
    parallel,
    report,
    scalars,
    transforms,
    worker,
)
from tests.benchmarks.__main__ import parse, tasks
from tests.benchmarks.worker import WrongResultError, in_fresh_process, in_fresh_processes, take_turn

TINY = ladder.SIZES["T"]


def softmax_cross_entropy(problem, weights, biases):
    """The loss as a textbook writes it, in float64."""
    h = problem.x.astype(float)
    for W, b in zip(weights[:-1], biases[:-1]):
        h = np.maximum(h @ W + b, 0)
    exponentials = np.exp(h @ weights[-1] + biases[-1])
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    return -np.log(probabilities[np.arange(len(h)), problem.labels]).mean()


def test_hand_written_numpy_descends_the_gradient():
    problem = ladder.Problem.of(TINY)
    before = [p.astype(float) for p in problem.weights + problem.biases]
    loss = ladder.numpy_by_hand(problem)()
    after = [p.astype(float) for p in problem.weights + problem.biases]
    assert loss == pytest.approx(softmax_cross_entropy(problem, before[:2], before[2:]), rel=1e-6)

    rng = np.random.default_rng(1)
    for position, (old, new) in enumerate(zip(before, after)):
        direction = rng.standard_normal(old.shape)
        nearby = []
        for sign in (1, -1):
            moved = [p + sign * 1e-6 * direction if i == position else p for i, p in enumerate(before)]
            nearby.append(softmax_cross_entropy(problem, moved[:2], moved[2:]))
        slope = (nearby[0] - nearby[1]) / 2e-6
        assert np.sum((old - new) / ladder.LEARNING_RATE * direction) == pytest.approx(slope, rel=1e-3, abs=1e-5)


def test_this_library_has_the_losses_of_hand_written_numpy():
    ours = ladder.losses(ladder.this_library(ladder.Problem.of(TINY)))
    by_hand = ladder.losses(ladder.numpy_by_hand(ladder.Problem.of(TINY)))
    assert len(by_hand) == ladder.CHECKED_STEPS + 1
    assert by_hand[-1] < by_hand[0]
    np.testing.assert_allclose(ours, by_hand, rtol=ladder.RELATIVE_TOLERANCE)


def test_a_contender_that_computes_something_else_is_reported(monkeypatch):
    def lazy(problem):
        problem.biases[-1][0] += 0.001
        return ladder.numpy_by_hand(problem)

    monkeypatch.setitem(ladder.CONTENDERS, "lazy", lazy)
    with pytest.raises(WrongResultError, match="losses"):
        ladder.measure("lazy", "T", 1, 0.0)


@pytest.mark.parametrize("workload", ["T", "batch 1", "ten layers"])
def test_training_in_float64_has_the_losses_of_hand_written_numpy(workload):
    found = compiled.expected(compiled.problem_of(workload))
    assert len(found) == ladder.CHECKED_STEPS + 1
    by_hand = ladder.losses(ladder.numpy_by_hand(compiled.problem_of(workload)))
    np.testing.assert_allclose(found, by_hand, rtol=ladder.RELATIVE_TOLERANCE, atol=ladder.RELATIVE_TOLERANCE)


@pytest.mark.parametrize("contender", [ladder.EAGER, compiled.NUMPY_BACKEND])
@pytest.mark.parametrize("workload", ["T", "T, Adam", "T2, Adam", *compiled.VARIANTS])
def test_this_library_has_the_losses_of_float64_eager_and_compiled(workload, contender):
    measured = compiled.measure("seconds", contender=contender, size=workload, batches=1, batch_seconds=0.0)
    assert measured["losses"][-1] < measured["losses"][0]
    assert min(measured["seconds"]) > 0
    if contender == compiled.NUMPY_BACKEND and workload == "T":
        assert measured["first_call"] > 10 * min(measured["seconds"])


AS_RIVALS = {"quantity": "seconds", "size": "T, Adam", "batches": 1, "batch_seconds": 0.0}


def assert_steps_were_checked(result):
    assert "problem" not in result, result
    assert len(result["losses"]) == ladder.CHECKED_STEPS + 1


@pytest.mark.parametrize("contender", [ladder.REFERENCE, ladder.BARE_TENSORS])
def test_rivals_have_the_losses_of_float64(contender):
    pytest.importorskip("torch")
    assert_steps_were_checked(compiled.measure(contender=contender, **AS_RIVALS))


def test_torch_compile_has_the_losses_of_float64():
    pytest.importorskip("torch")
    result = in_fresh_process("compiled", 1, contender=compiled.TORCH_COMPILE, **AS_RIVALS)
    if "InvalidCxxCompiler" in result.get("detail", ""):
        pytest.skip(f"torch.compile has no C++ compiler: {result['detail']}")
    assert_steps_were_checked(result)


OF_JAX = [name for name in {**compiled.RIVALS, **batches.CONTENDERS} if name.startswith("JAX")]


def test_jax_has_the_losses_of_float64_and_the_derivatives_computed_by_hand():
    pytest.importorskip("jax")
    result = in_fresh_process("test_benchmarks", 1, kind="JAX")  # one, which takes longer to start than to compute
    assert "problem" not in result, result
    for name in OF_JAX:
        if name in compiled.RIVALS:
            assert_steps_were_checked(result["rivals"][name])
        for workload in batches.workloads(name) if name in batches.CONTENDERS else ():
            assert min(result["batches"][f"{name}, {workload}"]["seconds"]) > 0


def measure_jax():
    """Measure JAX: in float32, and then, for which it is told to stay so, on one core, and in float64."""
    return {
        "rivals": {one: compiled.measure(contender=one, **AS_RIVALS) for one in OF_JAX if one in compiled.RIVALS},
        "batches": {
            f"{one}, {workload}": batches.measure(one, workload, 1, 0.0)
            for one in OF_JAX
            if one in batches.CONTENDERS
            for workload in batches.workloads(one)
        },
    }


def test_micrograd_has_the_losses_of_float64():
    pytest.importorskip("micrograd")
    problem = compiled.problem_of(compiled.MOONS)
    few = replace(problem, x=problem.x[::10], labels=problem.labels[::10])
    found = ladder.losses(compiled.micrograd_moons(few))
    np.testing.assert_allclose(found, compiled.expected(few), rtol=1e-9)
    assert found[-1] < found[0]


def test_a_compiled_step_that_computes_something_else_is_reported(monkeypatch):
    def lazy(problem):
        problem.biases[-1][0] += 0.001
        return compiled.compiled(problem)

    monkeypatch.setitem(compiled.CONTENDERS, compiled.NUMPY_BACKEND, lazy)
    for workload in ("T, Adam", compiled.MOONS):
        with pytest.raises(WrongResultError, match="losses"):
            compiled.measure("seconds", contender=compiled.NUMPY_BACKEND, size=workload, batches=1, batch_seconds=0.0)


def test_memory_is_traced_as_it_is_known_to_be(monkeypatch):
    megabyte = 2**20

    def known(problem):
        kept = np.zeros(2 * megabyte, np.uint8)

        def step():
            return kept[0], np.zeros(megabyte, np.uint8)[0]

        return step

    monkeypatch.setitem(compiled.LIBRARY, "known", known)
    found = compiled.measure("bytes", contender="known", size="S")
    assert found == {name: pytest.approx(3 * megabyte, rel=0.01) for name in ("bytes", "first_bytes")}


@pytest.mark.parametrize(
    ("contender", "size"),
    [(compiled.NUMPY_BACKEND, "T"), (compiled.NUMPY_BACKEND, "T, Adam"), (compiled.NUMBA_BACKEND, "T")],
)
def test_statements_of_a_program_are_told_apart(monkeypatch, contender, size):
    monkeypatch.setattr(lines, "TURNS", 1)
    monkeypatch.setattr(lines, "TURN_SECONDS", 0.0)
    if contender == compiled.NUMBA_BACKEND:  # which takes seconds to compile the program up to a statement
        cut_short = lines._cut_short
        monkeypatch.setattr(lines, "_cut_short", lambda source: [c for c in cut_short(source) if "np.dot(" in c[0]])
    found = compiled.measure("lines", contender=contender, size=size)["lines"]
    texts = [text for text, _ in found]
    starts = ("np.dot(x,", "np.dot(layers_1, layers_2_weight,", "np.dot(layers_2_weight_T, layers_1_T,")
    products = [text for text in texts if text.startswith(starts)]
    assert len(products) == 2
    assert texts[-1] == "the call around them"
    assert sum(seconds for _, seconds in found) > 0


@pytest.mark.parametrize("contender", digits.CONTENDERS)
def test_every_library_learns_the_digits(monkeypatch, contender):
    pytest.importorskip({"PyTorch, eager": "torch"}.get(contender, "sklearn"))
    monkeypatch.setattr(digits, "EPOCHS", 20)
    result = digits.measure(contender, seed=0, trainings=2)
    assert len(result["seconds"]) == 2
    assert min(result["accuracies"]) >= digits.LOWEST_ACCURACY


def test_a_training_that_learned_something_else_is_reported(monkeypatch):
    def swapped(X, y, seed):
        return digits.this_library(X, 9 - y, seed)

    monkeypatch.setitem(digits.CONTENDERS, "swapped", (swapped, np.float32))
    with pytest.raises(WrongResultError, match="accuracy"):
        digits.measure("swapped", seed=0, trainings=1)


@pytest.mark.parametrize("name", operation.CHAINS)
def test_operation_chains_have_the_gradients_computed_by_hand(name):
    found = operation.this_library(operation.CHAINS[name])()
    for gradient, wanted in zip(found, operation.expected(name)):
        np.testing.assert_allclose(gradient, wanted, rtol=1e-9)


@pytest.mark.parametrize("name", scalars.WORKLOADS)
def test_scalar_workloads_have_the_gradients_of_micrograd(name):
    pytest.importorskip("micrograd")
    make, *_ = scalars.WORKLOADS[name]
    found, right = (make(*load())() for load in (scalars.this_library, scalars.micrograd))
    assert any(right)
    for ours, theirs in zip(found, right, strict=True):
        assert float(ours or 0) == pytest.approx(theirs, rel=1e-9, abs=1e-12)


def test_a_wrong_gradient_of_a_scalar_is_reported(monkeypatch):
    pytest.importorskip("micrograd")
    number, zero = scalars.this_library()
    monkeypatch.setitem(scalars.CONTENDERS, "shifted", lambda: (lambda value: number(value + 0.01), zero))
    with pytest.raises(WrongResultError, match="mixed chain: gradient"):
        scalars.measure("shifted", 1, 0.0)


@pytest.mark.parametrize("contender", transforms.CONTENDERS)
def test_transforms_have_the_derivatives_computed_by_hand(contender):
    if contender == transforms.REFERENCE:
        pytest.importorskip("autograd")
    measured = transforms.measure(contender, 1, 0.0)["workloads"]
    assert measured.keys() == transforms.WORKLOADS.keys()
    assert all(min(one["seconds"]) > 0 for one in measured.values())


def test_a_wrong_derivative_is_reported(monkeypatch):
    library = transforms.this_library()
    wrong = library._replace(jvp=lambda f, x, v: library.jvp(f, x, v) + 1e-6)
    monkeypatch.setitem(transforms.CONTENDERS, "shifted", lambda: wrong)
    with pytest.raises(WrongResultError, match=r"^jvp\(sin\): \["):
        transforms.measure("shifted", 1, 0.0)


def measure(kind, **task):
    """Do what the processes of the tests do."""
    return {"JAX": measure_jax, "letters": write_letters}[kind](**task)


def write_letters(path, letter, turns, end="return"):
    """Write a letter a turn, and end in some way."""
    for _ in range(turns):
        take_turn()
        with open(path, "a") as file:
            file.write(letter)
    ends = {"return": lambda: {"written": letter * turns}, "raise": lambda: 1 / 0, "exit": lambda: os._exit(3)}
    return ends[end]()


def test_processes_take_turns_until_each_has_ended(tmp_path):
    path = str(tmp_path / "order")
    tasks = [
        {"kind": "letters", "path": path, "letter": letter, "turns": turns, "end": end}
        for letter, turns, end in (("a", 2, "return"), ("b", 0, "raise"), ("c", 3, "return"), ("d", 1, "exit"))
    ]
    found = in_fresh_processes("test_benchmarks", 1, tasks)
    assert (tmp_path / "order").read_text() == "acdacc"
    assert [result.get("written") for result in found] == ["aa", None, "ccc", None]
    details = [result.get("detail") for result in found]
    assert details == [None, "ZeroDivisionError: division by zero", None, "exit status 3: no output"]


def test_a_process_that_does_not_end_is_reported(monkeypatch):
    monkeypatch.setattr(worker, "TIMEOUT", 0.1)
    assert in_fresh_process("chain", 1)["detail"] == "no result within 0.1 seconds"


@pytest.mark.parametrize(("module", "problem"), [("numba", "not installed"), ("<dynamic>", "failed")])
def test_only_a_peer_is_called_not_installed(monkeypatch, module, problem):
    def missing(**task):
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(chain, "measure", missing)
    monkeypatch.setattr(worker, "_pin", lambda threads: None)
    assert worker._work("chain", 1, {}) == {"problem": problem, "detail": f"No module named {module!r}"}


def test_chain_measures_both_quantities():
    assert len(chain.measure("seconds", length=100, operations=300)["backward"]) == 3
    assert chain.measure("bytes", length=100)["bytes"] > 0


def test_every_contender_runs_once_a_round():
    options = parse(["all", "--rounds", "2", "--sizes", "T", "M", "T2, Adam", "batch 1", "--threads", "1", "2"])
    planned = list(tasks(options))
    runs = [task for task in planned if task["benchmark"] == "ladder" and task["size"] == "M" and task["threads"] == 1]
    assert len(runs) == 2 * len(ladder.CONTENDERS)
    assert {task["contender"] for task in runs if task["round"] == 1} == set(ladder.CONTENDERS)
    assert {task["benchmark"] for task in planned} == set(report.REPORTS)
    of_compiled = [task for task in planned if task["benchmark"] == "compiled" and task["round"] == 1]
    for size, numbers in (("M", (1, 2)), ("T2, Adam", (1, 2)), ("batch 1", (1,))):
        asked = [(task["threads"], task["contender"]) for task in of_compiled if task["size"] == size]
        assert sorted(asked) == sorted((n, name) for n in numbers for name in compiled.contenders(size, n))
    traced = [task["size"] for task in tasks(parse(["compiled", "--sizes", "S"])) if task["quantity"] == "bytes"]
    assert traced == ["S"] * len(compiled.LIBRARY)
    seeds = [task["seed"] for task in planned if task["benchmark"] == "digits"]
    assert set(seeds) == {0, digits.TRAININGS}
    json.dumps(planned)


@pytest.fixture
def measured():
    """Two rounds, the second on a machine half as fast."""
    common = {"size": "T", "threads": 1, "batches": 2}
    return [
        {"round": r, "contender": contender, **common, "seconds": [best * (r + 1), 1.0]}
        for r in range(2)
        for contender, best in (("this library, eager", 30e-6), (ladder.REFERENCE, 120e-6))
    ]


def rows_of(text):
    """The first two columns of a report's table."""
    return dict([cell.strip() for cell in line.split("|")[1:3]] for line in text.splitlines() if line[:1] == "|")


def test_ladder_table_shows_medians_ratios_and_what_is_missing(measured):
    measured.append(
        {
            "round": 0,
            "contender": "MyGrad",
            "size": "T",
            "threads": 1,
            "problem": "not installed",
            "detail": "no mygrad",
        }
    )
    text = report.ladder_report(measured)
    rows = rows_of(text)
    assert rows["this library, eager"] == "45.0 (0.25)"
    assert rows[ladder.REFERENCE] == "180 (1.00)"
    assert rows["MyGrad"] == "not installed"
    assert rows["JAX jit"] == "not run"
    assert "- MyGrad: not installed: no mygrad" in text
    assert "2 rounds" in text
    assert "100% (median)" in text


def test_a_problem_in_one_round_is_shown_instead_of_a_time(measured):
    measured[2] = measured[2] | {"problem": "wrong", "detail": "losses [1.0]"}
    text = report.ladder_report(measured)
    assert "| wrong " in text
    assert "- this library, eager, T, 1 threads: wrong: losses [1.0]" in text


def test_a_missed_limit_is_explained_by_statements():
    common = {"benchmark": "compiled", "quantity": "seconds", "threads": 1, "batches": 2, "round": 0}
    measured = [
        {**common, "contender": contender, "size": "T", "seconds": [seconds], "first_call": 0.1}
        for contender, seconds in ((compiled.NUMPY_BACKEND, 30e-6), (ladder.BY_HAND, 20e-6))
    ]
    (task,) = report.missed_limits(measured)
    assert task == {**task, "quantity": "lines", "contender": compiled.NUMPY_BACKEND, "size": "T", "threads": 1}
    known = [("np.dot(x, W)", 24e-6), ("np.add(a, b)", 5.6e-6), ("small = 1", 0.4e-6)]
    text = report.compiled_report([*measured, task | {"lines": known, "round": 0}])
    assert "1.500, at most 1.05: **not met**" in text
    rows = rows_of(text)
    assert (rows["24.0"], rows["5.60"]) == ("80.0%", "18.7%")
    assert "`small = 1`" not in text
    assert report.missed_limits(measured[:1]) == []


def test_disturbed_rounds_count_only_where_there_is_no_other(measured):
    measured[2] = measured[2] | {"disturbed": True}
    text = report.ladder_report(measured)
    rows = rows_of(text)
    assert rows["this library, eager"] == "30.0 (0.25)"
    assert rows[ladder.REFERENCE] == "180 (1.00)"
    assert "1 of 4 processes" in text

    measured[0] = measured[0] | {"disturbed": True}
    rows = rows_of(report.ladder_report(measured))
    assert rows["this library, eager"] == "45.0 (0.25) *"
    assert rows[ladder.REFERENCE] == "180 (1.00)"


def test_a_ratio_to_a_disturbed_reference_has_a_star(measured):
    measured[1], measured[3] = (measured[i] | {"disturbed": True} for i in (1, 3))
    assert rows_of(report.ladder_report(measured))["this library, eager"] == "45.0 (0.25) *"


def timed(contender, seconds, **more):
    task = {"round": 0, "size": "T", "threads": 1, "batches": 2, "quantity": "seconds", "first_call": 0.25}
    return {"contender": contender, **task, "seconds": [seconds], **more}


def test_compiled_report_holds_the_ratios_against_their_limits():
    text = report.compiled_report(
        [
            timed(compiled.NUMPY_BACKEND, 30e-6),
            timed(compiled.NUMBA_BACKEND, 13e-6),
            timed(ladder.BY_HAND, 29e-6),
            timed(ladder.PRODUCTS, 8e-6),
            timed(ladder.REFERENCE, 100e-6),
            timed(ladder.JAX, 40e-6, disturbed=True),
            timed(ladder.EAGER, 60e-6),
            *(
                {**timed(name, 0.0), "quantity": "bytes", "size": size, "bytes": 2 * share, "first_bytes": 3 * share}
                for name, share in zip(compiled.LIBRARY, (1e6, 9e5, 8e5))
                for size in compiled.MEASURED_FOR_MEMORY
            ),
        ]
    )
    limits, first_calls, memory = (
        rows_of(text.partition(title)[2].split("\n\n")[1])
        for title in ("What the ratios", "Seconds of the first", "Megabytes at")
    )
    assert limits["NumPy backend / hand-written NumPy"] == "1.034, at most 1.05: met"
    assert limits["Numba backend / best of PyTorch, torch.compile, JAX"] == "0.325, at most 0.33: met *"
    assert limits["Numba backend / matrix products alone"] == "1.625, at most 1.30: **not met**"
    assert first_calls[compiled.NUMBA_BACKEND] == "0.250"
    assert memory[compiled.NUMPY_BACKEND] == "1.80 (0.90)"
    assert rows_of(text)[ladder.BARE_TENSORS] == "not run"


def test_a_tiny_ratio_is_shown_as_a_fraction():
    ours, theirs = (
        timed(name, t, size=compiled.MOONS) for name, t in ((ladder.EAGER, 4e-4), (compiled.MICROGRAD, 2.0))
    )
    assert rows_of(report.compiled_report([ours, theirs]))[ladder.EAGER] == "400 (1/5,000)"


def test_a_limit_of_what_failed_is_not_called_met():
    text = report.compiled_report(
        [
            timed(compiled.NUMBA_BACKEND, 1e-6) | {"problem": "failed", "detail": "TypeError: backend"},
            timed(ladder.PRODUCTS, 8e-6),
        ]
    )
    assert rows_of(text)["Numba backend / matrix products alone"] == "not measured"
    assert "- this library, compiled, Numba, T, 1 threads: failed: TypeError: backend" in text


def test_digits_report_shows_shares_and_accuracies():
    common = {"round": 0, "trainings": 2}
    text = report.digits_report(
        [
            {"contender": digits.OURS, **common, "seconds": [0.5, 0.4], "accuracies": [0.98, 0.97]},
            {"contender": "PyTorch, eager", **common, "seconds": [1.0, 1.2], "accuracies": [0.96, 0.97]},
            {"contender": "scikit-learn, MLPClassifier", **common, "seconds": [0.6, 0.5], "accuracies": [0.97, 0.97]},
        ]
    )
    cells = {
        row[1].strip(): [cell.strip() for cell in row[2:-1]]
        for row in (r.split("|") for r in text.splitlines()[4:])
        if len(row) > 4
    }
    assert cells[digits.OURS] == ["0.400", "", "0.9750 (0.9700 to 0.9800)"]
    assert cells["PyTorch, eager"] == ["1.00", "0.400, at most 0.50: met", "0.9650 (0.9600 to 0.9700)"]
    assert cells["scikit-learn, MLPClassifier"][1] == "0.800, at most 0.50: **not met**"
    assert cells["scikit-learn, MLPClassifier in float64"] == ["not run", "not measured", "-"]


def test_estimators_learn_as_much_and_the_report_says_so(monkeypatch):
    pytest.importorskip("sklearn")
    for name, value in {
        "DATA": ("iris",),
        "ROWS": {"dense": 600, "sparse": 300},
        "ITERATIONS": {"dense": 80, "sparse": 60},
    }.items():
        monkeypatch.setattr(estimators, name, value)
    monkeypatch.setattr(estimators, "FEATURES", {"dense": 100, "sparse": 2000})
    measured = [
        {"contender": contender, "round": 0, "seeds": 2} | estimators.measure(contender, seed=0, seeds=2)
        for contender in estimators.CONTENDERS
    ]
    text = report.estimators_report(measured)
    assert "the mean over 2 seeds" in text
    assert "| iris |" in text
    assert "at most 0.50" in text
    measured[0]["jobs"]["sparse"] = 3 * measured[1]["jobs"]["sparse"]
    assert "3.000, at most 1.00: **not met**" in report.estimators_report(measured)


@pytest.mark.parametrize("contender", functions.OURS)
def test_compiled_functions_have_the_gradient_computed_by_hand(contender):
    if "Numba" in contender:
        pytest.importorskip("numba")
    measured = functions.measure(contender, 1, 0.0)
    assert min(measured["seconds"]) > 0
    assert len(measured.get("first_calls", functions.STEPS)) == len(functions.STEPS)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # within PyTorch
@pytest.mark.parametrize(
    ("contender", "workload"),
    [(name, workload) for name in batches.CONTENDERS if name not in OF_JAX for workload in batches.workloads(name)],
)
def test_many_derivatives_are_those_computed_by_hand(contender, workload):
    if "Numba" in contender:
        pytest.importorskip("numba")
    if "PyTorch" in contender:
        pytest.importorskip("torch")
    assert min(batches.measure(contender, workload, 1, 0.0)["seconds"]) > 0


def test_wrong_derivatives_are_reported(monkeypatch):
    shifted = lambda workload: lambda: batches.this_library(workload)() + 1e-6  # noqa: E731
    monkeypatch.setitem(batches.CONTENDERS, "shifted", (shifted, batches.ALL))
    for workload in batches.ALL:
        with pytest.raises(WrongResultError, match=workload):
            batches.measure("shifted", workload, 1, 0.0)


def test_table_of_many_derivatives():
    text = report.batches_report(
        [
            timed(name, seconds, size=batches.HESSIAN)
            for name, seconds in zip(
                (batches.EAGER, batches.REFERENCE, batches.JAX_JIT, batches.NUMBA_BACKEND), (3e-4, 9e-4, 2e-5, 3e-5)
            )
        ]
        + [timed("PyTorch, autograd.functional, vectorized", 5e-4, size=batches.HESSIAN)]
    )
    rows = rows_of(text)
    assert rows[batches.EAGER] == "300 (0.33)"
    assert rows["this library / best of PyTorch"] == "0.600, at most 0.50: **not met**"
    assert rows["compiled, Numba / JAX jit"] == "1.500, at most 1.00: **not met**"
    assert rows["compiled / JAX jit"] == "not measured"


def test_two_processes_come_to_the_weights_of_one_and_are_timed(monkeypatch):
    pytest.importorskip("mpi4py")
    result = parallel.measure("T", 1, 0.0)
    known = {parallel.key(name, case) for name in parallel.CONTENDERS for case in parallel.CASES}
    if importlib.util.find_spec("torch") is None:
        known = {name for name in known if parallel.REFERENCE not in name}
    known |= {parallel.key(parallel.LOOP, parallel.SILENT)}
    assert set(result["seconds"]) == known | {parallel.EXCHANGE, parallel.LATENCY, parallel.BANDWIDTH}
    assert all(len(seconds) == 1 and min(seconds) > 0 for seconds in result["seconds"].values())


def test_weights_that_are_not_those_of_one_process_are_reported(monkeypatch):
    def careless(problem, comm):  # learns from the first half of the batch alone
        half = replace(problem, x=problem.x[:16], labels=problem.labels[:16])
        return parallel.loop(half, None)

    monkeypatch.setitem(parallel.CONTENDERS, "careless", careless)
    assert parallel.check(parallel.LOOP, "T", None) == ""
    assert "careless, T: parameter 0 is off by" in parallel.check("careless", "T", None)


def test_the_model_of_an_exchange():
    # The ring sends (p - 1) pieces twice, of a p-th of the bytes each; recursive doubling all bytes log2(p) times.
    assert parallel.allreduce_seconds(8, 8 * 10**9, 1e-6, 1e9) == pytest.approx(14 * (1e-6 + 1))
    assert parallel.allreduce_seconds(8, 8, 1e-6, 1e9) == pytest.approx(3 * (1e-6 + 8e-9))
    exchange = parallel.allreduce_seconds(8, 4 * 10**6, 1e-6, 1e9)
    together, each = parallel.rows_where_it_stops_paying(8, 10**6, exchange, 1e11)
    assert parallel.flops(10**6, each) / 1e11 == pytest.approx(exchange)
    seconds = parallel.flops(10**6, together) / 1e11
    assert seconds / 8 + exchange == pytest.approx(seconds)
    assert parallel.parameters_of("T") == 64 * 32 + 32 + 32 * 10 + 10


def test_table_of_two_processes():
    half, whole = (parallel.key(parallel.FIT, case) for case in (parallel.STRONG, parallel.WEAK))
    peers = [parallel.key(parallel.REFERENCE, case) for case in (parallel.STRONG, parallel.WEAK)]
    seconds = {
        parallel.key(parallel.FIT, parallel.ONE): [1e-3, 2e-3],
        half: [8e-4, 9e-4], whole: [1.6e-3], peers[0]: [1.6e-3], peers[1]: [1e-3],
        parallel.EXCHANGE: [2e-4], parallel.LATENCY: [1e-6], parallel.BANDWIDTH: [2e-3],
    }  # fmt: skip
    common = {"benchmark": "parallel", "size": "T", "threads": 2, "round": 0, "disturbed": False, "batches": 2}
    rows = rows_of(report.parallel_report([common | {"seconds": seconds}]))
    assert rows["its share of fit's step, half of the batch each"] == "0.25"
    assert rows["strong scaling: steps of two processes in the time of one's"] == "1.25"
    assert rows["weak scaling: the same, with a batch each"] == "0.62"
    assert rows["fit by PyTorch, half of the batch each"] == "0.500, at most 1.00: met"
    assert rows["fit by PyTorch, a batch each"] == "1.600, at most 1.00: **not met**"
    alone = {name: times for name, times in seconds.items() if name not in peers}
    rows = rows_of(report.parallel_report([common | {"seconds": alone}]))
    assert rows[parallel.REFERENCE] == "not installed"
    assert rows["fit by PyTorch, a batch each"] == "not measured"
    failed = common | {"problem": "failed", "detail": "RuntimeError: no core"}
    assert "failed: RuntimeError: no core" in report.parallel_report([failed])


def test_compiled_functions_table():
    common = {"benchmark": "functions", "round": 0, "threads": 1, "disturbed": False, "batches": 3}
    text = report.functions_report(
        [
            {**common, "contender": name, "seconds": [time], "first_calls": [0.1, 0.4]}
            for name, time in zip(functions.CONTENDERS, (6e-6, 3e-6, 8e-6, 4e-6))
        ]
    )
    for shown in ("6.00 (0.75)", "4.00 (0.50)", "0.400", "not run"):
        assert shown in text


def test_transforms_table():
    common = {"round": 0, "batches": 1}
    workloads = [{name: {"seconds": [time]} for name in transforms.WORKLOADS} for time in (4e-6, 5e-6)]
    text = report.transforms_report(
        [{**common, "contender": name, "workloads": one} for name, one in zip(transforms.CONTENDERS, workloads)]
    )
    assert rows_of(text)["grad(sin)"] == "4.00 (0.80)"
    assert text.splitlines()[-1].split("|")[-2].strip() == "1.00"
    missing = {"problem": "not installed", "detail": "no autograd"}
    alone = report.transforms_report(
        [
            {**common, "contender": "this library", "workloads": workloads[0]},
            {**common, "contender": transforms.REFERENCE, **missing},
        ]
    )
    assert rows_of(alone)["grad(sin)"] == "4.00 *"
    assert "| not installed |" in alone


def test_operation_scalars_and_chain_tables():
    chains = {name: {"seconds": [2e-6]} for name in operation.CHAINS}
    half = {name: {"seconds": [1e-6]} for name in operation.CHAINS}
    text = report.operation_report(
        [
            {"round": 0, "batches": 1, "contender": operation.REFERENCE, "chains": chains},
            {"round": 0, "batches": 1, "contender": "this library", "chains": half},
        ]
    )
    assert "| 1.00 (0.50) |" in text
    assert "| 0.50 " in text
    workloads = {name: {"seconds": [4e-6], "uncollected": [2e-6]} for name in scalars.WORKLOADS}
    quarter = {name: {"seconds": [1e-6], "uncollected": [1e-6]} for name in scalars.WORKLOADS}
    text = report.scalars_report(
        [
            {"round": 0, "batches": 1, "contender": scalars.REFERENCE, "workloads": workloads},
            {"round": 0, "batches": 1, "contender": "this library", "workloads": quarter},
        ]
    )
    assert rows_of(text)["this library"] == "1.00 (0.25)"
    assert rows_of(text)["this library, cycle collector off"] == "1.00 (0.50)"
    assert rows_of(text)["*the ratio is to be at most*"] == "(0.50)"
    times = {"forward": [2e-6, 1e-6], "uncollected": [0.5e-6], "backward": [3e-6], "free": [0.1e-6]}
    text = report.chain_report(
        [
            {"round": 0, "length": 1000, "quantity": "seconds", **times},
            {"round": 0, "length": 1000, "quantity": "bytes", "bytes": 280.2},
        ]
    )
    assert [cell.strip() for cell in text.splitlines()[-1].split("|")[1:-1]] == [
        "1,000",
        "1.00",
        "0.500",
        "3.00",
        "0.100",
        "280",
    ]
