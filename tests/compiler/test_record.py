"""Recording a step: what cannot be a program is refused, and no text of the user's becomes code."""

from __future__ import annotations

import ast
import builtins
import contextlib
import copy
import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autodiff as ad
import autodiff.compiler.pipeline
import nn
from autodiff import Tensor
from tests.compiler.trainings import ROWS, X

# What cannot be a program


@pytest.mark.parametrize(
    ("function", "message"),
    [
        pytest.param(lambda x: x if x.sum() > 0 else -x, "the step branches on a value", id="if"),
        pytest.param(lambda x: x * float(x.sum()), "a value is taken out of the step", id="float"),
        pytest.param(lambda x: x * x.sum().item(), "a value is taken out of the step", id="item"),
        pytest.param(lambda x: np.array([x.sum(), 1.0]), "a value is taken out of the step", id="np.array"),
        pytest.param(lambda x: f"{x}", "a value is printed, or made text", id="print"),
        pytest.param(lambda x: x[x > 0], r"the size of x\[mask\] depends on values", id="mask"),
        pytest.param(lambda x: np.nonzero(x), "the size of what nonzero gives depends on values", id="nonzero"),
        pytest.param(lambda x: Tensor(x).sum().item(), "a value is taken out of the step", id="item of a Tensor"),
    ],
)
def test_looking_into_values_is_refused_with_the_line(function: Callable[[Any], Any], message: str) -> None:
    compiled = ad.compile(function)
    with pytest.raises(TypeError, match=f"compile: {message}.*test_record.py"):
        compiled(ROWS)


def test_in_place_changes_that_are_no_state_are_refused() -> None:
    def change(x: Any) -> None:
        x += 1

    with pytest.raises(TypeError, match="the step changes its argument 'x' in place"):
        ad.compile(change)(ROWS.copy())
    seen = np.zeros(3)

    def remember(x: Any) -> None:
        np.add(seen, x, out=seen)

    with pytest.raises(TypeError, match="not part of the state is changed in place"):
        ad.compile(remember)(np.ones(3))

    def use_a_view(x: Any) -> Any:
        y = x * 2
        row = y[0]
        y += 1
        return row

    with pytest.raises(TypeError, match="a view is used after the array that it shows was changed"):
        ad.compile(use_a_view)(ROWS)


def test_an_argument_that_is_changed_in_place_is_as_before() -> None:
    def step(a: Any) -> Any:
        a += 1
        return a

    array = np.zeros(3)
    with pytest.raises(TypeError, match="the step changes its argument 'a' in place"):
        ad.compile(step)(array)
    assert array.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("view", [np.squeeze, lambda w: np.reshape(w, ())[None].squeeze(), lambda w: w[..., 0]])
def test_a_number_that_shows_what_was_changed_in_place_is_refused(view: Callable[[Any], Any]) -> None:
    w = Tensor(np.ones(1))

    def step() -> Any:
        number = view(w)
        w.data *= 2
        return number

    with pytest.raises(TypeError, match="a view is used after"):
        ad.compile(step, w)()


def test_values_left_over_from_compiling_say_so() -> None:
    losses: list[Any] = []
    ad.compile(lambda x: losses.append(x.sum()), check=False)(ROWS)
    for use in (str, float, bool):
        with pytest.raises(TypeError, match="left over from the run in which the step was compiled"):
            use(losses[0])


def _generator(x: Any) -> Iterator[Any]:
    yield x


async def _async(x: Any) -> Any:
    return x


class Methods:
    def __init__(self) -> None:
        self.w = ad.Tensor([1.0, 2.0])
        self.step = ad.compile(self.step_by, state=self.w)

    def step_by(self, x: Any) -> Any:
        self.w.data = self.w.data - x
        return self.w.sum()

    @ad.compile
    def method(self, x: Any) -> Any:
        return x

    @staticmethod
    @ad.compile
    def of_none(x: Any) -> Any:
        return x * 2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ad.compile(_generator), TypeError, "generator must return what it computes"),
        (lambda: ad.compile(_async), TypeError, "async must return what it computes"),
        (
            lambda: ad.compile(lambda x: x * x)(np.ma.masked_array(np.ones(3), [0, 1, 0])),
            TypeError,
            "an array of type MaskedArray cannot be recorded",
        ),
        (lambda: ad.compile(3), TypeError, "the step must be a function, got 3; state= names what it changes"),
        (lambda: ad.compile(None), TypeError, "the step must be a function, got None"),
        (lambda: ad.compile()(3), TypeError, "the step must be a function, got 3"),
        (lambda: ad.compile()(_async), TypeError, "async must return what it computes"),
        (lambda: ad.compile(np.sum, state=3), TypeError, "state must be modules, optimizers"),
        (lambda: ad.compile(state=3), TypeError, "state must be modules, optimizers"),
        (lambda: ad.compile(backend="c"), ValueError, "backend must be one of 'numpy', 'numba', got 'c'"),
        (lambda: ad.compile(exact=True, backend="numba"), ValueError, 'with backend="numba" sums are taken in another'),
        (
            lambda: Methods().method(1.0),
            TypeError,
            "method is compiled for all objects of Methods, .* in __init__ by self",
        ),
        (
            lambda: ad.compile(np.sum, without=["speed"]),
            ValueError,
            "there is no simplification 'speed'; there are variances, lower, products",
        ),
        (lambda: ad.compile(np.sum).source, RuntimeError, "there is no program before the first call of sum"),
    ],
)
def test_refused(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"compile: {message}"):
        call()


def test_a_decorator_makes_a_compiled_step() -> None:
    w = ad.Tensor([1.0, 2.0])

    @ad.compile(state=w, exact=True, without=["lower"], check=False)
    def descend(x: np.ndarray[Any, Any], *, rate: float = 0.5) -> Any:
        """Go down."""
        w.data = w.data - rate * x
        return w * 1

    @ad.compile
    def doubled(x: Any) -> Any:
        return 2 * x

    assert isinstance(descend, ad.Compiled)
    assert isinstance(doubled, ad.Compiled)
    assert (descend.__name__, descend.__doc__, descend.__module__) == ("descend", "Go down.", __name__)
    assert str(inspect.signature(descend)).startswith("(x: 'np.ndarray[Any, Any]', *, rate: 'float' = 0.5)")
    assert (descend._options.exact, descend._options.without, descend._check) == (True, {"lower"}, False)
    np.testing.assert_array_equal(descend(np.ones(2)).data, [0.5, 1.5])
    np.testing.assert_array_equal(descend(x=np.ones(2), rate=1.5).data, [-1.0, 0.0])
    np.testing.assert_array_equal(w.data, [-1.0, 0.0])
    np.testing.assert_array_equal(doubled(np.ones(2)), [2.0, 2.0])
    np.testing.assert_array_equal(ad.compile(step=np.sin, state=())(0.0), 0.0)


def test_methods_are_compiled_for_each_object() -> None:
    one, other = Methods(), Methods()
    assert [one.step(0.5).item() for _ in range(3)] == [2.0, 1.0, 0.0]
    assert other.step(1.0).item() == 1.0
    np.testing.assert_array_equal(one.w.data, [-0.5, 0.5])
    np.testing.assert_array_equal(one.of_none(np.ones(2)), [2.0, 2.0])
    assert isinstance(Methods.method, ad.Compiled)


# What recording leaves as it was


def test_recording_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ad.compile(lambda x: np.log(np.exp(x)).mean())(ROWS)
    assert found == pytest.approx(ROWS.mean(), rel=1e-5)


# No text of the user's becomes code


RAN = "a_text_of_the_user_ran"
TEXTS = [
    *("", "x", "1st", "encoder.weight", "hidden weights", "lambda", "None", "match", "print", "input", "__import__"),
    *("__debug__", "np", "numpy", "build", "step", "part_1", "memory", "scipy", "autodiff", "c2", "i", "ﬁ", "ſ", "ªb"),
    *("θ_1", "२", "a'b", 'a"b', "a\\", '"""', "'''", "#", "{x}", "%s", "a, b", "a" * 300, "a " * 90, "'a, b' " * 40),
    *(f"{end}{code}" for end in ("", "\r", "\n", "\v", "\f", "\x85", "\u2028", "\u2029", "\0", "\ud800", '"""\n', "'\n")
      for code in (f"import builtins; builtins.{RAN} = 1 #", f"u: __import__('builtins').__dict__.update({RAN}=1)")),
]  # fmt: skip


def wordy_step(text: str, other: str) -> tuple[Any, Callable[..., Any], dict[str, Any]]:
    """Give state, step and arguments whose names, keys, options, classes and representations are texts."""

    class Wordy(nn.Module):
        def __init__(self) -> None:
            self.parts = {text: nn.Parameter(np.linspace(1, 2, 3)), other + "2": nn.Linear(3, 2, rng=0)}

        def forward(self, x: Any) -> Any:
            return self.parts[other + "2"]((x * self.parts[text]).astype(np.float32))

        def __repr__(self) -> str:
            return text

    def total(row: Any, word: str, *more: Any, **words: Any) -> Any:
        assert (word, *words) == (text, other)
        return row.sum()

    class Word(str):
        def __repr__(self) -> str:
            return str(self)

    total.__name__, total.__qualname__, total.__module__ = text, other, text
    with contextlib.suppress(ValueError):  # of a class, Python refuses some
        Wordy.__module__, Wordy.__name__, Wordy.__qualname__ = text, text, other
    model, w = Wordy(), Tensor(np.ones(3), name=text)

    def step(batch: Any, **others: Any) -> Any:
        w.grad = None
        for parameter in model.parameters():
            parameter.grad = None
        x = batch[other] * others[text]
        rows = np.apply_along_axis(total, 1, x, text, Word(other), Wordy, np.dtype(">f4"), 1j, **{other: 2})
        loss = (model(x * w) ** 2).sum() + (w * rows.sum()).sum()
        loss.backward()
        w.data = w.data - 0.01 * w.grad
        return {text: loss}

    step.__name__, step.__qualname__ = text, other
    return [model, {other: w}], step, {"batch": {other: X[:, :3]}, text: X[:1, :3]}


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@settings(max_examples=100, deadline=None, derandomize=True)
@given(texts=st.lists(st.sampled_from(TEXTS) | st.text(st.characters()), min_size=2, max_size=2))
def test_texts_of_the_user_are_names_or_quoted(backend: str, texts: list[str]) -> None:
    sources = []
    with pytest.MonkeyPatch.context() as patch:
        if backend == "numba":  # whose compiler would take long: here it is about the text
            patch.setattr(autodiff.compiler.bind.binding, "build_of", lambda source, *_: sources.append(source))
        _, eager, arguments = wordy_step(*texts)
        state, step, _ = wordy_step(*texts)
        compiled = ad.compile(step, state, backend=backend, exact=backend == "numpy")
        if backend == "numpy":
            for _ in range(3):
                np.testing.assert_equal(compiled(**arguments)[texts[0]].data, eager(**arguments)[texts[0]].data)
            sources.append(compiled.source)
        else:
            with pytest.raises(TypeError, match="not callable"):
                compiled(**arguments)
    assert not hasattr(builtins, RAN)
    nodes = [node for node in ast.walk(ast.parse(sources[0])) if not isinstance(node, ast.keyword)]
    words = {getattr(node, "id", getattr(node, "arg", None)) for node in nodes}
    assert not words & {RAN, "__import__", "builtins", "exec", "eval"}


# Shapes, and what is copied


@pytest.mark.parametrize(
    ("function", "change"),
    [(lambda x, t: np.repeat(x, t, axis=0), 3), (lambda x, t: x[t > 1], 5), (lambda x, t: np.delete(x, t, axis=0), 0)],
)
def test_what_says_the_size_of_a_result_stays_as_it_was(function: Callable[[Any, Any], Any], change: int) -> None:
    outside, rows = np.array([1, 2, 1]), X[:3]
    compiled = ad.compile(lambda x: function(x, outside) * 2)
    np.testing.assert_array_equal(compiled(rows), 2 * function(rows, outside))
    outside[0] = change
    with pytest.raises(RuntimeError, match=r"is given other contents of an array|compile again"):
        compiled(rows)
    with pytest.raises(TypeError, match=r"depends on values, and a program|taken out of the step"):
        ad.compile(function)(rows, outside)


def test_squares_of_booleans_are_of_the_dtype_that_numpy_gives_them() -> None:
    compiled = ad.compile(lambda x, y: (x**2, x**2 * y))
    for square in compiled(np.array([True, False]), np.ones(2, np.float32)), compiled(np.ones(3, bool), np.float32(2)):
        assert [one.dtype for one in square] == [np.int8, np.float32]


@pytest.mark.parametrize("check", [True, False])
def test_a_tensor_keeps_what_an_array_was(check: bool) -> None:
    w = np.zeros(2)

    def step(x: Any) -> Any:
        before, copied = Tensor(w), copy.copy(w)
        h = x * 3
        product = Tensor(h)
        w[...] = x
        h[...] = 0
        return before * 1, copied, product * 1

    compiled = ad.compile(step, w, check=check)
    for x, old in (([1.0, 2.0], [0.0, 0.0]), ([3.0, 4.0], [1.0, 2.0])):
        before, copied, product = compiled(np.array(x))
        np.testing.assert_array_equal(before.data, old)
        np.testing.assert_array_equal(copied, old)
        np.testing.assert_array_equal(product.data, 3 * np.array(x))


def test_arrays_without_axes_are_changed_in_place_and_given_as_numbers() -> None:
    w = np.array(1.0)

    def step(x: Any) -> Any:
        w[...] = x
        w[...] = w * 2
        return w, w

    compiled = ad.compile(step, w)
    results = [compiled(np.float64(x)) for x in (2.0, 3.0)]
    assert results == [(4.0, 4.0), (6.0, 6.0)]
    assert w == 6
    assert all(type(one) is np.float64 for pair in results for one in pair)


@pytest.mark.parametrize("check", [True, False])
def test_copyto_changes_the_state(check: bool) -> None:
    w, v = np.zeros(2), np.zeros(2)

    def step(x: Any) -> Any:
        np.copyto(w, x)
        np.copyto(v, x, where=x > 1)
        return w * v

    compiled = ad.compile(step, [w, v], check=check)
    for x, expected in (([0.0, 2.0], [0.0, 4.0]), ([3.0, 0.0], [9.0, 0.0])):
        np.testing.assert_array_equal(compiled(np.array(x)), expected)
    np.testing.assert_array_equal(w, [3, 0])
    np.testing.assert_array_equal(v, [3, 2])
    whole = np.zeros(2, int)
    with pytest.raises(TypeError, match="copyto: cannot cast from float64 to int64"):
        ad.compile(lambda x: np.copyto(whole, x), whole)(np.ones(2))
