"""The printed text of a program, and what its check finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autodiff.compiler.program import Call, Program, Value
from tests.compiler.notation import read

TEXT = """\
x: float32 (3, 4) = input
index: int64 = input
rate: float = input
w: float32 (4, 4) by axes (1, 0) = state
n: int = state
rng: Generator = state
table: float32 (4,) = constant
noise: float64 (3,) = random(rng, (3,))  # effect
more: float64 = random(rng)  # effect
sign: float32, size: float32 = np.linalg.slogdet(w)
row: float32 (2, 1) = operator.getitem(x, (index, slice(None, None, 2), None))
both: float32 (6, 4) = np.concatenate([x, x], axis=0)
wide: float64 (3, 4) = astype(x, np.dtype('float64'))
v1: float64 (3, 4) = np.multiply(wide, np.float64(nan))
new: float32 (4, 4) = np.add(w, table)
return noise, 2.5, sign, row
w becomes new
n becomes 3"""


def test_a_program_is_printed_as_it_is_read() -> None:
    program = read(TEXT)
    program.check()
    assert str(program) == TEXT
    shape, (x, index) = (2, 1), program.inputs[:2]
    (row,) = (call.output for call in program.calls if index in call.operands())
    assert (row.shape, row.dtype, row.is_array, x.name) == (shape, np.dtype("f4"), True, "x")


def test_names_are_names_and_no_two_alike() -> None:
    names = ["x", "x", "1st\nlayer", None, "v1", None, "x_2"]
    values = [Value("input", (), np.dtype("f8"), True, name) for name in names]
    lines = str(Program(values, [], [], [(values[0], "a\nb", np.float32, object())])).splitlines()
    assert [line.partition(":")[0] for line in lines[:-1]] == ["x", "x_2", "x_1st_layer", "v1", "v1_2", "v2", "x_2_2"]
    assert lines[-1] == "return (x, 'a\\nb', np.float32, <object>)"


def broken(change: Callable[[Program], Any]) -> Program:
    program = read(TEXT)
    change(program)
    return program


@pytest.mark.parametrize(
    ("line", "other", "message"),
    [
        ("wide: float64 (3, 4)", "wide: float64 (4, 3)", r"wide: float64 \(4, 3\) should be .*, in wide: .* = astype"),
        (
            "new: float32 (4, 4)",
            "new: float64 (4, 4)",
            r"new: float64 \(4, 4\) should be .*float32.*, in new: .* = np.add",
        ),
        ("row: float32 (2, 1)", "row: float32", r"row: float32 should be \(\(2, 1\)"),
        ("index: int64", "index: int64 ()", None),
        ("both: float32 (6, 4) = np.concatenate([x, x], axis=0)", "both: float32 (8,) = np.repeat(table, index)", None),
        (
            "size: float32",
            "size: float32, third: int64",
            r"sign: float32 should be \[\(\(\), .*\), \(\(\), .*\)\], in ",
        ),
        ("np.add(w, table)", "np.add(x, table)", r"new: float32 \(4, 4\) should be \(\(3, 4\)"),
        ("np.add(w, table)", "np.matmul(x, x)", r"new: float32 \(4, 4\) cannot be computed"),
        ("np.add(w, table)", "np.copyto(table, w)", r"new: float32 \(4, 4\) cannot be computed"),
        ("w becomes new", "w becomes wide", r"wide: float64 \(3, 4\) is what .* becomes"),
        ("n becomes 3", "n becomes 3.5", r"3.5 is what .* becomes"),
    ],
)
def test_values_of_another_form_are_found(line: str, other: str, message: str | None) -> None:
    program = read(TEXT.replace(line, other))
    if message is None:
        return program.check()
    with pytest.raises(ValueError, match=message):
        program.check()


def swapped(program: Program, one: int, other: int) -> None:
    program.calls[one], program.calls[other] = program.calls[other], program.calls[one]


def of_other_data(program: Program) -> None:
    (table,) = (value for call in program.calls for value in call.operands() if value.kind == "constant")
    table.data = np.ones(4)


OTHER = Value("call", (3,), np.dtype("f8"), True, "other")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda program: swapped(program, 5, 6), r"wide: float64 \(3, 4\) is used before it is made, in v1: "),
        (lambda program: program.calls.append(program.calls[2]), "sign: float32 is made twice, in sign: "),
        (lambda program: program.calls.append(Call(np.tanh, (1.0,), {}, [program.inputs[0]])), "x: .* is made twice"),
        (lambda program: program.results.append(OTHER), r"other: float64 \(3,\) is wanted at the end and never made"),
        (lambda program: swapped(program, 0, 1), r"noise: float64 \(3,\) has its effect too late, in noise: "),
        (of_other_data, r"table: float32 \(4,\) has other data, in new: "),
    ],
)
def test_what_is_no_program_is_found(change: Callable[[Program], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        broken(change).check()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda program: program.calls.pop(0), "effects"),
        (lambda program: program.inputs.pop(), "inputs"),
        (lambda program: program.state.append(program.state[0]), "state"),
        (lambda program: program.results.pop(), "results"),
        (lambda program: program.results.__setitem__(1, np.float64(2.5)), "results"),
    ],
)
def test_what_a_simplification_may_not_change_is_found(change: Callable[[Program], Any], what: str) -> None:
    before = read(TEXT.replace("return noise, ", "return "))
    after = Program([*before.inputs], [*before.state], [*before.calls], [*before.results])
    after.check(before)
    change(after)
    with pytest.raises(ValueError, match=f"the program has other {what}"):
        after.check(before)
