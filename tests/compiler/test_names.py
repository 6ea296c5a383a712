"""Names and comments in programs are the user's words, with both backends and in pictures."""

from __future__ import annotations

import ast
import gc
import itertools
import linecache
import re
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import autodiff as ad
import nn

rng = np.random.default_rng(0)
X, W, V = rng.normal(size=(5, 4)), rng.normal(size=(4, 3)), rng.normal(size=(3, 3))


def program(step: Callable[..., Any], *args: Any, **options: Any) -> str:
    compiled = ad.compile(step, **options)
    compiled(*args)
    return compiled.source


def lines(step: Callable[..., Any], *args: Any, **options: Any) -> list[str]:
    """Give what ``step`` of a program does, line by line."""
    body = program(step, *args, **options).partition("def step(")[2].partition("\n    return step")[0]
    return [line.strip() for line in body.splitlines()[1:] if line.strip()]


def network(W: Any, V: Any, x: Any) -> Any:
    hidden = np.tanh(x @ W)
    logits = hidden @ V
    error = logits - x[:, :3]
    return (error**2).sum()


def test_values_are_called_as_the_step_calls_them_and_gradients_after_them() -> None:
    assert lines(ad.grad(network, argnums=(0, 1)), W, V, X)[:7] == [
        "# hidden = np.tanh(x @ W)",
        "np.dot(x, W, out=hidden)",
        "np.tanh(hidden, out=hidden)",
        "# logits = hidden @ V",
        "np.dot(hidden, V, out=logits)",
        "# error = logits - x[:, :3]",
        "np.subtract(logits, x[:, :3], out=error)",
    ]
    text = program(ad.grad(network, argnums=(0, 1)), W, V, X)
    assert "np.dot(d_error, V.T, out=d_hidden)" in text
    assert re.search(r"d_V = np\.\w+\(hidden_T, d_error\)", text)
    assert "return d_W, d_V" in text


def test_memory_has_a_name_for_each_value_that_lies_in_it() -> None:
    text = program(ad.grad(network), W, V, X)
    assert "logits = error = d_error = np.empty((5, 3), np.float64)" in text
    assert "np.subtract(logits, x[:, :3], out=error)" in text


def test_names_come_from_any_kind_of_assignment() -> None:
    def step(x: Any) -> Any:
        first, second = np.exp(x), np.tanh(x)
        both = first
        both = both * second
        if (walrus := np.sinh(both)) is not None:
            both -= walrus
        annotated: Any = np.cosh(both)
        for turn in (annotated, annotated + 1.0):
            last = np.sqrt(turn)
        return np.cbrt(last)

    words = set(re.findall(r"out=(\w+)", program(step, X)))
    assert {"first", "second", "both", "walrus", "annotated", "last"} <= words


def test_a_variable_that_is_assigned_again_keeps_its_name_in_its_place() -> None:
    def step(x: Any) -> Any:
        y = np.exp(x)
        for _ in range(3):
            y = np.tanh(y)
        return np.cbrt(y)

    assert [line for line in lines(step, X) if "tanh(" in line and "#" not in line] == ["np.tanh(y, out=y)"] * 3


def test_a_callers_variable_comes_before_a_parameter() -> None:
    def dense(inputs: Any, weights: Any) -> Any:
        return inputs @ weights

    def step(x: Any, W: Any, V: Any) -> Any:
        z = dense(x, W)
        h = np.maximum(z, 0)
        return np.sqrt(dense(h, V) ** 2 + 1)

    text = program(step, X, W, V)
    assert "np.dot(x, W, out=z)" in text
    assert "out=h)" in text
    assert "inputs" not in text.replace("return inputs @ weights", "")


def test_what_is_only_returned_is_called_as_it_was_assigned() -> None:
    def step(x: Any) -> Any:
        scores = np.exp(np.tanh(x))
        return scores

    assert "scores = np.exp(tanh)" in program(step, X)


def test_a_gradient_is_the_sum_of_its_contributions() -> None:
    def loss(x: Any) -> Any:
        h = np.exp(x)
        return (np.tanh(h) * np.sin(h)).sum()

    found = lines(ad.grad(loss), X)
    assert found[-2:] == ["d_x = np.multiply(d_h, h)", "return d_x,"]
    assert any(re.fullmatch(r"np\.add\(\w+, \w+, out=d_h\)", line) for line in found)


def test_a_contribution_is_not_called_a_gradient() -> None:
    def loss(x: Any) -> Any:
        h = np.stack([x, x * 2.0]).sum(0)
        return (h * np.sin(x)).sum()

    assert lines(ad.grad(loss), X)[-2].startswith("d_x = ")
    assert program(ad.grad(loss), X).count("out=d_x)") == 0


def test_backward_passes_have_gradients_of_their_own() -> None:
    w = ad.Tensor(V, name="w")

    def step(x: Any) -> Any:
        gradients = []
        for power in (2, 3):
            w.grad = None
            ((np.tanh(x @ w) ** power).sum() + (w**power).sum()).backward()
            gradients.append(w.grad)
        return gradients

    text = program(step, X[:, :3], state=w)
    assert "return d_w, d_w_2.copy(), d_w_2.copy()" in text
    assert re.search(r"\n    d_w: .*result\[0\]\n    d_w_2: .*result\[1\]", text)

    def second(x: Any) -> Any:
        return ad.grad(lambda x: (ad.grad(lambda x: (np.tanh(x) ** 3).sum())(x) ** 2).sum())(x)

    assert {"d_x", "d_d_x", "d_x_2"} <= set(re.findall(r"\w+", program(second, X)))
    assert lines(second, X)[-1] == "return d_x_2,"


def test_what_is_multiplied_first_is_called_what_it_is_then() -> None:
    def loss(x: Any) -> Any:
        h = np.exp(0.1 * x)
        return np.mean((V - h) ** 2)

    assert lines(ad.grad(loss), X[:3, :3])[-1] == "return d_x,"


class Net(nn.Module):
    def __init__(self) -> None:
        self.first = nn.Linear(4, 3, rng=0)
        self.second = nn.Linear(3, 2, rng=1)

    def forward(self, x: Any) -> Any:
        z1 = self.first(x)
        h1 = np.tanh(z1)
        return self.second(h1)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_models_steps_and_optimizers_give_their_words(backend: str) -> None:
    if backend == "numba":
        pytest.importorskip("numba")
    model = Net()
    optimizer = nn.optim.Adam(model.parameters())

    def step(x: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        scores = model(x)
        loss = nn.functional.cross_entropy(scores, labels)
        loss.backward()
        optimizer.step()
        return loss

    x, labels = X.astype(np.float32), np.array([0, 1, 1, 0, 1])
    text = program(step, x, labels, state=(model, optimizer), backend=backend)
    for word in ("first_weight", "d_first_weight", "first_weight_mean", "scores", "d_scores", "z1"):
        assert re.search(rf"\b{word}(_ij)?\b", text), word
    comments = [line.strip()[2:] for line in text.splitlines() if line.strip().startswith("# ")]
    expected = [
        "z1 = self.first(x)", "first: Linear(4, 3)", "h1 = np.tanh(z1)", "return self.second(h1)",
        "second: Linear(3, 2)", "loss = nn.functional.cross_entropy(scores, labels)",
        "backward: second: Linear(3, 2)", "backward: h1 = np.tanh(z1)", "backward: first: Linear(4, 3)",
        "optimizer.step()",
    ]  # fmt: skip
    places = [comments.index(comment) for comment in expected]
    assert all(a < b for a, b in itertools.pairwise(places)), comments


def test_a_statement_of_several_lines_is_one_comment() -> None:
    def step(x: Any) -> Any:
        y = np.exp(
            np.tanh(x)
            + 1.0,
        )  # fmt: skip
        return np.sqrt(y)

    assert [line for line in lines(step, X) if "#" in line] == ["# y = np.exp(np.tanh(x) + 1.0)", "# return np.sqrt(y)"]


class Pair(NamedTuple):
    first: Any
    second: Any


def test_a_name_is_that_of_the_expression_that_is_assigned(tmp_path: Path) -> None:
    written = """def step(x):
    a = np.exp(x); n = 3
    b = np.sin(x) if n > 2 else np.cos(x)
    '''
Text that is not indented
    '''
    c = np.tan(x)
    c *= 2.0
    pair = Pair(np.tanh(x), np.sqrt(x))
    if (d := np.cbrt(x)) is not None:
        one = len([np.log1p(x)])
    return a, b, c, pair.first, pair.second, d, one
"""
    path = tmp_path / "written.py"
    path.write_text(written)
    space: dict[str, Any] = {"np": np, "Pair": Pair}
    exec(compile(written, str(path), "exec"), space)
    text = program(space["step"], np.abs(X))
    assert [line.strip() for line in text.splitlines() if " = np." in line and not re.search("#|empty", line)] == [
        "c2 = np.array(2.0, np.float64)",
        "a = np.exp(x)",
        "b = np.sin(x)",
        "c_2 = np.multiply(c, c2)",
        "tanh = np.tanh(x)",
        "sqrt = np.sqrt(x)",
        "d = np.cbrt(x)",
    ]


def test_no_line_of_a_file_that_has_changed_is_a_comment(tmp_path: Path) -> None:
    written = "import numpy as np\ndef step(x):\n    y = np.exp(x)\n    return np.sin(y)\n"
    path = tmp_path / "written.py"
    path.write_text("z = 1\n" + written)
    space: dict[str, Any] = {}
    exec(compile(written, str(path), "exec"), space)
    assert "#" not in program(space["step"], X)


def test_no_code_of_the_users_runs_to_find_a_name() -> None:
    class Names(dict[str, Any]):
        def items(self) -> Any:
            raise AssertionError

    def step(x: Any) -> Any:
        names = Names(x=x)
        exec("y = np.exp(x)\nz = np.sin(y)", {"np": np}, names)
        return names["z"]

    np.testing.assert_array_equal(ad.compile(step)(X), np.sin(np.exp(X)))


def test_a_function_of_many_variables_keeps_their_names(tmp_path: Path) -> None:
    path, space = tmp_path / "written.py", dict[str, Any](np=np)
    path.write_text(
        "def step(v0):\n" + "".join(f"    v{k + 1} = np.tanh(v{k})\n" for k in range(300)) + "    return v300\n"
    )
    exec(compile(path.read_text(), str(path), "exec"), space)
    text = program(space["step"], X)
    assert "np.tanh(v150, out=v151)" in text
    assert "v300 = np.tanh(v299)" in text


def test_looking_for_names_changes_nothing_and_keeps_nothing() -> None:
    alive: list[bool] = []

    def step(x: Any) -> Any:
        kept = locals()
        exponential = np.exp(x)
        logarithm = np.log1p(exponential)
        return {name: np.sqrt(value) for name, value in kept.items()}, logarithm

    assert list(ad.compile(step, check=False)(np.abs(X))[0]) == ["x"]

    def generator() -> Any:
        x = yield
        y = np.exp(x)
        alive.append(True)
        weakref.finalize(y, alive.clear)
        z = np.sin(y)
        y = x = None
        z = yield z

    steps = generator()
    next(steps)
    ad.compile(lambda x: steps.send(x) * 2.0, check=False)(X)
    gc.collect()
    assert not alive


def test_no_word_of_the_users_can_be_code() -> None:
    space: dict[str, Any] = {"np": np}
    written = ["def step(x):\n", '    y = np.exp(x)  # \x0c""" import os\n', "    return np.tanh(y)\n"]
    linecache.cache["written"] = len(written), None, written, "written"
    exec(compile("".join(written), "written", "exec"), space)
    text = program(space["step"], X)
    assert "# y = np.exp(x) # ''' import os" in text
    assert ast.unparse(ast.parse(text)).count("import") == 1
    del linecache.cache["written"]

    def step(x: Any) -> Any:
        print_ = np.exp(x)
        step = np.tanh(print_)  # a name that the program has itself
        build = np.sqrt(step + 2)
        return np.cbrt(build)

    np.testing.assert_allclose(ad.compile(step)(X), step(X))
    assert {"step_2", "build_2"} <= set(re.findall(r"\w+", program(step, X)))


def test_pictures_of_functions_have_the_same_names() -> None:
    def step(x: Any) -> Any:
        hidden = np.tanh(x @ W)
        score = (hidden * hidden).sum()
        return score

    source = ad.draw(step, X).source
    assert all(f">{name}<" in source for name in ("x", "hidden", "score"))
    kept: list[Any] = []
    older = ad.Tensor(X) * 2.0
    ad.draw(lambda x: kept.append(x * older) or kept[0].sum(), X)
    assert older.name is None


def test_what_layers_give_has_their_paths_and_gradients_follow() -> None:
    model = nn.MLP([4, 3, 2], rng=0)

    def loss(x: Any) -> Any:
        return (model(x) ** 2).sum()

    found = lines(ad.grad(loss), X.astype(np.float32), state=model)
    text = "\n".join(found)
    assert "np.maximum(layers_0, c0, out=layers_1)" in found
    assert re.search(r"np\.dot\(\w+, layers_2_weight\.?_?T, out=d_layers_1\)", text)
    assert re.search(r"np\.multiply\(d_layers_1, \w+, out=d_layers_0\)", text)
    assert re.search(r"= np\.\w+\(d_layers_0, layers_0_weight\.?_?T\)", text)
    wide = program(ad.grad(loss), X, state=model)
    assert "converted = x.astype(np.float32)" in wide


def test_state_without_a_name_is_called_as_the_variable_that_holds_it() -> None:
    weights = {"first": ad.Tensor(np.ones(3))}
    rates, named = np.ones(3), ad.Tensor(np.ones(3), name="own")

    def step(x: Any) -> None:
        weights["first"].data = weights["first"].data - rates * x
        named.data = named.data - x

    assert "def build(weights_first, own, rates):" in program(step, np.ones(3), state=[weights["first"], named, rates])


def test_the_gradient_of_what_has_no_name_is_told_from_that_of_what_becomes_of_it() -> None:
    def loss(x: Any) -> Any:
        h = np.tanh(x @ W)
        return np.sin(h).sum()

    text = program(ad.grad(loss), X)
    assert "np.cos(h, out=d_h)" in text
    assert "np.subtract(d_h, product, out=d_pre_h)" in text
    assert "np.matmul(d_pre_h, W_T)" in text


def test_memory_in_machine_code_says_what_lies_there_later() -> None:
    pytest.importorskip("numba")

    def loss(W: Any, x: Any) -> Any:
        hidden = x @ W
        return (np.tanh(hidden) ** 2).sum()

    text = program(ad.grad(loss), W, X, backend="numba")
    assert re.search(r"hidden = array_at\(.*\)  # then .*d_hidden", text), text
