"""Programs of a few lines laid out for NumPy: which calls write into memory that is there, and into which."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor
from autodiff.arrays.whole import require
from autodiff.compiler.plan.memory import Layout
from autodiff.compiler.plan.plan import plan
from autodiff.compiler.program import Call, Value
from tests.compiler.notation import read


def laid_out(text: str, exact: bool = False) -> Layout:
    """Plan a program for NumPy, and see that it is right."""
    layout = plan(read(text), "numpy", exact)
    assert isinstance(layout, Layout)
    layout.check()
    return layout


def kept(layout: Layout) -> dict[Any, Any]:
    """Say of what is written into memory, which buffer or array of the state it is in."""
    return {value.name: home.value.name for value, home in layout.home.items() if value.kind == "call"}


CHAIN = """
    x: float64 (100, 100) = input
    a: float64 (100, 100) = np.exp(x)
    b: float64 (100, 100) = np.multiply(a, a)
    c: float64 (100, 100) = np.matmul(b, b)
    d: float64 (100, 100) = np.matmul(c, c)
    e: float64 = np.add.reduce(d, axis=None)
    return e
"""
UPDATE = """
    x: float64 (3,) = input
    w: float64 (3,) = state
    a: float64 (3,) = np.multiply(w, x)
    new: float64 (3,) = np.subtract(w, a)
    again: float64 (3,) = np.multiply(w, 2.0)
    b: float64 = np.add.reduce(again)
    w becomes new
    return b
"""


def test_what_is_read_last_is_written_over_and_large_buffers_are_used_again() -> None:
    layout = laid_out(CHAIN)
    assert kept(layout) == {"a": "a", "b": "a", "c": "c", "d": "a"}
    assert [buffer.value.name for buffer in layout.buffers] == ["a", "c"]


def test_results_and_what_they_show_are_made_anew() -> None:
    layout = laid_out(CHAIN.replace("return e", "f: float64 (100,) = operator.getitem(d, 0)\n    return f"))
    assert "d" not in kept(layout)


def test_the_state_is_written_into_once_it_is_not_read_any_more() -> None:
    assert kept(laid_out(UPDATE)) == {"a": "a", "new": "a", "again": "w"}
    (copy,) = laid_out(UPDATE).copies
    assert [value.name for value in copy] == ["w", "new"]
    early = laid_out(UPDATE.replace("again: float64 (3,) = np.multiply(w", "again: float64 (3,) = np.multiply(x"))
    assert kept(early)["new"] == "w"
    assert early.copies == []
    assert {value.name for value in early.late} == {"x"}  # which must not show the state, being read after it


WRITES = """
    x: float64 (3,) = input
    h: float64 (3,) = state
    first: float64 (3,) = updated(h, slice(None, None, None), x)
    second: float64 (3,) = updated(first, slice(1, 3, None), 2.0)
    ends: float64 (2,) = operator.getitem(second, slice(1, None, None))
    moved: float64 (3,) = updated(second, slice(0, 2, None), ends)
    doubled: float64 (3,) = updated(moved, slice(None, None, -1), moved)
    h becomes doubled
    return x
"""


def test_elements_are_replaced_where_they_are_unless_what_is_written_lies_there_too() -> None:
    homes = kept(laid_out(WRITES))
    assert homes["first"] == homes["second"] == "h"
    assert homes["moved"] != "h"
    assert homes["doubled"] == "h"


def test_a_step_that_writes_into_its_state_copies_none_of_it() -> None:
    def step_of(total: Any) -> Any:
        def step(x: Any) -> Any:
            total[0] += x[1]
            total[1:] = total[1:] * x[:2]
            return x.sum()

        return step

    total, expected, x = np.arange(3.0), np.arange(3.0), np.arange(1.0, 4.0)
    compiled, step = ad.compile(step_of(total), state=total, exact=True), step_of(expected)
    for _ in range(2):
        compiled(x)
        step(x)
        np.testing.assert_array_equal(total, expected)
    assert "copy" not in compiled.source


def test_a_check_that_fails_finds_the_state_as_it_was() -> None:
    program = read("""
        x: float64 (3,) = input
        w: float64 (3,) = state
        new: float64 (3,) = np.subtract(w, x)
        fine: bool = np.all(x)
        w becomes new
    """)
    assert plan(program, "numpy").copies == []
    none = Value.of(None, "call")
    program.calls.append(Call(require, (program.calls[-1].output, ValueError, "wrong"), {}, [none], effect=True))
    layout = plan(program, "numpy")
    layout.check()
    (copy,) = layout.copies
    assert [value.name for value in copy] == ["w", "new"]
    layout.calls.pop()
    with pytest.raises(ValueError, match="calls with effects are left out, or not in order"):
        layout.check()


def test_views_of_what_stays_are_made_once() -> None:
    layout = laid_out("""
        x: float64 (4, 3) = input
        w: float64 (3, 2) = state
        turned: float64 (2, 3) = np.transpose(w)
        a: float64 (3, 4) = np.transpose(x)
        b: float64 (2, 4) = np.matmul(turned, a)
        c: float64 = np.add.reduce(b, axis=None)
        return c
    """)
    assert [call.output.name for call in layout.once] == ["turned"]
    assert [call.output.name for call in layout.calls] == ["a", "b", "c"]


def test_short_rows_that_are_reduced_lie_in_columns_unless_bits_count() -> None:
    text = """
        x: float64 (40, 5) = input
        w: float64 (5, 3) = state
        a: float64 (40, 3) = np.matmul(x, w)
        b: float64 (40, 3) = np.exp(a)
        c: float64 (40,) = np.add.reduce(b, axis=1)
        d: float64 = np.add.reduce(c)
        return d
    """
    layout = laid_out(text)
    assert [buffer.axes for buffer in layout.buffers] == [(1, 0), None]
    assert not any(buffer.axes for buffer in laid_out(text, exact=True).buffers)


def test_a_view_of_the_state_that_is_copied_into_the_state_is_kept() -> None:
    layout = laid_out("""
        a: float64 (2, 2) = state
        b: float64 (2, 2) = state
        of_a: float64 (2, 2) = np.transpose(a)
        of_b: float64 (2, 2) = np.transpose(b)
        a becomes of_b
        b becomes of_a
    """)
    assert {value.name for value in layout.kept} == {"of_a", "of_b"}
    one, other = Tensor(np.arange(4.0).reshape(2, 2)), Tensor(np.ones((2, 2)))

    def swap() -> None:
        one.data, other.data = other.data.T, one.data.T

    compiled = ad.compile(swap, [one, other])
    for _ in range(3):
        compiled()
    np.testing.assert_array_equal(one.data, np.ones((2, 2)))
    np.testing.assert_array_equal(other.data, np.arange(4.0).reshape(2, 2).T)


def test_a_layout_is_printed() -> None:
    assert str(laid_out(UPDATE)) == dedent("""\
        input x: float64 (3,)
        state w: float64 (3,)
        memory a: float64 (3,)
        a = np.multiply(w, x)  # in a
        new = np.subtract(w, a)  # in a
        again = np.multiply(w, 2.0)  # in w
        b = np.add.reduce(again)
        copy new into w
        return b""")


def overwritten(layout: Layout) -> None:
    layout.home |= {value: layout.buffers[0] for value in layout.home if value.name == "c"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda layout: layout.calls.reverse(), "d is read before it is computed"),
        (lambda layout: layout.calls.append(layout.calls[0]), "a is computed twice"),
        (overwritten, "c is written over b, which is still needed"),
        (lambda layout: layout.calls.pop(), "e is read before it is computed"),
    ],
)
def test_what_is_wrong_with_a_layout_is_found(damage: Any, message: str) -> None:
    layout = laid_out(CHAIN)
    damage(layout)
    with pytest.raises(ValueError, match=message):
        layout.check()


def test_state_that_does_not_change_is_found() -> None:
    layout = laid_out(UPDATE)
    layout.copies.clear()
    with pytest.raises(ValueError, match="w does not become new"):
        layout.check()


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.sum(np.sum(x[..., ::2], axis=1, keepdims=True)),
        lambda x: np.sum(x.T.copy()),
        lambda x: np.sum(np.tanh(x).copy()),
        ad.value_and_grad(lambda x: np.sum(np.tanh(x))),
        ad.grad(lambda x: np.sum(np.sin(ad.grad(lambda y: np.sum(np.einsum("ijkl,ijml->mj", y.T, y.T) ** 2))(x)))),
    ],
)
def test_sums_are_taken_in_the_order_of_the_step(function: Callable[[Any], Any]) -> None:
    compiled = ad.compile(function, exact=True, check=False)
    rng = np.random.default_rng(0)
    for _ in range(20):
        x = np.asfortranarray(rng.standard_normal((3, 4, 5, 7)))
        np.testing.assert_equal(compiled(x), function(x))
