"""The source text of a program: Python with NumPy, as one would have written it by hand."""

from __future__ import annotations

import functools
import inspect
import math
import operator
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from autodiff.arrays.whole import require
from autodiff.compiler.naming import identifier, is_plain
from autodiff.compiler.plan.memory import Buffer, Layout, gives_array, may_view
from autodiff.compiler.program import Call, Program, Value, mapped
from autodiff.compiler.record.log import Log
from autodiff.compiler.record.recorder import updated
from autodiff.core.rule import Array, Function, name_of
from autodiff.core.tensor import astype

LONGEST = 64  # characters of an expression that is written where it is used
WIDTH = 108  # characters of a line, before it is indented
_SIGNS: dict[Function, str] = {
    operator.add: "+", operator.sub: "-", operator.mul: "*", operator.truediv: "/", operator.floordiv: "//",
    operator.mod: "%", operator.pow: "**", operator.matmul: "@", operator.and_: "&", operator.or_: "|",
    operator.xor: "^", operator.lshift: "<<", operator.rshift: ">>", operator.lt: "<", operator.le: "<=",
    operator.gt: ">", operator.ge: ">=", operator.eq: "==",
    operator.ne: "!=",
}  # fmt: skip
_VIEW_ENDINGS: dict[Function, str] = {np.transpose: "_T", np.expand_dims: "_column"}
_WORDS = {
    "getitem": "picked", "matmul": "product", "add": "total", "add.reduce": "total", "maximum.reduce": "largest",
    "minimum.reduce": "smallest", "pow": "power", "mul": "factor", "truediv": "quotient", "divide": "quotient",
    "sub": "difference", "subtract": "difference", "astype": "converted",
}  # fmt: skip
_PREFIXES: dict[Function, str] = {operator.neg: "-", operator.pos: "+", operator.invert: "~"}


class Writer:
    """Writes the source of one program.

    Args:
        program: the program.
        layout: where its arrays lie.
        called: the name of the step.
        log: who was at work while the program was recorded, for the comments.
    """

    def __init__(self, program: Program, layout: Layout, called: str, log: Log) -> None:
        self._program = program
        self._layout = layout
        self._called = called
        self._makers = {output: call for call in (*layout.once, *layout.calls) for output in call.outputs}
        self._log = log.around([call.stamp for call in program.calls])
        self._names: dict[Any, str] = {}
        self._before: list[str] = []  # lines that must stand before the statement that is being written
        self._in_use: set[str] = {"np", "build", "step", *_packages(program)}
        self._fixed: list[str] = []  # lines of build
        self._opening: list[str] = []  # lines at the beginning of step
        self.imports = {"import numpy as np"}
        self.late = layout.late
        self.given: list[Any] = []  # what cannot be written, and is given to build after the constants
        # Those of Tensors come first: the binding of a program to its arrays relies on it.
        self.arrays = [value for value, _ in program.state if value.is_array or value.dtype is np.random.Generator]
        self.numbers = list(dict.fromkeys(value for value, _ in program.state if value not in set(self.arrays)))
        self.changed_numbers: list[Any] = []  # each once, as the places of several may hold it
        for before, after in program.state:
            if before in set(self.numbers) and after is not before and after not in self.changed_numbers:
                if isinstance(after, Value) and after.kind == "call":
                    after.name = after.name or f"next_{before.name}"
                self.changed_numbers.append(after)
        values = [value for call in (*layout.once, *layout.calls) for value in call.operands()]
        values += [value for value in program.outcomes() if isinstance(value, Value)]
        constants = list(dict.fromkeys(value for value in values if value.kind == "constant"))
        self.constants = [value for value in constants if _regular(value.data) is None]
        self._regular = [value for value in constants if value not in self.constants]

    def source(self) -> str:
        """Give the text of the module: ``build``, which makes the memory, and in it ``step``, which it returns."""
        layout = self._layout
        self._name_given()
        for buffer in layout.buffers:
            self._allocate(buffer)
        for value, home in layout.home.items():
            self._names[value] = self._names[home.value if home.value.kind == "state" else home]
        self._inlined = self._to_inline()
        for call in layout.once:
            self._fixed += self._statement(call)
        body: list[str] = []
        comment = ""
        for call in layout.calls:
            line = self._comment(call)
            if line and line != comment:
                body.append(f"# {line}")
                comment = line
            statement = self._statement(call)
            body += [*self._before, *statement]
            self._before.clear()
        results = [self._result(value) for value in (*self._program.results, *self.changed_numbers)]
        for position, text in enumerate(results):
            if text.endswith(".copy()") and any(after is not None for _, after in self._layout.copies):
                results[position] = self._name(object(), "result")
                body.append(f"{results[position]} = {text}")
        body += self._copies()
        body.append(f"return {', '.join(results)}{',' if len(results) == 1 else ''}" if results else "return ()")
        parameters = ", ".join(self._names[value] for value in (*self._program.inputs, *self.numbers))
        arguments = ", ".join(self._build_arguments())
        lines = [
            *sorted(self.imports, key=lambda line: (line != "import numpy as np", line)),
            "",
            "",
            *wrapped(f"def build({arguments}):"),
            *(f"    {line}".rstrip() for line in self._docstring()),
            *("    " + line for line in self._fixed),
            "",
            *("    " + line for line in wrapped(f"def step({parameters}):")),
            *("        " + line for line in (*self._opening, *body)),
            "",
            "    return step",
        ]
        return "\n".join(lines) + "\n"

    def _docstring(self) -> list[str]:
        """Say how the module is used."""
        arguments = [
            f"{self._names[value]}: {value.shape} {np.dtype(value.dtype).name}"
            if value.is_array
            else self._names[value]
            for value in (*self._program.inputs, *self.numbers)
        ]
        numbers = dict.fromkeys(
            self._names[b] for b, after in self._program.state if b in set(self.numbers) and after is not b
        )
        text = f"Give step({', '.join(arguments)})."
        if self._program.state:
            text = f"{text[:-1]}, which changes the arrays that are given here."
        if numbers:
            text += (
                f" It returns what {self._called} returns, and after that the {', '.join(numbers)} of the next call."
            )
        first, *rest = textwrap.wrap(text, WIDTH, break_on_hyphens=False)
        return [f'"""{first}', *rest, '"""'] if rest else [f'"""{first}"""']

    def _to_inline(self) -> set[Value]:
        """Choose numbers that are computed from numbers and used once: they are written where they are used."""
        calls = self._layout.calls
        uses = Counter(operand for call in calls for operand in call.operands())
        uses.update(value for value in (*self._program.results, *self.changed_numbers) if isinstance(value, Value))
        return {
            call.output
            for call in calls
            if uses[call.output] == 1
            and not (call.effect or call.several or call.output.is_array)
            and not any(operand.is_array for operand in call.operands())
        }

    # Names

    def _name_given(self) -> None:
        """Name what a program finds: its arguments, the state and the constants."""
        for value in (*self.arrays, *self._program.inputs, *self.numbers):
            self._name(value, value.name or "x")
        for value in self._regular:
            text = str(_regular(value.data))
            self._fixed.append(f"{self._name(value, value.name or text[3:].partition('(')[0])} = {text}")
        for number, value in enumerate(self.constants):
            self._name(value, value.name or f"constant_{number}")

    def _name(self, key: Any, wish: str) -> str:
        """Give something a name that nothing else has."""
        base = identifier(wish)
        name, number = base, 1
        while name in self._in_use:
            number += 1
            name = f"{base}_{number}"
        self._in_use.add(name)
        self._names[key] = name
        return name

    def _wish(self, value: Value, call: Call | None) -> str:
        """Say how a value should be called: as the user does, by its module, or by what it is."""
        if value.name:
            return value.name
        if call is None:
            return "x"
        source = self._names.get(call.args[0], "") if call.args and isinstance(call.args[0], Value) else ""
        if source.isidentifier():  # and not an expression
            if call.function in _VIEW_ENDINGS:
                return source + _VIEW_ENDINGS[call.function]
            if call.function is operator.getitem and call.args[1] == (slice(None), None):
                return f"{source}_column"
        module = self._module(call)
        if module:
            return module
        if call.function is np.matmul and self._comment(call).startswith("backward"):
            return "gradient"
        if call.function is np.multiply:
            one, other = call.args[:2]
            if one is other:
                return "square"
            if not all(isinstance(arg, Value) and arg.shape for arg in (one, other)):
                return "scaled"
        name = name_of(call.function)
        return _WORDS.get(name, name.removesuffix(".reduce").split(".")[-1])

    def _module(self, call: Call) -> str:
        """Name the module in whose forward pass a call was made."""
        return self._log.module(call.stamp)

    def _allocate(self, buffer: Buffer) -> None:
        value = buffer.value
        maker = next((call for call in self._layout.calls if value in call.outputs), None)
        name = self._name(buffer, self._wish(value, maker))
        if buffer.axes is None:
            self._fixed.append(f"{name} = np.empty({value.shape}, {self._dtype(value.dtype)})")
            return
        shape = tuple(value.shape[axis] for axis in buffer.axes)
        if buffer.columns:
            rows, turned = self._name((buffer, "T"), f"{name}_T"), "T"
        else:
            rows, turned = (
                self._name((buffer, "T"), f"{name}_memory"),
                f"transpose{tuple(np.argsort(buffer.axes).tolist())}",
            )
        self._fixed.append(f"{rows} = np.empty({shape}, {self._dtype(value.dtype)})")
        self._fixed.append(f"{name} = {rows}.{turned}")

    def _dtype(self, dtype: Any) -> str:
        dtype = np.dtype(dtype)
        is_public = dtype.kind in "biufc" and dtype == getattr(np, dtype.name)
        return f"np.{dtype.name}" if is_public else self._as_argument(dtype)

    # Statements

    def _comment(self, call: Call) -> str:
        return self._log.comment(call.stamp)

    def _statement(self, call: Call) -> list[str]:
        """Write one call."""
        if call.function is require:
            return self._requirement(*call.args)
        home = self._layout.home.get(call.output)
        if home is not None:
            across = home.columns and call.function is np.matmul
            return wrapped(self._call(call, out=self._names[(home, "T") if across else call.output]))
        if call.output in self._inlined:
            text = self._call(call)
            if len(text) <= LONGEST:
                self._names[call.output] = text
                return []
        if call.function is updated:
            array, index, value = call.args
            name = self._name(call.output, self._wish(call.output, call))
            return [f"{name} = {self._text(array)}.copy()", f"{name}[{self._index(index)}] = {self._text(value)}"]
        names = [self._name(output, self._wish(output, call)) for output in call.outputs]
        targets = ", ".join(names) + ("," if call.several and len(names) == 1 else "")
        return wrapped(f"{targets} = {self._call(call)}")

    def _requirement(self, condition: Value, error: type[Exception], message: str, *values: Any) -> list[str]:
        """Write what `require` does."""
        holds = f"{self._text(condition)}.all()" if condition.is_array else self._operand(condition)
        shown = []
        for value in values:
            text = self._text(value)
            if condition.is_array:
                spread = text if value.shape == condition.shape else f"np.broadcast_to({text}, {condition.shape})"
                text = f"{spread}[~{self._text(condition)}][0]"
            shown.append(text)
        filling = f".format({', '.join(shown)})" if shown else ""
        pieces = [repr(piece) for piece in re.findall(r".{1,90}(?:\s+|$)|.{90}", message, re.DOTALL)] or ["''"]
        *first, last = (f"        {piece}" for piece in pieces)
        return [f"if not {holds}:", f"    raise {self._text(error)}(", *first, f"{last}{filling}", "    )"]

    def _call(self, call: Call, out: str | None = None) -> str:
        """Write a call; where NumPy gives an array without axes for a number, which may show memory, its number."""
        text = self._text_of_call(call, out)
        return f"{text}[()]" if gives_array(call) and not call.output.is_array else text

    def _text_of_call(self, call: Call, out: str | None) -> str:
        function, args, kwargs = call.function, call.args, call.kwargs
        if function in _SIGNS:
            return f"{self._operand(args[0])} {_SIGNS[function]} {self._operand(args[1])}"
        if function in _PREFIXES:
            return f"{_PREFIXES[function]}{self._operand(args[0])}"
        if function is operator.getitem:
            return f"{self._operand(args[0])}[{self._index(args[1])}]"
        if function is astype:
            return f"{self._operand(args[0])}.astype({self._dtype(args[1])})"
        if function is np.transpose and len(args) == 1 and not kwargs:
            return f"{self._operand(args[0])}.T"
        if inspect.ismethoddescriptor(function) and getattr(function, "__objclass__", None) is np.random.Generator:
            rest = [*map(self._text, args[1:]), *self._keywords(kwargs)]
            return f"{self._operand(args[0])}.{function.__name__}({', '.join(rest)})"
        arguments = [self._of_dtype(arg, call) or self._text(arg) for arg in args] + self._keywords(kwargs)
        if out is not None:
            arguments.append(f"out={out}")
        called = self._dotted(function)
        if function is np.matmul and out is not None and all(len(v.shape) <= 2 for v in call.operands()):
            home = self._layout.home[call.output]
            if home.value.kind != "state" and (home.axes is None or home.columns):  # np.dot wants rows to write into
                called = self._product(call)
        return f"{called}({', '.join(arguments)})"

    def _product(self, call: Call) -> str:
        """Name the faster function for a product that gives, in an exact program, the same bits.

        They round differently for arrays with gaps, or with one element in several places. Of what is given to a
        program one only knows when it runs.
        """
        if not self._layout.exact:
            return "np.matmul" if any(map(self._is_repeated, call.operands())) else "np.dot"
        owners = {self._owner(value) for value in call.operands()}
        given = [value for value in (*self.arrays, *self._program.inputs) if value in owners]
        if None in owners:
            return "np.matmul"
        faster = "np.dot"
        for value in given:
            key = "product", faster, value
            if key not in self._names:
                lines = self._opening if value.kind == "input" else self._fixed
                name = self._name(key, "product")
                lines.append(f"{name} = {faster} if {self._names[value]}.flags.forc else np.matmul")
            faster = self._names[key]
        return faster

    def _owner(self, value: Value) -> Value | None:
        """Give the array whose memory a matrix, or its transpose, is all of, or None."""
        maker = self._makers.get(value)
        home = self._layout.home.get(value)
        if home is not None and home.value.kind == "state":
            return home.value
        if maker is None:
            return None if value.kind == "constant" and not value.data.flags.forc else value
        if maker.function is np.transpose and len(maker.args) == 1:
            return self._owner(maker.args[0])
        return None if may_view(maker) else value

    def _keywords(self, kwargs: Mapping[str, Any]) -> list[str]:
        """Write keyword arguments, in quotes those whose names may not stand there."""
        texts = ((str.__str__(key), self._text(value)) for key, value in kwargs.items())
        return [f"{key}={text}" if is_plain(key) else f"**{{{key!r}: {text}}}" for key, text in texts]

    def _is_repeated(self, value: Value) -> bool:
        """Whether an array shows one element in several places: of such np.matmul and np.dot round differently."""
        maker = self._makers.get(value)
        if maker is None or not may_view(maker):
            return False
        return maker.function is np.broadcast_to or any(map(self._is_repeated, maker.operands()))

    def _of_dtype(self, arg: Any, call: Call) -> str | None:
        """Name an array without axes, for a Python number beside arrays of floats.

        NumPy would make one of the number in each call, which takes as long as the arithmetic of a small array.
        """
        is_literal = type(arg) in (int, float) or isinstance(arg, np.floating)
        is_float = isinstance(arg, Value) and arg.dtype is float
        dtypes = {np.dtype(value.dtype) for value in call.operands() if value.is_array}
        if not (is_literal or is_float) or not isinstance(call.function, np.ufunc) or len(dtypes) != 1 or call.kwargs:
            return None
        (dtype,) = dtypes
        if dtype.kind != "f" or (is_literal and not abs(arg) <= np.finfo(dtype).max):
            return None
        if (isinstance(arg, np.generic) and arg.dtype != dtype) or not _computes_in(dtype, call):
            return None
        key = "of dtype", arg if isinstance(arg, Value) else repr(arg), dtype
        if key not in self._names:
            text = self._text(arg)
            if is_literal:
                name = self._name(key, "c" + re.sub(r"\W", "_", f"{arg:g}"))
                self._fixed.append(f"{name} = np.array({text}, {self._dtype(dtype)})")
            else:
                name = self._name(key, f"{text}_" if text.isidentifier() else "factor")
                self._fixed.append(f"{name} = np.empty((), {self._dtype(dtype)})")
                self._before.append(f"{name}[...] = {text}")
        return self._names[key]

    def _copies(self) -> list[str]:
        """Write what is left to be copied into the state."""
        pending = [(before, after) for before, after in self._layout.copies if after is not None]
        lines = []
        texts = {}
        for _, after in pending:
            home = self._layout.home.get(after)
            if after.kind == "state" or (home is not None and home.value.kind == "state"):
                texts[after] = self._name(object(), "kept")
                lines.append(f"{texts[after]} = {self._text(after)}.copy()")
        for before, after in pending:
            lines.append(f"{self._names[before]}[...] = {texts.get(after) or self._text(after)}")
        return lines

    def _result(self, value: Any) -> str:
        text = self._text(value)
        if not isinstance(value, Value):
            return text
        maker = next((call for call in self._layout.calls if value in call.outputs), None)
        if value.is_array and (maker is None or may_view(maker) or value in self._layout.home):
            return f"{text}.copy()"
        return text

    # Arguments

    def _operand(self, arg: Any) -> str:
        text = self._text(arg)
        return f"({text})" if text.startswith("-") or " " in text else text

    def _text(self, arg: Any) -> str:
        if isinstance(arg, Value):
            return self._names[arg]
        if isinstance(arg, tuple | list):
            items = ", ".join(map(self._text, arg))
            return f"[{items}]" if isinstance(arg, list) else f"({items}{',' if len(arg) == 1 else ''})"
        if isinstance(arg, np.generic):
            return self._number(arg)
        if type(arg) is float and not math.isfinite(arg):
            return {math.inf: "np.inf", -math.inf: "-np.inf"}.get(arg, "np.nan")
        if type(arg) is complex:
            return f"complex({self._text(arg.real)}, {self._text(arg.imag)})"
        if isinstance(arg, np.dtype) or (isinstance(arg, type) and issubclass(arg, np.generic)):
            return self._dtype(arg)
        if isinstance(arg, slice):
            return f"slice({self._text(arg.start)}, {self._text(arg.stop)}, {self._text(arg.step)})"
        if arg is Ellipsis:
            return "..."
        if type(arg) in (str, bytes, bool, int, float, type(None)):
            return repr(arg)
        return self._dotted(arg) if callable(arg) else self._as_argument(arg)

    def _number(self, number: np.generic) -> str:
        """Name a NumPy number, which is made once, since it takes longer than what is done with it."""
        key = type(number), repr(number)
        if key not in self._names:
            value = repr(str(number)) if isinstance(number, np.longdouble) else self._text(number.item())
            self._name(key, "number")
            self._fixed.append(f"{self._names[key]} = {self._dtype(number.dtype)}({value})")
        return self._names[key]

    def _as_argument(self, thing: Any) -> str:
        """Name what has no text, as a function that no module has: it is given to ``build``, as constants are."""
        key = "given", id(thing)
        if key not in self._names:
            self._name(key, name_of(thing) if callable(thing) else type(thing).__name__)
            self.given.append(thing)
        return self._names[key]

    def _build_arguments(self) -> list[str]:
        """List the names of what ``build`` is given."""
        given = (("given", id(thing)) for thing in self.given)
        return [self._names[key] for key in (*self.arrays, *self.constants, *given)]

    def _index(self, index: Any) -> str:
        if isinstance(index, tuple) and index:
            return ", ".join(map(self._index, index)) + ("," if len(index) == 1 else "")
        if isinstance(index, slice):
            ends = ["" if end is None else self._text(end) for end in (index.start, index.stop)]
            return ":".join(ends) + ("" if index.step is None else f":{self._text(index.step)}")
        return self._text(index)

    def _dotted(self, function: Function) -> str:
        """Name a function as a program calls it, and import its module."""
        path = _public_names().get(function)
        if path is not None:
            return path
        owner = getattr(function, "__self__", None)
        if isinstance(owner, np.ufunc):
            return f"{self._dotted(owner)}.{function.__name__}"
        name = str(getattr(function, "__name__", ""))
        for module in (getattr(function, "__module__", None), "scipy.special", "scipy.special._ufuncs"):
            there = vars(sys.modules.get(str(module), np)).get(name)
            if there is function and is_plain(*str(module).split("."), name):
                if module == "builtins":
                    return name
                self.imports.add(f"import {module}")
                return f"{module}.{name}"
        return self._as_argument(function)


def _packages(program: Program) -> set[str]:
    """List the packages whose functions a program may name."""
    found = {"scipy"}
    for call in program.calls:
        mapped(
            [call.function, *call.args, *call.kwargs.values()],
            lambda item: found.add(str(getattr(item, "__module__", "")).partition(".")[0]),
        )
    return found


@functools.cache
def _public_names() -> dict[Function, str]:
    """Find under which names NumPy has its functions."""
    names: dict[Function, str] = {}
    for prefix, module in (("np.fft", np.fft), ("np.linalg", np.linalg), ("np", np)):
        for name in dir(module):
            function = getattr(module, name, None) if not name.startswith("_") else None
            if callable(function) and not isinstance(function, type):
                preferred = name == getattr(function, "__name__", name)
                if preferred or function not in names:
                    names[function] = f"{prefix}.{name}"
    return names


def _computes_in(dtype: np.dtype[Any], call: Call) -> bool:
    """Whether a ufunc converts all it is given to a dtype: ldexp takes integers, and SciPy's have ways of their own."""
    given = [arg.dtype if isinstance(arg, Value | np.generic) else type(arg) for arg in call.args]
    kinds = [kind if kind in (int, float) else np.dtype(kind) for kind in given]
    ufunc: Any = call.function
    inputs = ufunc.resolve_dtypes((*kinds, *(None,) * ufunc.nout))[: len(kinds)]
    return all(one == dtype for one in inputs)


def _regular(array: Array) -> str | None:
    """Write an array that a short call makes, or None."""
    if not isinstance(array, np.ndarray) or not array.flags.c_contiguous or array.dtype.kind not in "fiub":
        return None
    name = f"np.{array.dtype.name}" if array.dtype.name != "bool" else "np.bool"
    if array.ndim == 1 and array.dtype.kind in "iu" and np.array_equal(array, np.arange(len(array))):
        return f"np.arange({len(array)})" if array.dtype == np.intp else f"np.arange({len(array)}, dtype={name})"
    if array.size and np.isfinite(array.flat[0]) and (array == array.flat[0]).all() and not np.signbit(array.flat[0]):
        return f"np.full({array.shape}, {array.flat[0].item()!r}, {name})"
    return None


_PART = re.compile(r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^'"])+?(?:, |$)""")  # up to a comma that is in no quotes


def wrapped(line: str) -> list[str]:
    """Break a long call after the commas between its arguments."""
    if len(line) <= WIDTH or "(" not in line:
        return [line]
    head, _, rest = line.partition("(")
    lines, current = [], head + "("
    for part in _PART.findall(rest):
        if len(current) + len(part) > WIDTH + 2:
            lines.append(current.rstrip())
            current = "    "
        current += part
    return [*lines, current]
