"""How planned programs are printed, and what is true of them: each value is there, in its memory, when it is read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from autodiff.compiler.plan.lifetimes import Buffer, Planned, changing
from autodiff.compiler.program import Call, Value, called, declared, values_in, written


class Labels(dict[Value, str]):
    """Names of the values of a planned program: those of the program, and others for what is planned beside them."""

    def __init__(self, planned: Planned) -> None:
        super().__init__(planned.program.names())

    def __missing__(self, value: Value) -> str:
        self[value] = f"m{len(self)}"
        return self[value]

    def call(self, call: Call, texts: Iterable[str] = ()) -> str:
        """Write what a call computes, of its arguments or of other texts for those that are values."""
        names = {value: self[value] for value in call.operands()}
        return called(call, names | dict(zip(call.operands(), texts)))

    def opening(self, planned: Planned) -> list[str]:
        """Write what a planned program is given, and makes once."""
        program = planned.program
        given = {"input": program.inputs, "state": [before for before, _ in program.state]}
        lines = [f"{kind} {declared(value, self)}" for kind, values in given.items() for value in values]
        lines += [f"memory {declared(buffer.value, self)}" for buffer in planned.buffers]
        once = [f"once {self[call.output]} = {self.call(call)}" for call in planned.once]
        return [*lines, *once]

    def ending(self, planned: Planned) -> list[str]:
        """Write what is copied into the state at the end, and what comes out."""
        results = [written(value, self) for value in planned.program.results]
        copies = [f"copy {self[after]} into {self[before]}" for before, after in planned.copies]
        return [*copies, f"return {', '.join(results)}"]

    def line(self, planned: Planned, call: Call, texts: Iterable[str] = ()) -> str:
        """Write a call, with the names of what it gives, and of the memory that this is written into."""
        outputs = [value for value in call.outputs if value.dtype is not type(None)]
        homes = (planned.home.get(value) for value in outputs)
        kept = "".join(f"  # in {self[home.value]}" for home in homes if home is not None)
        return f"{', '.join(self[value] for value in outputs)}{' = ' if outputs else ''}{self.call(call, texts)}{kept}"


class Check:
    """Goes through a planned program, and knows which values are there and what each piece of memory holds."""

    def __init__(self, planned: Planned, sources: Mapping[Value, set[Value]]) -> None:
        self.labels = Labels(planned)
        self._planned = planned
        self._sources = sources
        self._holds = {home: value for value, home in planned.home.items() if value.kind == "state"}
        self._there = {value for value in planned.home if value.kind == "state"}
        self._there |= {*planned.program.inputs, *(before for before, _ in planned.program.state)}
        for call in planned.once:  # also views of buffers, which show whatever lies there
            self._there.update(call.outputs)
        self._effects = [call for call in planned.program.calls if call.effect]

    def fail(self, value: Value, problem: str) -> None:
        """Say what is wrong with a value.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"{self.labels[value]} {problem}")

    def read(self, value: Value) -> None:
        """See that a value is there, and that the memory that it may show still holds what it held."""
        if value.kind != "constant" and value not in self._there:
            self.fail(value, "is read before it is computed")
        for one in (value, *self._sources.get(value, ())):
            home = self._planned.home.get(one)
            held = one if home is None else self._holds.get(home)
            if held is not one:
                by = f"{self.labels[held]} was written over it" if held else "before it was written into its memory"
                self.fail(value, f"is read after {by}")

    def do(self, reads: Collection[Value], outputs: Iterable[Value], may_overwrite: Collection[Value] = ()) -> None:
        """See that what is read is there, and take note of what is computed, perhaps over some of what is read."""
        for value in reads:
            self.read(value)
        shown = {one for value in reads if value not in may_overwrite for one in (value, *self._sources.get(value, ()))}
        written: set[Buffer] = set()
        for value in outputs:
            if value in self._there:
                self.fail(value, "is computed twice")
            self._there.add(value)
            home = self._planned.home.get(value)
            if home is None:
                continue
            held = self._holds.get(home)
            if held is not None and (held in shown or home in written):
                self.fail(value, f"is written over {self.labels[held]}, which is still needed")
            self._holds[home] = value
            written.add(home)

    def effect(self, call: Call) -> None:
        """See that a call with an effect is the next of those."""
        if call.effect and (not self._effects or call is not self._effects.pop(0)):
            raise ValueError(f"{self.labels.call(call)} has an effect, and is not in order")

    def end(self) -> None:
        """See that all is there that comes out, and that the state is what it becomes, or is copied there."""
        for value in values_in(self._planned.program.outcomes()):
            self.read(value)
        for call in self._effects:
            raise ValueError(f"{self.labels.call(call)} has an effect, and is left out")
        for before, after in changing(self._planned.program).items():
            is_there = self._holds.get(self._planned.home[before]) is after
            if not is_there and (before, after) not in self._planned.copies:
                self.fail(before, f"does not become {self.labels[after]}")
