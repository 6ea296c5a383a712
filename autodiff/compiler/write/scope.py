"""The arrays and numbers that one function in machine code knows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from autodiff.compiler.plan.loops import LoopProgram
from autodiff.compiler.program import Value
from autodiff.compiler.write.statements import Statements
from autodiff.compiler.write.texts import Texts


@dataclass
class Scope:
    """The arrays and numbers that one function in machine code knows, and what writes the program around it.

    Attributes:
        title: the name of the function.
        later: by the names of arrays in memory, what else lies there later.
        here: numbers that are computed in this function.
        arrays: how arrays in memory are found, by their names.
        shapes: lines that give arrays other shapes.
        parameters: arrays and numbers that the function is given.
    """

    loops: LoopProgram
    texts: Texts
    statements: Statements
    title: str
    later: Mapping[str, Collection[str]]
    here: dict[Value, str] = field(default_factory=dict)
    arrays: dict[str, str] = field(default_factory=dict)
    shapes: list[str] = field(default_factory=list)
    parameters: dict[Value, str] = field(default_factory=dict)

    def remark(self, name: str) -> str:
        """Say in a comment what else lies in an array in memory."""
        return f"  # then {', '.join(self.later[name])}" if name in self.later else ""

    def array(self, key: Any, name: str, shape: tuple[int, ...], dtype: Any) -> str:
        """Give the name of an array in memory, and see that the function has it."""
        if name not in self.arrays:
            place = f"addresses[{self.texts.address(key, name)}]"
            self.arrays[name] = f"array_at({place}, {shape or (1,)}, {self.texts.dtype(dtype)})"
        return name

    def memory(self, value: Value) -> str:
        """Give the name of an array that a value is."""
        loops, texts = self.loops, self.texts
        if self.loops.elements.kind_of(value) == "reshaped":
            key = self.title, value, "reshaped"
            if key not in texts:
                text = f"{self.memory(self.loops.elements.root(value))}.reshape({value.shape})"
                self.shapes.append(f"{texts.name(key, 'reshaped')} = {text}")
            return texts[key]
        home = loops.home.get(value) or loops.rows.get(value)
        if home is not None:
            return self.array(home, texts[value], home.value.shape, home.value.dtype)
        if value.kind == "constant" or self.loops.elements.makers.get(value) in loops.once:
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
            name = self.texts[value]
            if value in self.loops.crossing:
                wish = self.statements.wish(value, self.loops.elements.makers.get(value))
                name = self.texts.name((self.title, value), wish)
            self.parameters[value] = name
        return self.parameters[value]

    def local(self, value: Value) -> str:
        """Name a number that the function computes."""
        wish = self.statements.wish(value, self.loops.elements.makers[value])
        name = self.here[value] = self.texts.name((self.title, value), wish)
        self.texts.setdefault(value, name)
        return name
