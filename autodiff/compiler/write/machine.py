"""The source text of a program in machine code: loops over elements, which Numba compiles, and NumPy between them."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import operator
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from autodiff.arrays.whole import require
from autodiff.compiler.plan.elements import (
    TEMPLATES,
    Elements,
    Index,
    Indices,
    copies_for_products,
    loop_types,
    reduced_axes,
    reduced_by,
)
from autodiff.compiler.plan.fusion import Loop, is_counted, parts_of
from autodiff.compiler.plan.memory import Layout, made_once, may_view
from autodiff.compiler.plan.placing import is_flat, place
from autodiff.compiler.program import Call, Program, Value
from autodiff.compiler.record.log import Log
from autodiff.compiler.record.recorder import UFUNCS
from autodiff.compiler.simplify.rounding import added_product
from autodiff.compiler.write.source import LONGEST, Writer, wrapped
from autodiff.core.tensor import astype
from autodiff.files import write_atomically

LETTERS = "ijklmn"
FROM_TO = ("first", "last")  # the bounds of a loop that is shared out among threads
MANY = 1024  # float32 numbers whose sum is taken in float64


class MachineWriter(Writer):
    """Writes the source of one program for Numba.

    Sums of many numbers are taken in another order than NumPy's, ``exp`` and ``tanh`` are others, and an update of a
    matrix is one call of BLAS: results are those of the step within rounding.

    Args:
        program: the program.
        called: the name of the step.
        log: who was at work while the program was recorded, for the comments.
    """

    def __init__(self, program: Program, called: str, log: Log) -> None:
        program = copies_for_products(program)
        once = made_once(program)
        self._elements = Elements(program, {output for call in once for output in call.outputs})
        self._parts = parts_of(program, self._elements, once)
        self._placing = place(program, self._elements, self._parts)
        placing = self._placing
        layout = Layout(once=list(once), calls=list(program.calls), buffers=placing.buffers, late=placing.late)
        super().__init__(program, layout, called, log)
        self._once = once
        self._inlined = set()
        self._step: list[str] = []
        self._functions: list[str] = []
        self._in_memory: dict[Any, str] = {}  # what machine code finds by its address
        self._shown: set[Value] = {value for call in once for value in call.outputs}
        self._kernels: set[str] = set()

    def source(self) -> str:
        """Give the text of the module: the functions in machine code, ``build``, and in it ``step``."""
        self._in_use |= {*LETTERS, "addresses", "memory", "njit", "exp", "tanh", "plus", "checked", "array_at"}
        self._in_use |= {"add_product", "Memory", "on_contiguous", "failed", "size", "in_threads", "first", "last"}
        self._name_given()
        for value, buffer in self._placing.rows.items():
            buffer.value.name = f"{self._wish(value, self._elements.makers[value])}_row"
        for buffer in self._layout.buffers:
            self._allocate(buffer)
        for value, home in (*self._placing.home.items(), *self._placing.rows.items()):
            self._names[value] = self._names[home.value if home.value.kind == "state" else home]
        for call in self._layout.calls:
            if call in self._once:
                self._fixed += self._statement(call)
        crossing = self._crossing()
        for number, part in enumerate(self._parts, start=1):
            if part.in_machine:
                name = self._name(object(), f"part_{number}")
                function = _MachineFunction(self, name, crossing, part.in_threads)
                self._functions += ["", "", *function.lines(part.items)]
                self._step += function.call()
            else:
                for call in part.calls():
                    self._show(call.operands())
                    self._add_comment(call)
                    self._state(call)
        self._finish()
        return self._assembled()

    def _state(self, call: Call) -> None:
        """Write a call that Python makes, and what must stand before it."""
        statement = self._statement(call)
        self._step += [*self._before, *statement]
        self._before.clear()

    def _add_comment(self, call: Call) -> None:
        comment = self._comment(call)
        if comment and f"# {comment}" not in self._step:
            self._step.append(f"# {comment}")

    def _crossing(self) -> set[Value]:
        """Find the numbers that machine code computes and that Python, or another function, reads."""
        inside: dict[Value, int] = {}
        crossing: set[Value] = set()
        for number, part in enumerate(self._parts):
            for item in part.items:
                calls = item.calls if isinstance(item, Loop) else [item]
                for call in calls:
                    for value in call.operands():
                        root = self._elements.root(value)
                        is_shown = call.function is require and value in call.args[3:]
                        if root in inside and (inside[root] != number or is_shown):
                            crossing.add(root)
                    if part.in_machine:
                        inside |= {output: number for output in call.outputs if not output.is_array}
        outcomes = {self._elements.root(value) for value in self._program.outcomes() if isinstance(value, Value)}
        crossing |= {value for value in outcomes if value in inside}
        for value in inside:  # in order: other names would be another program, for which there is no file yet
            if value not in crossing:
                continue
            name = self._name(("number", value), self._wish(value, self._elements.makers[value]))
            self._fixed.append(f"{name} = np.empty(1, {self._dtype(value.dtype)})")
            self._names[value] = f"{name}[0]"
        return crossing

    def _show(self, values: Any) -> None:
        """Make the views that Python needs."""
        for value in values:
            if self._elements.kind_of(value) in ("view", "reshaped") and value not in self._shown:
                self._shown.add(value)
                call = self._elements.makers[value]
                self._show(call.operands())
                self._state(call)

    def _finish(self) -> None:
        """Write what is copied into the state, and what is returned."""
        self._show(value for value in self._program.outcomes() if isinstance(value, Value))
        texts = [self._result(value) for value in self._program.results]
        pending = self._placing.copies
        if pending:
            for position, text in enumerate(texts):
                if text.endswith(".copy()"):
                    texts[position] = self._name(object(), "result")
                    self._step.append(f"{texts[position]} = {text}")
        copies = {}
        for _, after in pending:
            home = self._placing.home.get(self._elements.root(after))
            if home is not None and home.value.kind == "state":
                copies[after] = self._name(object(), "kept")
                self._step.append(f"{copies[after]} = {self._text(after)}.copy()")
        self._step += [
            f"{self._names[before]}[...] = {copies.get(after) or self._text(after)}" for before, after in pending
        ]
        texts += [self._text(value) for value in self.changed_numbers]
        self._step.append(f"return {', '.join(texts)}{',' if len(texts) == 1 else ''}" if texts else "return ()")

    def _result(self, value: Any) -> str:
        text = self._text(value)
        if not isinstance(value, Value) or not value.is_array:
            return text
        maker = self._elements.makers.get(value)
        is_new = maker is not None and value not in self._placing.home and not may_view(maker)
        return text if is_new and maker not in self._once else f"{text}.copy()"

    def _assembled(self) -> str:
        parameters = ", ".join(self._names[value] for value in (*self._program.inputs, *self.numbers))
        arguments = ", ".join(self._build_arguments())
        addressed = [f"memory = Memory({', '.join(self._in_memory.values())})"] if self._functions else []
        imports = set(self.imports)
        if self._functions:
            imports |= {"from numba import njit"}
            self._kernels |= {"Memory", "array_at", "size"}
        self._kernels.add("on_contiguous")
        return "\n".join(
            [
                *sorted(imports, key=lambda line: (line != "import numpy as np", line)),
                "",
                f"from autodiff.compiler.kernels import {', '.join(sorted(self._kernels))}",
                *self._functions,
                "",
                "",
                "@on_contiguous",
                *wrapped(f"def build({arguments}):"),
                *(f"    {line}".rstrip() for line in self._docstring()),
                *("    " + line for line in self._fixed),
                *("    " + line for text in addressed for line in wrapped(text)),
                "",
                *("    " + line for line in wrapped(f"def step({parameters}):")),
                *("        " + line for line in self._step),
                "",
                "    return step",
                "",
            ]
        )

    def address(self, key: Any, name: str) -> int:
        """Give the number of an array among the addresses."""
        self._in_memory.setdefault(key, name)
        return list(self._in_memory).index(key) + 2


def cached_module(source: str) -> ModuleType:
    """Import a source from a file of its own, beside which Numba keeps its machine code for the next process.

    The files lie in the folder that the environment variable ``AUTODIFF_CACHE_DIR`` names, by default
    ``~/.cache/autodiff``, or in one for temporary files where that cannot be written.
    """
    called = Path(__file__).parents[1].joinpath("kernels.py").read_bytes()
    digest = hashlib.sha256(called + source.encode()).hexdigest()[:32]
    path = _cache_folder() / f"autodiff_program_{digest}.py"
    if not path.exists():
        write_atomically(path, source.encode())
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"compile: cannot import {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where Numba looks for it
    spec.loader.exec_module(module)
    return module


def _cache_folder() -> Path:
    wish = Path(os.environ.get("AUTODIFF_CACHE_DIR") or Path.home() / ".cache" / "autodiff")
    try:
        wish.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="autodiff-"))
    return wish if os.access(wish, os.W_OK) else Path(tempfile.mkdtemp(prefix="autodiff-"))


class _MachineFunction:
    """Writes one function in machine code."""

    def __init__(self, writer: MachineWriter, name: str, crossing: set[Value], in_threads: bool) -> None:
        self._writer = writer
        self.in_threads = in_threads
        self.rounds = 0  # of the loop that is shared out among threads
        self._elements = writer._elements
        self._placing = writer._placing
        self._title = name
        self._crossing = crossing
        self._here: dict[Value, str] = {}  # numbers that are computed in this function
        self._arrays: dict[Any, tuple[str, str]] = {}  # arrays in memory: name, how it is made
        self._parameters: dict[Value, str] = {}
        self._shapes: list[str] = []
        self._failures: list[Call] = []
        self._body: list[str] = []
        self._comment = ""

    def lines(self, items: Sequence[Loop | Call]) -> list[str]:
        """Write the function."""
        for item in items:
            if isinstance(item, Loop):
                self._say(item.calls)
                self._body += _LoopText(self, item).lines()
                computed = [value for value in item.where if not value.is_array]
            else:
                self._say([item])
                self._body += self._single(item)
                computed = [output for output in item.outputs if not output.is_array]
            for value in computed:
                if value in self._crossing:
                    key = "number", value
                    holder = self.array(key, self._writer._names[key], (1,), value.dtype)
                    self._body.append(f"{holder}[0] = {self._here[value]}")
        names = list(self._parameters.values())
        opening = []
        if self._arrays:
            opening = [f"addresses = array_at(memory, ({len(self._writer._in_memory) + 2},), np.uint64)"]
        opening += [f"{name} = {view}" for name, view in self._arrays.values()]
        for value, name in self._parameters.items():
            if value.shape:
                opening.append(f"{name} = np.ascontiguousarray({name})")
        end = ["return 0"] if self._failures else []
        return [
            '@njit(error_model="numpy", nogil=True, cache=True)',
            *wrapped(f"def {self._title}({', '.join([*(FROM_TO if self.in_threads else ()), 'memory', *names])}):"),
            *("    " + line for line in (*opening, *self._shapes, *self._body, *end)),
        ]

    def call(self) -> list[str]:
        """Write how ``step`` calls the function."""
        arguments = ", ".join(["memory.address", *(self._writer._names[value] for value in self._parameters)])
        if self.in_threads:
            self._writer._kernels.add("in_threads")
            return wrapped(f"in_threads({self._title}, {self.rounds}, {arguments})")
        if not self._failures:
            return wrapped(f"{self._title}({arguments})")
        lines = wrapped(f"failed = {self._title}({arguments})")
        for number, call in enumerate(self._failures, start=1):
            lines += [f"if failed == {number}:", *self._writer._statement(call)[1:]]
        return lines

    def _say(self, calls: list[Call]) -> None:
        comment = " · ".join(dict.fromkeys(filter(None, map(self._writer._comment, calls))))
        if comment and comment != self._comment:
            self._body.append(f"# {comment}")
            self._comment = comment

    def array(self, key: Any, name: str, shape: tuple[int, ...], dtype: Any) -> str:
        """Give the name of an array in memory, and see that the function has it."""
        if key not in self._arrays:
            number = self._writer.address(key, name)
            view = f"array_at(addresses[{number}], {shape or (1,)}, {self._writer._dtype(dtype)})"
            self._arrays[key] = name, view
        return name

    def memory(self, value: Value) -> str:
        """Give the name of an array that a value is."""
        if self._elements.kind_of(value) == "reshaped":
            key = self._title, value, "reshaped"
            if key not in self._writer._names:
                text = f"{self.memory(self._elements.root(value))}.reshape({value.shape})"
                self._shapes.append(f"{self._writer._name(key, 'reshaped')} = {text}")
            return self._writer._names[key]
        home = self._placing.home.get(value)
        if home is not None:
            return self.array(home, self._writer._names[value], home.value.shape, home.value.dtype)
        row = self._placing.rows.get(value)
        if row is not None:
            return self.array(row, self._writer._names[value], row.value.shape, row.value.dtype)
        if value in self._writer._shown or value.kind == "constant":
            return self.array(value, self._writer._names[value], value.shape, value.dtype)
        self._parameters[value] = self._writer._names[value]
        return self._parameters[value]

    def number(self, value: Value) -> str:
        """Give the name of a number."""
        if value in self._here:
            return self._here[value]
        if value not in self._parameters:
            wish = self._writer._wish(value, self._elements.makers.get(value))
            is_elsewhere = value in self._crossing
            name = self._writer._name((self._title, value), wish) if is_elsewhere else self._writer._names[value]
            self._parameters[value] = name
        return self._parameters[value]

    def local(self, value: Value, wish: str) -> str:
        """Name a number that the function computes."""
        name = self._here[value] = self._writer._name((self._title, value), wish)
        self._writer._names.setdefault(value, name)
        return name

    def _single(self, call: Call) -> list[str]:
        if call.function is require:
            self._failures.append(call)
            return [f"if not {self.number(call.args[0])}:", f"    return {len(self._failures)}"]
        out = self.memory(call.output)
        if added_product(call):
            before, scale, left, right = call.args
            self._writer._kernels.add("add_product")
            kind = self._writer._dtype(before.dtype)
            factor = self.number(scale) if isinstance(scale, Value) else repr(scale)
            text = f"{kind}({factor}), {self._matrix(left)}, {self._matrix(right)}"
            lines = [] if self._placing.home[call.output].value is before else [f"{out}[:] = {self.memory(before)}"]
            gemm = f"addresses[{0 if before.dtype == np.float32 else 1}]"
            return [*lines, f"add_product({gemm}, {out}, {text})"]
        return wrapped(f"np.dot({self._matrix(call.args[0])}, {self._matrix(call.args[1])}, {out})")

    def _matrix(self, value: Value) -> str:
        root, indices = self._elements.look(value, tuple(map(Index, range(len(value.shape)))))
        name = self.memory(root)
        is_turned = [index.axis for index in indices] == [1, 0] or root.shape != value.shape
        return f"{name}.T" if is_turned else name


class _LoopText:
    """Writes one loop nest."""

    def __init__(self, function: _MachineFunction, loop: Loop) -> None:
        self._function = function
        self._writer = function._writer
        self._elements = function._elements
        self._placing = function._placing
        self._loop = loop
        self._flat = is_flat(loop, {v: None for v in loop.where if v in self._placing.home})
        self._text: dict[Value, str] = {}
        self._uses = Counter(value for reads in loop.reads.values() for value, _ in reads)
        self._flat_names: dict[str, str] = {}
        self._now = 0  # the inner loop that is being written

    def lines(self) -> list[str]:
        """Write it."""
        loop = self._loop
        before, after = self._totals()
        if loop.rows is None:
            body = self._turn(0, "element")
            axes = range(1 if self._flat else len(loop.space))
            nest = self._nested(axes, body)
        else:
            last = max(loop.turn.values())
            inside = self._rows(-1)
            for turn in range(last + 1):
                first, finish = self._row_totals(turn)
                body = self._turn(turn, "element")
                inside += [*first, *(self._nested(range(loop.rows, len(loop.space)), body) if body else [])]
                inside += [*finish, *self._rows(turn)]
            nest = self._nested(range(loop.rows), inside)
        opening = [f"{flat} = {name}.reshape({math.prod(loop.space)})" for name, flat in self._flat_names.items()]
        return [*opening, *before, *nest, *after]

    def _nested(self, axes: Any, body: list[str]) -> list[str]:
        sizes = (math.prod(self._loop.space),) if self._flat else self._loop.space
        for axis in reversed(axes):
            bounds = f"size({sizes[axis]})"
            if axis == 0 and self._function.in_threads:
                self._function.rounds = sizes[0]
                bounds = ", ".join(f"np.uint64({end})" for end in FROM_TO)  # or Numba looks for negative places
            body = [f"for {LETTERS[axis]} in range({bounds}):", *("    " + line for line in body)]
        return body

    # Statements

    def _rows(self, turn: int) -> list[str]:
        return self._turn(turn, "row")

    def _turn(self, turn: int, level: str) -> list[str]:
        """Write the calls of one inner loop, or of the rows between two."""
        loop = self._loop
        lines: list[str] = []
        stores: list[str] = []
        mine = [call for call in loop.calls if loop.turn[call.output] == turn and self._level_of(call) == level]
        stored = [call.output for call in mine if self._is_stored(call)]
        late = bool(self._placing.overwritten.get(loop))
        for call in mine:
            value = call.output
            if self._elements.kinds[call] == "reduction":
                lines += self._accumulate(call)
                continue
            text = self._expression(call)
            if self._is_stored(call):
                place = self._place(value)
                if (value not in self._uses or self._is_read_later(value, turn)) and not (late and len(stored) > 1):
                    stores.append(f"{place} = {text}") if late else lines.append(f"{place} = {text}")
                    continue
                name = self._local(value)
                lines.append(f"{name} = {text}")
                (stores if late else lines).append(f"{place} = {name}")
            elif self._is_inlined(call, turn, level, text):
                self._text[value] = text
            else:
                lines.append(f"{self._local(value)} = {text}")
        return [*lines, *stores]

    def _level_of(self, call: Call) -> str:
        """Say whether a call is computed for each element or each row; a reduction, what it reduces."""
        if self._elements.kinds[call] != "reduction":
            return self._loop.level[call.output]
        if self._loop.level[call.output] == "row":
            return "element"
        _, indices = self._loop.reads[call][0]
        if self._loop.rows is None:
            return "element"
        axes = {index.axis for index in indices if index.axis is not None}
        return "row" if axes == set(range(self._loop.rows)) and len(self._loop.space) > self._loop.rows else "element"

    def _is_stored(self, call: Call) -> bool:
        return call.output in self._placing.home or call.output in self._placing.rows

    def _is_read_later(self, value: Value, turn: int) -> bool:
        """Whether a value is read in this loop, but only by later inner loops."""
        return not any(
            read is value and self._same_turn(call, value, turn)
            for call, reads in self._loop.reads.items()
            for read, _ in reads
        )

    def _same_turn(self, call: Call, value: Value, turn: int) -> bool:
        return self._loop.level[value] == "row" or self._loop.turn[call.output] == turn

    def _is_inlined(self, call: Call, turn: int, level: str, text: str) -> bool:
        """Whether an expression is short, and used once, in the same place."""
        value = call.output
        if not value.is_array or self._uses[value] != 1 or len(text) > LONGEST or value in self._loop.stored:
            return False
        reader = next(c for c, reads in self._loop.reads.items() if any(read is value for read, _ in reads))
        if self._elements.kinds[reader] in ("elementwise", "reduction"):
            repeated = TEMPLATES.get(UFUNCS.get(reader.function, reader.function), ("",))[0].count("{0}") > 1
            return not repeated and self._level_of(reader) == level and self._loop.turn[reader.output] == turn
        return False

    def _local(self, value: Value) -> str:
        if not value.is_array:
            name = self._function.local(value, self._writer._wish(value, self._elements.makers[value]))
        else:
            letters = "".join(LETTERS[index.axis] for index in self._loop.where[value] if index.axis is not None)
            base = self._writer._names.get(value) or self._writer._wish(value, self._elements.makers[value])
            name = self._writer._name((self._loop, value), f"{base}_{letters}" if letters else base)
        self._text[value] = name
        return name

    # Reductions

    def _totals(self) -> tuple[list[str], list[str]]:
        """Write what stands before the loop and after it for reductions that are complete then."""
        before, after = [], []
        for call in self._loop.calls:
            value = call.output
            if self._loop.level[value] != "after":
                continue
            start = self._start(call)
            if value in self._placing.home:
                before.append(f"{self._function.memory(value)}[:] = {start}")
            else:
                lines, finish = self._scalar_total(call, start)
                before += lines
                after += finish
        return before, after

    def _row_totals(self, turn: int) -> tuple[list[str], list[str]]:
        first, finish = [], []
        for call in self._loop.calls:
            is_row = self._elements.kinds[call] == "reduction" and self._loop.level[call.output] == "row"
            if is_row and self._loop.turn[call.output] == turn:
                lines, after = self._scalar_total(call, self._start(call))
                first += lines
                finish += after
                if self._is_stored(call):
                    finish.append(f"{self._place(call.output)} = {self._text[call.output]}")
        return first, finish

    def _scalar_total(self, call: Call, start: str) -> tuple[list[str], list[str]]:
        """Begin and end a reduction in a local number; that of many float32 numbers is one of float64."""
        value = call.output
        name = self._local(value)
        if self._is_wide(call):
            wide = self._writer._name((self._loop, value, "wide"), f"{name}_sum")
            self._text[value] = wide
            return [f"{wide} = np.float64({start})"], [f"{name} = {self._writer._dtype(value.dtype)}({wide})"]
        return [f"{name} = {start}"], []

    def _is_wide(self, call: Call) -> bool:
        shape = call.args[0].shape
        count = math.prod(shape[axis] for axis in reduced_axes(call))
        return call.function == np.add.reduce and call.output.dtype == np.float32 and count > MANY

    def _start(self, call: Call) -> str:
        """Give the text of what a reduction begins with."""
        dtype = np.dtype(call.output.dtype)
        ufunc = reduced_by(call)
        initial = call.kwargs.get("initial")
        if initial is None:
            if ufunc in (np.maximum, np.minimum):
                sign = -1 if ufunc is np.maximum else 1
                if dtype.kind == "f":
                    return f"{self._writer._dtype(dtype)}({'-' if sign < 0 else ''}np.inf)"
                info = np.iinfo(dtype)
                initial = info.min if sign < 0 else info.max
            else:
                initial = ufunc.identity
        if dtype.kind == "b":
            return repr(bool(initial))
        return f"{self._writer._dtype(dtype)}({self._writer._text(initial)})"

    def _accumulate(self, call: Call) -> list[str]:
        value = call.output
        self._now = self._loop.turn[value]
        read, indices = self._loop.reads[call][0]
        dtype = np.dtype(value.dtype)
        wide = self._is_wide(call) and value not in self._placing.home
        term = self._cast(self._read(read, indices), read.dtype, np.dtype(np.float64) if wide else dtype)
        in_array = self._loop.level[value] == "after" and value in self._placing.home
        total = self._place(value) if in_array else self._text[value]
        ufunc = reduced_by(call)
        if ufunc is np.add:
            if dtype.kind == "f" and not in_array:
                self._writer._kernels.add("plus")
                return [f"{total} = plus({total}, {_bare(term)})"]
            return [f"{total} += {_bare(term)}"]
        if ufunc is np.multiply:
            return [f"{total} *= {_bare(term)}"]
        if ufunc in (np.logical_and, np.logical_or):
            return [f"{total} = {total} {'and' if ufunc is np.logical_and else 'or'} {_atom(term)}"]
        return [f"{total} = np.{ufunc.__name__}({total}, {_bare(term)})"]

    # Expressions

    def _place(self, value: Value) -> str:
        """Write the element of an array in memory that the loop is at."""
        where = self._loop.where[value]
        if value in self._placing.rows:
            where = tuple(index for index in where if (index.axis or 0) >= (self._loop.rows or 0))
        return self._element(self._function.memory(value), where)

    def _element(self, name: str, indices: Indices) -> str:
        if self._flat:
            flat = self._flat_names.get(name)
            if flat is None:
                flat = self._flat_names[name] = self._writer._name((self._loop, name), f"{name}_flat")
            return f"{flat}[{LETTERS[0]}]"
        if not indices:
            return f"{name}[()]" if name in self._function._parameters.values() else f"{name}[0]"
        return f"{name}[{', '.join(map(_index_text, indices))}]"

    def _read(self, value: Value, indices: Indices) -> str:
        """Write an element of an array, or a number."""
        loop = self._loop
        if value in self._text and not self._is_elsewhere(value):
            return self._text[value]
        if value in loop.where:
            return self._place(value)
        if not value.is_array:
            return self._function.number(value)
        uniform = self._uniform(value)
        if uniform is not None:
            return uniform
        if is_counted(value) and not self._flat:
            return _index_text(indices[0])
        return self._element(self._function.memory(value), indices)

    def _is_elsewhere(self, value: Value) -> bool:
        """Whether an element was computed by an earlier inner loop than the one that is being written."""
        return self._loop.level.get(value) == "element" and self._loop.turn[value] != self._now

    def _uniform(self, value: Value) -> str | None:
        """Give the number that all elements of an array are."""
        maker = self._elements.makers.get(value)
        if maker is not None and maker.function in (np.ones, np.zeros) and value in self._writer._shown:
            return f"{self._writer._dtype(value.dtype)}({int(maker.function is np.ones)})"
        if value.kind != "constant" or not value.data.size or (value.data != value.data.flat[0]).any():
            return None
        return f"{self._writer._dtype(value.dtype)}({self._writer._text(value.data.flat[0].item())})"

    def _expression(self, call: Call) -> str:
        """Write how one element of a call is computed."""
        self._now = self._loop.turn[call.output]
        function = UFUNCS.get(call.function, call.function)
        reads = iter(self._loop.reads[call])
        if self._elements.kinds[call] == "gather":
            return self._gather(call, list(reads))
        output = np.dtype(call.output.dtype)
        if function in (np.copy, operator.getitem):
            return self._read(*next(reads))
        if function is astype:
            return self._cast(self._read(*next(reads)), call.args[0].dtype, output)
        if function is np.where:
            kinds: Sequence[Any] = (np.dtype(bool), output, output)
        else:
            kinds = [output] * len(call.args) if function is np.clip else loop_types(call)[:-1]
        texts = []
        for arg, kind in zip(call.args, kinds):
            text = self._read(*next(reads)) if isinstance(arg, Value) else self._literal(arg)
            dtype = arg.dtype if isinstance(arg, Value) else type(np.asarray(arg).item())
            texts.append(_atom(self._cast(text, dtype, kind)))
        if function is np.where:
            return f"{texts[1]} if {texts[0]} else {texts[2]}"
        if function is np.clip:
            return f"np.minimum(np.maximum({_bare(texts[0])}, {_bare(texts[1])}), {_bare(texts[2])})"
        template = TEMPLATES[function][0]
        if template in ("exp({})", "tanh({})"):
            self._writer._kernels.add(template[:-4])
        if template.endswith(")"):
            texts = list(map(_bare, texts))
        text = template.format(*texts)
        is_right = output in (np.dtype(bool), np.dtype(np.float64)) or (
            function is not np.reciprocal and output.kind == "f"
        )
        return text if is_right or output == np.int64 else f"{self._writer._dtype(output)}({text})"

    def _gather(self, call: Call, reads: list[tuple[Value, Indices]]) -> str:
        places = []
        for (value, indices), size in zip(reads, call.args[0].shape, strict=True):
            text = self._read(value, indices)
            if not is_counted(value) or value.shape[0] > size:
                self._writer._kernels.add("checked")
                text = f"checked({text}, {size})"
            places.append(text)
        return f"{self._function.memory(self._elements.root(call.args[0]))}[{', '.join(places)}]"

    def _literal(self, arg: Any) -> str:
        return self._writer._text(arg.item() if isinstance(arg, np.generic) else arg)

    def _cast(self, text: str, dtype: Any, target: np.dtype[Any]) -> str:
        """Convert a number to the type that NumPy would convert it to."""
        if np.dtype(dtype) == target and (dtype not in (int, float) or target.itemsize == 8):
            return text
        if target.kind == "b":
            return f"{_atom(text)} != 0"
        return f"{self._writer._dtype(target)}({_bare(text)})"


def _index_text(index: Index) -> str:
    if index.axis is None:
        return str(index.start)
    letter = LETTERS[index.axis]
    if index.step == -1:
        return f"{index.start} - {letter}"
    text = letter if index.step == 1 else f"{index.step} * {letter}"
    return text if not index.start else f"{text} + {index.start}"


def _is_atom(text: str) -> bool:
    depth = 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if character == " " and depth == 0:
            return False
    return not text.startswith("-")


def _atom(text: str) -> str:
    return text if _is_atom(text) else f"({text})"


def _bare(text: str) -> str:
    """Leave out parentheses around all of a text."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and position < len(text) - 1:
            return text
    return text[1:-1]
