"""Calls as statements of Python, as one would have written them by hand."""

from __future__ import annotations

import itertools
import operator
import re
from collections.abc import Collection
from typing import Any

import numpy as np

from autodiff.arrays.whole import require
from autodiff.compiler.plan.lifetimes import may_view
from autodiff.compiler.program import Call, Value
from autodiff.compiler.record.log import Log
from autodiff.compiler.record.recorder import UFUNCS, updated
from autodiff.compiler.simplify.rounding import increased
from autodiff.compiler.write.texts import Texts, wrapped
from autodiff.core.rule import Function, facts_of, name_of
from autodiff.core.tensor import astype

LONGEST = 64  # characters of an expression that is written where it is used
_SIGNS: dict[Function, str] = {
    operator.add: "+", operator.sub: "-", operator.mul: "*", operator.truediv: "/", operator.floordiv: "//",
    operator.mod: "%", operator.pow: "**", operator.matmul: "@", operator.and_: "&", operator.or_: "|",
    operator.xor: "^", operator.lshift: "<<", operator.rshift: ">>", operator.lt: "<", operator.le: "<=",
    operator.gt: ">", operator.ge: ">=", operator.eq: "==", operator.ne: "!=",
}  # fmt: skip
_PREFIXES: dict[Function, str] = {operator.neg: "-", operator.pos: "+", operator.invert: "~"}
_WORDS = {
    "getitem": "picked", "matmul": "product", "multiply": "product", "add": "total", "add.reduce": "total",
    "maximum.reduce": "largest", "minimum.reduce": "smallest", "pow": "power", "mul": "factor", "truediv": "quotient",
    "divide": "quotient", "sub": "difference", "subtract": "difference", "astype": "converted", "expand_dims": "column",
    "updated": "placed", "increased": "placed",
}  # fmt: skip


class Statements:
    """Writes calls, and chooses names for what they give; numbers of ``inlined`` are written where they are used."""

    def __init__(self, texts: Texts, log: Log, inlined: Collection[Value] = ()) -> None:
        self._texts = texts
        self._log = log
        self._inlined = inlined
        self._before: list[str] = []  # lines that must stand before the statement that is being written
        self._latest: dict[int, tuple[list[str], list[str]]] = {}  # by the ids of lists of lines, the last comments

    def head(self, lines: list[str], *calls: Call) -> None:
        """Add comments to lines that say where in the step calls were made, as far as the last comments do not."""
        words = [*dict.fromkeys(word for call in calls for word in self._log.comments(call.stamp))]
        _, latest = self._latest.get(id(lines), (lines, []))
        if words and words != latest:
            self._latest[id(lines)] = lines, words
            known = sum(itertools.takewhile(bool, map(operator.eq, words, latest)))
            lines += [f"# {word}" for word in words[min(known, len(words) - 1) :]]

    def wish(self, value: Value, call: Call | None) -> str:
        """Say how a value should be called: as the user does, or by what is computed."""
        name = value.wish(self._texts)
        if name or call is None:
            return name or "x"
        source = self._texts.text(call.args[0]) if call.function is np.transpose else ""
        if source.isidentifier():  # and not an expression
            return f"{source}_T"
        index = call.args[1] if call.function is operator.getitem else ()
        adds_axes = any(item is None for item in (index if isinstance(index, tuple) else (index,)))
        name = "expand_dims" if adds_axes else name_of(call.function)
        return _WORDS.get(name, name.removesuffix(".reduce").split(".")[-1])

    def statement(
        self, call: Call, out: str | None = None, called: str | None = None, is_there: bool = False
    ) -> list[str]:
        """Write a call, perhaps into memory of some name, and as a call of another function that gives the same.

        With ``is_there`` the first argument lies in that memory, and only what is replaced need be written.
        """
        lines = self._statement(call, out, called, is_there)
        before, self._before = self._before, []
        return [*before, *lines]

    def _statement(self, call: Call, out: str | None, called: str | None, is_there: bool) -> list[str]:
        if call.function is require:
            return self.requirement(*call.args)
        texts = self._texts
        if call.function in (updated, increased):
            array, index, *ufunc, value = call.args
            sign = {(): "=", (np.add,): "+=", (np.subtract,): "-="}[tuple(ufunc)]
            name = out or texts.name(call.output, self.wish(call.output, call))
            last = f"{name}[{texts.index(index)}] {sign} {texts.text(value)}"
            if not call.output.is_array:
                return [f"{name} = np.array({texts.text(array)})", last, f"{name} = {name}[()]"]
            first = f"np.copyto({out}, {texts.text(array)})" if out else f"{name} = {texts.text(array)}.copy()"
            return [*([] if is_there else [first]), last]
        if out is not None:
            return wrapped(self._call(call, out, called))
        if call.output in self._inlined:
            text = self._call(call)
            if len(text) <= LONGEST:
                texts[call.output] = text
                return []
        names = [texts.name(output, self.wish(output, call)) for output in call.outputs]
        targets = ", ".join(names) + ("," if call.several and len(names) == 1 else "")
        return wrapped(f"{targets} = {self._call(call)}")

    def requirement(self, condition: Value, error: type[Exception], message: str, *values: Any) -> list[str]:
        """Write what `require` does."""
        texts = self._texts
        holds = f"{texts.text(condition)}.all()" if condition.is_array else texts.operand(condition)
        shown = list(map(texts.text, values))
        if condition.is_array:  # of each value that of the first element that does not hold
            wide = [one if v.shape == condition.shape else f"np.broadcast_to({one}, {condition.shape})"
                    for one, v in zip(shown, values)]  # fmt: skip
            shown = [f"{text}[~{texts.text(condition)}][0]" for text in wide]
        filling = f".format({', '.join(shown)})" if shown else ""
        pieces = [repr(piece) for piece in re.findall(r".{1,90}(?:\s+|$)|.{90}", message, re.DOTALL)] or ["''"]
        *first, last = (f"        {piece}" for piece in pieces)
        return [f"if not {holds}:", f"    raise {texts.text(error)}(", *first, f"{last}{filling}", "    )"]

    def _call(self, call: Call, out: str | None = None, called: str | None = None) -> str:
        """Write a call; where NumPy gives an array without axes for a number, which may show memory, its number."""
        text = self._text_of_call(call, out, called)
        return f"{text}[()]" if _gives_array(call) and not call.output.is_array else text

    def _text_of_call(self, call: Call, out: str | None, called: str | None) -> str:
        function, args, kwargs, texts = call.function, call.args, call.kwargs, self._texts
        if function in _SIGNS:
            return f"{texts.operand(args[0])} {_SIGNS[function]} {texts.operand(args[1])}"
        if function in _PREFIXES:
            return f"{_PREFIXES[function]}{texts.operand(args[0])}"
        if function is operator.getitem:
            return f"{texts.operand(args[0])}[{texts.index(args[1])}]"
        if function is astype:
            return f"{texts.operand(args[0])}.astype({texts.dtype(args[1])})"
        if function is np.transpose and len(args) == 1 and not kwargs:
            return f"{texts.operand(args[0])}.T"
        if getattr(np.random.Generator, getattr(function, "__name__", ""), None) is function:
            rest = [*map(texts.text, args[1:]), *texts.keywords(kwargs)]
            return f"{texts.operand(args[0])}.{function.__name__}({', '.join(rest)})"
        arguments = [self._of_dtype(arg, call) or texts.text(arg) for arg in args] + texts.keywords(kwargs)
        if out is not None:
            arguments.append(f"out={out}")
        return f"{called or texts.dotted(function)}({', '.join(arguments)})"

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
        arg = arg.item() if isinstance(arg, np.generic) else arg
        key, texts = ("of dtype", arg if is_float else repr(float(arg)), dtype), self._texts
        text = texts.text(arg)
        if is_literal:
            return texts.named(key, "c" + re.sub(r"\W", "_", f"{arg:g}"), f"np.array({text}, {texts.dtype(dtype)})")
        if key not in texts:
            texts.named(key, f"{text}_" if text.isidentifier() else "factor", f"np.empty((), {texts.dtype(dtype)})")
            self._before.append(f"{texts[key]}[...] = {text}")
        return texts[key]


def _gives_array(call: Call) -> bool:
    """Whether NumPy may give an array, if one without axes, for a call that gives one value."""
    if call.several or call.function in UFUNCS or not isinstance(call.output.dtype, np.dtype):
        return False
    if call.function is operator.getitem:
        index = call.args[1]
        return any(item is None or item is Ellipsis for item in (index if isinstance(index, tuple) else (index,)))
    return may_view(call) or facts_of(call.function).is_array


def _computes_in(dtype: np.dtype[Any], call: Call) -> bool:
    """Whether a ufunc converts all it is given to a dtype: ldexp takes integers, and SciPy's have ways of their own."""
    given = [arg.dtype if isinstance(arg, Value | np.generic) else type(arg) for arg in call.args]
    kinds = [kind if kind in (int, float) else np.dtype(kind) for kind in given]
    ufunc: Any = call.function
    inputs = ufunc.resolve_dtypes((*kinds, *(None,) * ufunc.nout))[: len(kinds)]
    return all(one == dtype for one in inputs)
