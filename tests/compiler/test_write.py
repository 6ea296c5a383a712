"""The text of programs: it runs on its own, reads as one would write it by hand, and is drawn."""

from __future__ import annotations

import ast
import functools
import importlib.util
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from tests.compiler.trainings import LABELS, ROWS, X, training


def test_the_source_runs_on_its_own(tmp_path: Path) -> None:
    model, state, step = training(optimizer=lambda p: nn.optim.SGD(p, lr=0.5))()
    compiled = ad.compile(step, state)
    weights = {path: array.copy() for path, array in model.state_dict().items()}
    losses = [compiled(X, LABELS).item() for _ in range(3)]
    path = compiled.save(tmp_path / "step.py")
    assert path.read_text() == compiled.source
    assert not re.search(r"[ \t]$", compiled.source, re.MULTILINE)

    spec = importlib.util.spec_from_file_location("saved_step", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    run = module.build(*weights.values())
    assert [run(X, LABELS, 0.5, count)[0] for count in range(3)] == pytest.approx(losses, rel=1e-6)
    assert set(module.__dict__) >= {"np", "build"}
    assert "autodiff" not in compiled.source


def test_a_saved_module_says_what_it_takes_and_gives(tmp_path: Path) -> None:
    _, state, step = training(optimizer=lambda p: nn.optim.SGD(p, lr=0.5))()
    table = np.array([0.0, 0.5, 2.0])
    table.flags.writeable = False

    def all_kinds(batch: Any, flag: bool) -> Any:
        loss = step(batch["images"], batch["labels"])
        return {"loss": loss, "rest": (flag, batch["images"][0, :3] * table)}

    compiled = ad.compile(all_kinds, state)
    compiled({"images": X, "labels": LABELS}, True)
    text = compiled.save(tmp_path / "step.py").read_text()
    assert (
        ast.get_docstring(ast.parse(text))
        == f"""\
all_kinds, as a program for arguments of these shapes and dtypes.

    step = build(layers_0_weight, layers_0_bias, layers_2_weight, layers_2_bias, constant_0)
    (value, result_rest_0, result_rest_1, step_count) = step(batch_images, batch_labels, lr, step_count)

build takes:
    layers_0_weight: float32 (6, 8), changed in place
    layers_0_bias: float32 (8,), changed in place
    layers_2_weight: float32 (8, 4), changed in place
    layers_2_bias: float32 (4,), changed in place
    constant_0: float64 (3,), a constant of the step

step takes:
    batch_images: float32 (16, 6), batch['images']
    batch_labels: int64 (16,), batch['labels']
    lr: float, of the state
    step_count: int, of the state

step gives, where result is what all_kinds returns:
    value: float32, result['loss']
    result_rest_0: bool, result['rest'][0]
    result_rest_1: float64 (3,), result['rest'][1]
    step_count: int, the step_count of the next call

It was written with NumPy {np.__version__}, and needs numpy."""
    )


def test_a_module_says_whose_gradients_it_gives_and_what_has_no_text() -> None:
    w = ad.Tensor(np.ones(2), name="w")
    rng = np.random.default_rng(0)
    doubled = np.frompyfunc(lambda x: x * 2, 1, 1)

    def step(x: Any) -> Any:
        (np.sin(x * w) + rng.random(2)).sum().backward()
        return doubled(x.data)

    compiled = ad.compile(step, rng)
    compiled(ad.Tensor(np.ones(2)))
    said = ast.get_docstring(ast.parse(compiled.source)) or ""
    for line in (
        "    step = build(rng, w, lambda_vectorized_2)",
        "    (result, d_w, d_x) = step(x)",
        "    lambda_vectorized_2: the function <lambda> (vectorized), which has no text",
        "    rng: Generator, changed in place",
        "    d_w: float64 (2,), gradient of w",
        "    d_x: float64 (2,), gradient of x",
    ):
        assert line in said.splitlines(), said


def test_a_stranger_runs_a_saved_module_with_numpy_alone(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(6, 8, rng=0), nn.Dropout(0.5, rng=1), nn.BatchNorm1d(8), nn.Linear(8, 4, rng=2))
    _, state, step = training(lambda: model, optimizer=lambda p: nn.optim.Adam(p, lr=0.05))()
    compiled = ad.compile(step, state)
    compiled(X, LABELS)  # which makes what the optimizer keeps
    compiled.save(tmp_path / "program.py")
    places = {place.name: place for part in state for place in part.places()}
    given = {"inputs": X, "targets": LABELS} | {name: place.get() for name, place in places.items()}
    (tmp_path / "given.pickle").write_bytes(pickle.dumps(given))
    (tmp_path / "script.py").write_text("""if 1:
        import pickle, sys
        sys.modules |= dict.fromkeys(("autodiff", "nn", "numba", "scipy"))  # none of these can be imported
        sys.path.insert(0, ".")
        import program
        build, run = program.__doc__.replace("\\n        ", " ").split("\\n    ")[1:3]
        space = pickle.load(open("given.pickle", "rb")) | {"build": program.build}
        exec(build, space)
        losses = []
        for _ in range(4):
            exec(run.partition("\\n")[0], space)
            losses.append(space["value"])
        del space["__builtins__"], space["build"], space["step"]
        pickle.dump((losses, space), open("left.pickle", "wb"))
    """)
    losses = [compiled(X, LABELS).item() for _ in range(4)]
    subprocess.run([sys.executable, "-I", "script.py"], cwd=tmp_path, check=True)
    found, left = pickle.loads((tmp_path / "left.pickle").read_bytes())
    assert found == losses
    for name, place in places.items():
        if isinstance(place.get(), np.random.Generator):
            assert left[name].random() == place.get().random()
        elif isinstance(place.get(), np.ndarray):
            np.testing.assert_array_equal(left[name], place.get(), name)
    assert left["step_count"] == places["step_count"].get() == 5


def test_the_source_reads_as_by_hand() -> None:
    _, state, step = training()()
    compiled = ad.compile(step, state)
    compiled(X, LABELS)
    lines = [line.strip() for line in compiled.source.splitlines()]
    for expected in (
        "def step(inputs, targets, lr, step_count):",
        "# layers.0: Linear(6, 8)",
        "# layers.1: ReLU()",
        "# value = loss(network(inputs), targets)",
        "# backward: value = loss(network(inputs), targets)",
        "# backward: layers.1: ReLU()",
        "# changer.step()",
        "np.dot(inputs, layers_0_weight, out=layers_0)",
    ):
        assert expected in lines, expected
    assert max(map(len, lines)) <= 200


def test_names_of_arguments_are_those_that_a_caller_gives() -> None:
    class Step:
        def __call__(self, x: Any) -> Any:
            return x * 2

        def of_two(self, x: Any, y: Any) -> Any:
            return x * y

    def source(step: Any, *args: Any) -> str:
        compiled = ad.compile(step)
        compiled(*args)
        return compiled.source

    assert "def step(x):" in source(Step(), ROWS)
    assert "def step(x, y):" in source(Step().of_two, ROWS, ROWS)
    assert "def step(x):" in source(functools.partial(lambda y, x: x * y, 2.0), ROWS)
    assert "def step(z):" in source(ad.grad(lambda z: (z * z).sum()), ROWS)
    assert "def step(x):" in source(np.sin, ROWS)


def comments(step: Callable[..., Any], *args: Any, state: Any = ()) -> list[str]:
    compiled = ad.compile(step, state)
    compiled(*args)
    return [line.strip()[2:] for line in compiled.source.splitlines() if line.strip().startswith("# ")]


FIRST, THEN = "ad.grad(lambda x: np.exp(model(x)).sum())(x)", "ad.grad(lambda x: np.tanh(model(x * 2)).sum())(x)"


def watched_first(model: Any) -> Callable[..., Any]:
    def step(x: Any) -> Any:
        with ad.detect_anomaly():
            first = ad.grad(lambda x: np.exp(model(x)).sum())(x)
        return first, ad.grad(lambda x: np.tanh(model(x * 2)).sum())(x)

    return step


def test_comments_say_whose_gradient_is_computed() -> None:
    model = nn.Sequential(nn.Linear(2, 2, rng=0), nn.Tanh())

    def loss(x: Any) -> Any:
        return (model(x) ** 2).mean()

    line, layers = "return (model(x) ** 2).mean()", ["layers.0: Linear(2, 2)", "layers.1: Tanh()"]
    forward, backward = [line, *layers, line], [f"backward: {word}" for word in (line, *layers[::-1])]
    assert comments(ad.value_and_grad(loss), ROWS, state=model) == [*forward, *backward]
    lines = comments(watched_first(model), ROWS, state=model)  # by a watch of the user's, so that little is known
    assert lines[:4] == [f"first = {FIRST}", *layers, f"first = {FIRST}"]
    assert lines[4:6] == ["backward", f"return first, {THEN}"]
    assert lines[6:-3] == [*layers, f"return first, {THEN}", f"backward: return first, {THEN}"]
    assert lines[-3:] == [f"backward: {word}" for word in (*layers[::-1], f"return first, {THEN}")]
    second = comments(ad.grad(lambda x: ad.grad(loss)(x).sum()), ROWS, state=model)
    assert second[-1] == "backward: layers.0: Linear(2, 2)"
    assert "backward" in second  # of what a backward pass computed


def test_comments_of_code_without_a_file_say_what_they_can() -> None:
    space: dict[str, Any] = {"np": np, "model": nn.Linear(2, 2, rng=0)}
    exec("def loss(x):\n    return np.tanh(model(x)).sum()\ndef plain(x):\n    return np.tanh(x).sum()", space)
    module = ": Linear(2, 2)".strip(": ")
    found = comments(ad.value_and_grad(space["loss"]), ROWS, state=space["model"])
    assert found == [module, "loss", "backward: loss", f"backward: {module}"]
    assert comments(ad.value_and_grad(space["plain"]), ROWS) == ["loss", "backward: loss"]


def test_the_program_is_drawn() -> None:
    _, state, step = training()()
    compiled = ad.compile(step, state)
    with pytest.raises(RuntimeError, match="no program before the first call"):
        ad.draw(compiled)
    compiled(X, LABELS)
    source = ad.draw(compiled).source
    for name in ("inputs", "targets", "layers_0_weight", "layers_0_weight after", "lr", "matmul", "exp"):
        assert name in source, name
    with pytest.raises(TypeError, match="give no example inputs"):
        ad.draw(compiled, X)
