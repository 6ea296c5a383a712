"""What the functions of a program in machine code share, and the arrays and numbers that one of them knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from autodiff.compiler.plan.loops import LoopProgram
from autodiff.compiler.program import Value
from autodiff.compiler.write.statements import Statements
from autodiff.compiler.write.texts import Texts


@dataclass
class Machine:
    """What the functions of a program share.

    Attributes:
        loops: the program.
        texts: the names of the program.
        statements: what writes calls that Python makes.
        made_once: values that are made once, and so lie in memory that stays.
        addressed: the names of what machine code finds by its address.
        kernels: which functions of ours the program calls.
    """

    loops: LoopProgram
    texts: Texts
    statements: Statements
    addressed: dict[Any, str] = field(default_factory=dict)
    kernels: set[str] = field(default_factory=lambda: {"on_contiguous"})

    def address(self, key: Any, name: str) -> int:
        """Give the number of an array among the addresses."""
        self.addressed.setdefault(key, name)
        return list(self.addressed).index(key) + 2


class Scope:
    """The arrays and numbers of one function, by names that all of the program may share.

    Args:
        machine: what the functions of the program share.
        title: the name of the function.

    Attributes:
        machine: what the functions of the program share.
        here: numbers that are computed in this function.
        arrays: how arrays in memory are found, by their names.
        shapes: lines that give arrays other shapes.
        parameters: arrays and numbers that the function is given.
    """

    def __init__(self, machine: Machine, title: str) -> None:
        self.machine = machine
        self.here: dict[Value, str] = {}
        self.arrays: dict[str, str] = {}
        self.shapes: list[str] = []
        self.parameters: dict[Value, str] = {}
        self._title = title
        self._texts = machine.texts
        self._elements = machine.loops.elements

    def array(self, key: Any, name: str, shape: tuple[int, ...], dtype: Any) -> str:
        """Give the name of an array in memory, and see that the function has it."""
        if name not in self.arrays:
            place = f"addresses[{self.machine.address(key, name)}]"
            self.arrays[name] = f"array_at({place}, {shape or (1,)}, {self._texts.dtype(dtype)})"
        return name

    def memory(self, value: Value) -> str:
        """Give the name of an array that a value is."""
        loops, texts = self.machine.loops, self._texts
        if self._elements.kind_of(value) == "reshaped":
            key = self._title, value, "reshaped"
            if key not in texts:
                text = f"{self.memory(self._elements.root(value))}.reshape({value.shape})"
                self.shapes.append(f"{texts.name(key, 'reshaped')} = {text}")
            return texts[key]
        home = loops.home.get(value) or loops.rows.get(value)
        if home is not None:
            return self.array(home, texts[value], home.value.shape, home.value.dtype)
        if value.kind == "constant" or self._elements.makers.get(value) in loops.once:
            return self.array(value, texts[value], value.shape, value.dtype)
        return self.parameters.setdefault(value, texts[value])

    def element(self, value: Value, indices: str) -> str:
        """Write an element of an array; one without axes has one element, or none has a place."""
        name = self.memory(value)
        return f"{name}[{indices or ('()' if value in self.parameters else '0')}]"

    def number(self, value: Value) -> str:
        """Give the name of a number."""
        if value in self.here:
            return self.here[value]
        if value not in self.parameters:
            name = self._texts[value]
            if value in self.machine.loops.crossing:
                wish = self.machine.statements.wish(value, self._elements.makers.get(value))
                name = self._texts.name((self._title, value), wish)
            self.parameters[value] = name
        return self.parameters[value]

    def local(self, value: Value) -> str:
        """Name a number that the function computes."""
        wish = self.machine.statements.wish(value, self._elements.makers[value])
        name = self.here[value] = self._texts.name((self._title, value), wish)
        self._texts.setdefault(value, name)
        return name
