"""How planned programs are printed, and what is true of them: each value is there, in its memory, when it is read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from autodiff.compiler.plan.lifetimes import Buffer, Planned, changing
from autodiff.compiler.program import Call, Value, called, declared, values_in, written


class Labels(dict[Value, str]):
    """Names of the values of a planned program: those of the program, and others for what is planned beside them."""

    def __missing__(self, value: Value) -> str:
        self[value] = f"m{len(self)}"
        return self[value]

    def call(self, call: Call, texts: Iterable[str] = ()) -> str:
        """Write what a call computes, of its arguments or of other texts for those that are values."""
        names = {value: self[value] for value in call.operands()}
        return called(call, names | dict(zip(call.operands(), texts)))

    def line(self, planned: Planned, call: Call) -> str:
        """Write a call, with the names of what it gives, and of the memory that this is written into."""
        outputs = [value for value in call.outputs if value.dtype is not type(None)]
        kept = "".join(f"  # in {self[planned.home[value].value]}" for value in outputs if value in planned.home)
        return f"{', '.join(self[value] for value in outputs)}{' = ' if outputs else ''}{self.call(call)}{kept}"


def printed(planned: Planned, body: Callable[[Labels], Iterable[str]]) -> str:
    """Write what a planned program is given and makes once, the lines of each run, and how it ends."""
    program, labels = planned.program, Labels(planned.program.names())
    given = {
        "input": program.inputs,
        "state": [before for before, _ in program.state],
        "memory": [buffer.value for buffer in planned.buffers],
    }
    lines = [f"{kind} {declared(value, labels)}" for kind, values in given.items() for value in values]
    lines += [f"once {labels[call.output]} = {labels.call(call)}" for call in planned.once]
    lines += body(labels)
    lines += [f"copy {labels[after]} into {labels[before]}" for before, after in planned.copies]
    return "\n".join([*lines, f"return {', '.join(written(value, labels) for value in program.results)}"])


class Check:
    """Goes through a planned program, and knows which values are there and what each piece of memory holds."""

    def __init__(self, planned: Planned, sources: Mapping[Value, set[Value]]) -> None:
        self._labels = Labels(planned.program.names())
        self._planned = planned
        self._sources = sources
        self._there = {*planned.program.inputs, *(before for before, _ in planned.program.state)}
        self._holds = {home: value for value, home in planned.home.items() if value in self._there}
        for call in planned.once:  # also views of buffers, which show whatever lies there
            self._there.update(call.outputs)

    def fail(self, value: Value, problem: str) -> None:
        """Say what is wrong with a value.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"{self._labels[value]} {problem}")

    def read(self, value: Value) -> None:
        """See that a value is there, and that the memory that it may show still holds what it held."""
        if value.kind != "constant" and value not in self._there:
            self.fail(value, "is read before it is computed")
        for one in self._shown(value):
            if one in self._planned.home and self._holds.get(self._planned.home[one]) is not one:
                self.fail(value, "is read after something was written over it")

    def do(self, reads: Collection[Value], outputs: Iterable[Value], may_overwrite: Collection[Value] = ()) -> None:
        """See that what is read is there, and take note of what is computed, perhaps over some of what is read."""
        for value in reads:
            self.read(value)
        needed = {one for value in reads if value not in may_overwrite for one in self._shown(value)}
        written: set[Buffer] = set()
        for value in outputs:
            if value in self._there:
                self.fail(value, "is computed twice")
            self._there.add(value)
            if home := self._planned.home.get(value):
                if self._holds.get(home) in needed or home in written:
                    self.fail(value, f"is written over {self._labels[self._holds[home]]}, which is still needed")
                self._holds[home] = value
                written.add(home)

    def _shown(self, value: Value) -> tuple[Value, ...]:
        return value, *self._sources.get(value, ())

    def end(self, calls: Iterable[Call]) -> None:
        """See that all is there that comes out, after all effects, and that the state is what it becomes, or gets it.

        Raises:
            ValueError: an effect is left out.
        """
        planned = self._planned
        for value in values_in(planned.program.outcomes()):
            self.read(value)
        if [call for call in calls if call.effect] != [call for call in planned.program.calls if call.effect]:
            raise ValueError("calls with effects are left out, or not in order")
        for before, after in changing(planned.program).items():
            if self._holds[planned.home[before]] is not after and (before, after) not in planned.copies:
                self.fail(before, f"does not become {self._labels[after]}")
