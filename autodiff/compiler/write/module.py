"""The module that a program becomes, with either backend: ``build``, which makes what runs use, and in it ``step``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autodiff.compiler.naming import line
from autodiff.compiler.plan.lifetimes import Buffer, Planned, sources_of
from autodiff.compiler.program import Value, declared, mapped, values_in
from autodiff.compiler.record.log import Log
from autodiff.compiler.write.statements import Statements
from autodiff.compiler.write.texts import Texts, wrapped
from autodiff.core.rule import Array, name_of


@dataclass
class Source:
    """A program as text, and what it must be given.

    Attributes:
        text: of a module with a function ``build``, which is given arrays, constants and what has no text, and gives
            ``step``: a function of the inputs and of numbers, which returns the results and the changed numbers.
        arrays: the arrays and Generators of the state.
        numbers: the numbers of the state.
        constants: arrays that are not written in the text.
        given: what has no text.
        changed_numbers: what numbers of the state become, each once, as the places of several may hold it.
        late: inputs that are read when the state may have been written into.
    """

    text: str
    arrays: list[Value]
    numbers: list[Value]
    constants: list[Value]
    given: list[Any]
    changed_numbers: list[Any]
    late: set[Value]


class Module:
    """Names what a program is given and what it makes once, and writes the frame of its text.

    Attributes:
        planned: the program.
        texts: the names of the program.
        statements: what writes its calls.
        source: what the program must be given.
    """

    def __init__(
        self,
        planned: Planned,
        called: str,
        returned: Sequence[str],
        log: Log,
        taken: Iterable[str] = (),
        inlined: Collection[Value] = (),
    ) -> None:
        program = planned.program
        self.planned = planned
        self.texts = Texts({*taken, *_packages(planned)})
        self.statements = Statements(self.texts, log, inlined)
        self._called, self._returned = called, returned
        # Those of Tensors come first: the binding of a program to its arrays relies on it.
        arrays = [value for value, _ in program.state if value.is_array or value.dtype is np.random.Generator]
        are_arrays = set(arrays)
        numbers = list(dict.fromkeys(value for value, _ in program.state if value not in are_arrays))
        values = [value for call in (*planned.once, *planned.calls) for value in call.operands()]
        constants = [
            value for value in dict.fromkeys([*values, *values_in(program.outcomes())]) if value.kind == "constant"
        ]
        texts = {value: text for value in constants if (text := _regular(value.data)) is not None}
        constants = [value for value in constants if value not in texts]
        changed = changed_numbers(planned)
        self.source = Source("", arrays, numbers, constants, self.texts.given, changed, planned.late)
        for value in (*arrays, *program.inputs, *numbers):
            self.texts.name(value, value.name or "x")
        for value, text in texts.items():
            self.texts.named(value, value.name or text[3:].partition("(")[0], text)
        for number, value in enumerate(constants):
            self.texts.name(value, value.name or f"constant_{number}")

    def make_once(self, names: Mapping[Buffer, Iterable[str]]) -> None:
        """Write the lines that make buffers, which have several names one after the other, and what is called once."""
        for buffer in self.planned.buffers:
            value, axes = buffer.value, buffer.axes
            shape = value.shape if axes is None else tuple(value.shape[axis] for axis in axes)
            order = "" if axes is None else ".T" if axes == (1, 0) else f".transpose{tuple(np.argsort(axes).tolist())}"
            text = f"np.empty({shape}, {self.texts.dtype(value.dtype)}){order}"
            self.texts.fixed += wrapped(" = ".join([*names[buffer], text]))
        for buffer in names:
            others = [name for name in names[buffer] if buffer.is_state and name != self.texts[buffer.value]]
            self.texts.fixed += [f"{name} = {self.texts[buffer.value]}  # in its place" for name in others]
        for call in self.planned.once:
            self.texts.fixed += self.statements.statement(call)

    def ending(self) -> list[str]:
        """Write what is left to be copied into the state, and what is returned: the caller's from then on."""
        planned, texts = self.planned, self.texts
        lines = []
        results = list(map(texts.text, planned.program.results))
        own = _own(planned)
        for position, value in enumerate(planned.program.results):
            if isinstance(value, Value) and value.is_array and value not in own:
                results[position] += ".copy()"
                if planned.copies:
                    text, results[position] = results[position], texts.name(object(), "result")
                    lines.append(f"{results[position]} = {text}")
        copies = {after: texts.text(after) for _, after in planned.copies}
        for after in copies:
            if after in planned.kept:
                text, copies[after] = copies[after], texts.name(object(), "kept")
                lines.append(f"{copies[after]} = {text}.copy()")
        lines += [f"{texts[before]}[...] = {copies[after]}" for before, after in planned.copies]
        results += map(texts.text, self.source.changed_numbers)
        return [*lines, f"return {', '.join(results)}{',' if len(results) == 1 else ''}" if results else "return ()"]

    def finished(self, body: Sequence[str], head: Sequence[str] = ()) -> Source:
        """Give the source, with the lines of ``step``, and perhaps others before ``build``."""
        texts, source = self.texts, self.source
        parameters = ", ".join(texts[value] for value in (*self.planned.program.inputs, *source.numbers))
        arguments = ", ".join(
            [*(texts[value] for value in (*source.arrays, *source.constants)), *texts.names_of_given()]
        )
        lines = [
            *self._docstring(arguments, parameters, [*texts.imports, *head]),
            "",
            *sorted(texts.imports, key=lambda line: (line != "import numpy as np", line)),
            *(head or ["", ""]),
            *wrapped(f"def build({arguments}):"),
            *(f"    {line}" for line in texts.fixed),
            *([""] if texts.fixed else []),
            *(f"    {line}" for line in wrapped(f"def step({parameters}):")),
            *(f"        {line}" for line in body),
            "",
            "    return step",
        ]
        source.text = "\n".join(lines) + "\n"
        return source

    def _docstring(self, arguments: str, parameters: str, imports: Sequence[str]) -> list[str]:
        """Say what the module takes and gives, how it is used, and which packages it needs."""
        texts, source, state = self.texts, self.source, self.planned.program.state
        changed = {before for before, after in state if after is not before or before.dtype is np.random.Generator}
        given = [
            _told(value, texts[value], value.name, "changed in place" if value in changed else "")
            for value in source.arrays
        ]
        given += [_told(value, texts[value], value.name, "a constant of the step") for value in source.constants]
        for name, thing in zip(texts.names_of_given(), source.given):
            kind = f"the function {name_of(thing)}" if callable(thing) else f"a {type(thing).__name__}"
            given.append(f"{name}: {line(kind)}, which has no text")
        taken = [_told(value, texts[value], value.name) for value in self.planned.program.inputs]
        taken += [_told(value, texts[value], value.name, "of the state") for value in source.numbers]
        names, left = Texts(()), []
        for what, value in zip(self._returned, self.planned.program.results, strict=True):
            value = value if isinstance(value, Value) else Value.of(value, "call")
            wish, text = value.wish(texts), texts.get(value, "")
            wish = text if wish and text.isidentifier() else wish
            name = names.name(object(), wish if wish and value.kind == "call" else what)
            left.append(_told(value, name, what))
        for number in source.changed_numbers:
            numbers = dict.fromkeys(texts[before] for before, after in state if after is number)
            value = number if isinstance(number, Value) else Value.of(number, "call")
            name = names.name(object(), next(iter(numbers)))
            left.append(_told(value, name, f"the {' and '.join(numbers)} of the next call"))
        results = [text.partition(":")[0] for text in left]
        opening = f"({', '.join(results)}{',' if len(results) == 1 else ''}) = " if results else ""
        needs = {text.split()[1].partition(".")[0] for text in imports if text.startswith(("import ", "from "))}
        needs |= {"scipy"} if "numba" in needs else set()  # from which Numba has its products
        return [
            f'"""{self._called}, as a program for arguments of these shapes and dtypes.',
            "",
            *(f"    {text}" for text in wrapped(f"step = build({arguments})")),
            *(f"    {text}" for text in wrapped(f"{opening}step({parameters})")),
            *_listed("build takes", given),
            *_listed("step takes", taken),
            *_listed(f"step gives, where result is what {self._called} returns", left),
            "",
            f"It was written with NumPy {np.__version__}, and needs {', '.join(sorted(needs))}.",
            '"""',
        ]


def _told(value: Value, name: str, *remarks: str | None) -> str:
    """Describe a value in a line: the name that it has here, its form, and what else there is to say."""
    return ", ".join(
        [declared(value, {value: name}), *(text for text in map(line, filter(None, remarks)) if text != name)]
    )


def _listed(head: str, texts: Sequence[str]) -> list[str]:
    """Write a list under a head, if there is anything in it."""
    return ["", f"{head}:", *(f"    {text}" for text in texts)] if texts else []


def _own(planned: Planned) -> set[Value]:
    """Choose results whose memory the caller may have, as a run makes it and nothing else shows or keeps it."""
    makers = {output: call for call in planned.calls for output in call.outputs}
    sources = sources_of(planned.calls)
    wanted = [value for value in planned.program.results if isinstance(value, Value)]
    shown = {value: {value, *sources.get(value, ())} for value in wanted}
    held = Counter(one for value in wanted for one in shown[value])
    fresh = {value for value in held if value in makers and value not in planned.home and held[value] == 1}
    fresh -= {value for value in fresh if makers[value].function is np.broadcast_to}
    return {value for value in wanted if shown[value] <= fresh}


def changed_numbers(planned: Planned) -> list[Any]:
    """List what the numbers of the state become, and name those that are computed."""
    changed: list[Any] = []
    for before, after in planned.program.state:
        is_number = not before.is_array and before.dtype is not np.random.Generator
        if is_number and after is not before and after not in changed:
            if isinstance(after, Value) and after.kind == "call":
                after.name = f"next_{before.name}"
            changed.append(after)
    return changed


def _packages(planned: Planned) -> set[str]:
    """List the packages whose functions a program may name."""
    found: list[Any] = []
    for call in planned.program.calls:
        mapped([call.function, *call.args, *call.kwargs.values()], found.append)
    return {"scipy", *(str(getattr(item, "__module__", "")).partition(".")[0] for item in found)}


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
