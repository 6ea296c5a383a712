"""Programs of a few lines planned for machine code: which calls share a loop, and what lies in memory."""

from __future__ import annotations

import operator
from collections.abc import Callable
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

from autodiff.compiler.plan.elements import Elements, Index
from autodiff.compiler.plan.loops import LoopProgram, Part
from autodiff.compiler.plan.nest import Loop
from autodiff.compiler.plan.plan import plan
from autodiff.compiler.program import Call, Program, Value
from tests.compiler.notation import read


def planned(text: str) -> LoopProgram:
    """Plan a program for machine code, and see that it is right."""
    loops = plan(read(text), "numba")
    assert isinstance(loops, LoopProgram)
    loops.check()
    return loops


def names(values: Any) -> set[Any]:
    return {value.name for value in values}


def items(loops: LoopProgram) -> list[Any]:
    """List what each loop computes, and the single calls."""
    done = (item for part in loops.parts for item in part.items)
    return [
        [value.name for value in item.where] if isinstance(item, Loop) else f"{item.output.name} alone" for item in done
    ]


def kept(loops: LoopProgram) -> dict[Any, Any]:
    """Say of what lies in memory, but the state, which buffer or array of the state it is in."""
    return {value.name: home.value.name for value, home in loops.home.items() if value.kind == "call"}


CHAIN = """
    x: float64 (3, 4) = input
    a: float64 (3, 4) = np.exp(x)
    b: float64 (3, 4) = np.multiply(a, a)
    c: float64 (3, 4) = np.add(b, x)
    return c
"""
SOFTMAX = """
    x: float64 (8, 100) = input
    largest: float64 (8,) = np.maximum.reduce(x, axis=1)
    column: float64 (8, 1) = np.expand_dims(largest, 1)
    shifted: float64 (8, 100) = np.subtract(x, column)
    power: float64 (8, 100) = np.exp(shifted)
    total: float64 (8,) = np.add.reduce(power, axis=1)
    below: float64 (8, 1) = np.expand_dims(total, 1)
    share: float64 (8, 100) = np.divide(power, below)
    return share
"""
PRODUCT = """
    x: float64 (8, 5) = input
    w: float64 (5, 3) = state
    a: float64 (8, 5) = np.tanh(x)
    b: float64 (8, 3) = np.matmul(a, w)
    c: float64 (8, 3) = np.tanh(b)
    turned: float64 (5, 8) = np.transpose(a)
    d: float64 (5, 3) = np.matmul(turned, c)
    new: float64 (5, 3) = np.subtract(w, d)
    w becomes new
"""
NUMBERS = """
    x: float64 (8,) = input
    total: float64 = np.add.reduce(x)
    sorted: float64 (8,) = np.sort(x)
    root: float64 = np.linalg.norm(sorted, total)
    return root
"""


def test_a_chain_is_one_loop_and_only_its_end_lies_in_memory() -> None:
    loops = planned(CHAIN)
    assert items(loops) == [["a", "b", "c"]]
    assert kept(loops) == {"c": "c"}
    (loop,) = loops.parts[0].items
    assert loop in loops.flat  # as all runs through whole arrays


def test_a_reduction_of_rows_parts_inner_loops_of_one_nest() -> None:
    loops = planned(SOFTMAX)
    assert items(loops) == [["largest", "shifted", "power", "total", "share"]]
    (loop,) = loops.parts[0].items
    assert isinstance(loop, Loop)
    assert {value.name: (loop.level[value], loop.turn[value]) for value in loop.where} == {
        "largest": ("row", 0), "shifted": ("element", 1), "power": ("element", 1), "total": ("row", 1),
        "share": ("element", 2),
    }  # fmt: skip
    assert names(loops.rows) == {"power"}  # which the last inner loop reads, of one row at a time
    assert [buffer.value.shape for buffer in loops.rows.values()] == [(100,)]
    assert kept(loops) == {"share": "share"}


def test_polynomials_of_short_rows_have_a_loop_over_all_rows() -> None:
    assert items(planned(SOFTMAX.replace("100", "10"))) == [["largest", "shifted"], ["power"], ["total", "share"]]


def test_a_product_parts_loops_and_finds_whole_matrices() -> None:
    loops = planned(PRODUCT)
    assert items(loops) == [["a"], "b alone", ["c"], "d alone", ["new"]]
    assert kept(loops) == {"a": "a", "b": "b", "c": "b", "d": "d", "new": "w"}  # c over b, which is read last
    parts = planned("x: float64 (8, 5) = input\na: float64 (5, 5) = operator.getitem(x, slice(0, 5))\n"
                    "b: float64 (5, 5) = np.matmul(a, a)\nreturn b")  # fmt: skip
    assert [call.function for call in parts.program.calls] == [operator.getitem, np.copy, np.matmul]


@pytest.mark.parametrize(("size", "is_shared"), [(100, True), (50, False)])
def test_large_buffers_are_used_again(size: int, is_shared: bool) -> None:
    shape = f"float64 ({size}, {size})"
    loops = planned(f"""
        x: {shape} = input
        a: {shape} = np.matmul(x, x)
        b: {shape} = np.matmul(a, a)
        c: {shape} = np.matmul(b, b)
        return c
    """)
    assert kept(loops) == {"a": "a", "b": "b", "c": "a" if is_shared else "c"}


def test_an_update_is_written_into_the_state_where_it_is_read_last() -> None:
    update = """
        x: float64 (4,) = input
        w: float64 (4,) = state
        new: float64 (4,) = np.subtract(w, x)
        again: float64 (4,) = np.multiply(w, new)
        w becomes new
        return again
    """
    loops = planned(update)
    assert items(loops) == [["new", "again"]]
    assert kept(loops) == {"new": "w", "again": "again"}
    assert loops.copies == []
    reversed_ = update.replace("np.multiply(w, new)", "np.multiply(turned, new)").replace(
        "        new:", "        turned: float64 (4,) = operator.getitem(w, slice(None, None, -1))\n        new:"
    )
    loops = planned(reversed_)  # which reads elements after others were written
    assert kept(loops)["new"] == "new"
    assert [(before.name, after.name) for before, after in loops.copies] == [("w", "new")]


def test_arrays_that_change_places_are_copied_at_the_end() -> None:
    loops = planned("a: float64 (3,) = state\nb: float64 (3,) = state\na becomes b\nb becomes a")
    assert [(before.name, after.name) for before, after in loops.copies] == [("a", "b"), ("b", "a")]
    assert names(loops.kept) == {"a", "b"}


def test_elements_at_computed_places_are_taken_after_the_loop_that_computes_them() -> None:
    loops = planned("""
        x: float64 (8, 100) = input
        labels: int64 (8,) = input
        rows: int64 (8,) = constant
        a: float64 (8, 100) = np.negative(x)
        largest: float64 (8,) = np.maximum.reduce(a, axis=1)
        picked: float64 (8,) = operator.getitem(a, (rows, labels))
        loss: float64 (8,) = np.subtract(largest, picked)
        return loss
    """)
    assert items(loops) == [["a", "largest"], ["picked", "loss"]]
    assert kept(loops) == {"a": "a", "largest": "largest", "loss": "largest"}


def test_numbers_that_another_part_reads_are_handed_over() -> None:
    loops = planned(NUMBERS)
    assert [part.in_machine for part in loops.parts] == [False, True, False]
    assert names(loops.crossing) == {"total"}


def test_the_sum_of_a_row_that_is_broadcast_counts_it_for_each_element() -> None:
    loops = planned("""
        x: float64 (8, 100) = input
        sums: float64 (8,) = np.add.reduce(x, axis=1)
        total: float64 (8, 1) = np.expand_dims(sums, 1)
        wide: float64 (8, 100) = np.broadcast_to(total, (8, 100))
        all: float64 = np.add.reduce(wide, axis=None)
        return all
    """)
    (loop,) = loops.parts[0].items
    assert isinstance(loop, Loop)
    assert names(call.output for call in loop.calls if call not in loop.of_rows) == {"sums", "all"}


@pytest.mark.parametrize(
    ("shape", "show"),
    [
        ((4, 5), lambda x: x.T),
        ((4, 5), lambda x: x[::-1, 1:4]),
        ((4, 5), lambda x: x[-2, ..., None]),
        ((1, 5), lambda x: np.broadcast_to(x, (3, 4, 5))),
        ((4, 1, 5), lambda x: np.squeeze(x, 1)[:, ::-2]),
        ((2, 3, 4), lambda x: np.moveaxis(x, 0, -1)[1]),
    ],
)
def test_a_view_is_looked_through(shape: tuple[int, ...], show: Callable[[Any], Any]) -> None:
    calls: list[Call] = []
    source = Value("input", shape, np.dtype(float), True)

    class Noting:
        """An array that notes how views are made of it."""

        def __init__(self, value: Value, data: Any) -> None:
            self.value, self.data = value, data

        def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
            return self.note(function, *args[1:], **kwargs)

        def __getitem__(self, index: Any) -> Any:
            return self.note(operator.getitem, index)

        @property
        def T(self) -> Any:  # noqa: N802 (as of an array)
            return self.note(np.transpose)

        def note(self, function: Any, *args: Any, **kwargs: Any) -> Any:
            data = function(self.data, *args, **kwargs)
            calls.append(Call(function, (self.value, *args), kwargs, [Value.of(data, "call")]))
            return Noting(calls[-1].output, data)

    data = np.arange(float(np.prod(shape))).reshape(shape)
    shown = show(Noting(source, data))
    root, indices = Elements(Program([source], [], calls)).look(
        shown.value, tuple(Index(axis) for axis in range(shown.data.ndim))
    )
    assert root is source
    for place in np.ndindex(shown.data.shape):
        found = tuple(one.start + (0 if one.axis is None else one.step * place[one.axis]) for one in indices)
        assert data[found] == shown.data[place]


# Printing and checking


def test_a_loop_program_is_printed() -> None:
    assert str(planned(SOFTMAX)) == dedent("""\
        input x: float64 (8, 100)
        memory m8: float64 (100,)
        memory share: float64 (8, 100)
        part 1, machine code:
            for i < 8:
                for j < 100:
                    largest[i] = np.maximum.reduce(x[i, j], axis=1)
                for j < 100:
                    shifted[i, j] = np.subtract(x[i, j], largest[i])
                    power[i, j] = np.exp(shifted[i, j])  # in m8, a row
                    total[i] = np.add.reduce(power[i, j], axis=1)
                for j < 100:
                    share[i, j] = np.divide(power[i, j], total[i])  # in share
        return share""")


def at_once(loops: LoopProgram) -> None:
    (loop,) = loops.parts[0].items
    assert isinstance(loop, Loop)
    loop.turn = dict.fromkeys(loop.turn, 0)


def without_rows(loops: LoopProgram) -> None:
    loops.rows.clear()


def without_home(loops: LoopProgram) -> None:
    del loops.home[next(value for value in loops.home if value.name == "a")]


def one_buffer(loops: LoopProgram) -> None:
    for value in [value for value in loops.home if value.kind == "call"]:
        loops.home[value] = loops.buffers[0]


def backwards(loops: LoopProgram) -> None:
    loops.parts[0].items.reverse()


def twice(loops: LoopProgram) -> None:
    loops.parts.append(Part(True, loops.parts[0].items[:1]))


def not_handed_over(loops: LoopProgram) -> None:
    loops.crossing.clear()


def without_result(loops: LoopProgram) -> None:
    del loops.home[loops.program.results[0]]


def not_written(loops: LoopProgram) -> None:
    del loops.parts[0].items[-1]


@pytest.mark.parametrize(
    ("text", "damage", "message"),
    [
        (SOFTMAX, at_once, "largest is read before it is computed"),
        (SOFTMAX, without_rows, "power is read in a later inner loop, and is not kept"),
        (CHAIN, without_result, "c is read from memory, and has none"),
        (NUMBERS, not_handed_over, "total is read from memory, and has none"),
        (PRODUCT, without_home, "a is read from memory, and has none"),
        (PRODUCT, one_buffer, "b is written over a, which is still needed"),
        (PRODUCT, backwards, "d is read before it is computed"),
        (PRODUCT, twice, "a is computed twice"),
        (PRODUCT, not_written, "new is read before it is computed"),
    ],
)
def test_what_is_wrong_with_a_loop_program_is_found(text: str, damage: Any, message: str) -> None:
    loops = planned(text)
    damage(loops)
    with pytest.raises(ValueError, match=message):
        loops.check()
