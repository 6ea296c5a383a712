"""A program bound to its state, by Python without loops that is written for each program.

The step of a small network takes a few microseconds, in which one cannot go through lists of parameters. So all that
must be looked at in each call stands in the text of two functions, everything by a name of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff.compiler.program import Value
from autodiff.compiler.record.surroundings import Surroundings
from autodiff.compiler.state import Place, Stateful
from autodiff.core.clock import tick
from autodiff.core.hooks import HOOKS, hooks_of
from autodiff.core.record import data_of
from autodiff.core.rule import Array
from autodiff.core.tensor import Tensor


class Binding:
    """A program bound to its state.

    For a step of an array and one parameter the two functions are about::

        def fits(args):
            if len(args) != 1: return False
            input_0, = args
            try: return ((not is_for or has_gradients())
                         and type(input_0) is ndarray and input_0.shape == (32, 64) and input_0.dtype is float32
                         and tensor.requires_grad is True and (not hooks or are_as_before()) and watch()
                         and cell.cell_contents is value)
            except (AttributeError, LookupError, TypeError, ValueError): return False

        def run(args):
            input_0, = args
            if step is None or tensor._array is not array: bind()
            if input_0.base is not None or id(input_0) in owners: input_0 = apart(input_0, False)
            [result_0, number_0] = step(input_0, get_rate())
            tensor._age = tick()
            tensor._grad = unkept
            set_number(number_0)
            return rebuild(result_0)

    Args:
        build: makes the program's function, of the arrays of the state and of constants.
        inputs: arguments that others will be like: arrays, Tensors and numbers.
        late: which of them are arrays that are read when the state may have been written into, and which of these the
            step itself reads when it has changed the state in place.
        only_inputs: whether the step takes these and nothing else, so that it is enough to look at them.
        arrays: where the arrays and Generators of the state lie that ``build`` is given, and what stands for each.
        changes: which of them the program changes.
        given: Tensors of the state, or numbers of inputs, whose gradients the program's function is given too.
        constants: what ``build`` is given after them.
        numbers: where the numbers of the state lie that the program's function is given after the inputs.
        changed: where each of those lies that it gives after the results, which may be several places.
        tensors: all Tensors of the state, and whether the program changes them.
        gradients: Tensors, or numbers of inputs, and what becomes of their gradients: None, what is left in their
            place, or a function of what is given after the results.
        is_for: Tensors of which it matters, and of what type their gradients must be.
        results: how many results there are.
        rebuild: given them, puts them into the form in which the step returns them.
        stateful: the modules, optimizers and the like in the state.
        surroundings: what the step reads by name.

    Attributes:
        fits: whether positional arguments are like the inputs, and the state and the surroundings as they were. If not,
            the program may still be the right one.
        run: takes a step, given the inputs. The arrays of the state may be others than in the call before.
        is_for: Tensors of which it matters, and of what type their gradients must be; it may become shorter.
    """

    fits: Callable[[tuple[Any, ...]], bool]
    run: Callable[[Sequence[Any]], Any]

    def __init__(
        self,
        *,
        build: Callable[..., Callable[..., Any]],
        inputs: Sequence[Any],
        late: Sequence[tuple[bool, bool]],
        only_inputs: bool,
        arrays: Sequence[tuple[Place, Value]],
        changes: Sequence[bool],
        given: Sequence[Tensor | int],
        constants: Sequence[Any],
        numbers: Sequence[Place],
        changed: Sequence[Sequence[Place]],
        tensors: Sequence[tuple[Tensor, bool]],
        gradients: Sequence[tuple[Tensor | int, Any]],
        is_for: Sequence[tuple[Tensor, type]],
        results: int,
        rebuild: Callable[..., Any],
        stateful: Sequence[Stateful],
        surroundings: Surroundings,
    ) -> None:
        self._build = build
        self._places = [place for place, _ in arrays]
        self._values = [value for _, value in arrays]
        self._changes = changes
        self._owners: dict[int, Array] = {}
        self._constants = constants
        self._stateful = [*stateful, *surroundings.parts]
        self._surroundings = surroundings
        self._tensors = [tensor for tensor, _ in tensors]
        self._hooks = [hooks_of(tensor) for tensor in self._tensors]
        self._space: dict[str, Any] = {"step": None, "bind": self._bind, "rebuild": rebuild, "tick": tick}
        # As long as no Tensor has hooks, nobody looks for any: and at the set itself, since that of references asks
        # for its length, which takes a fortieth of a small step.
        self._space |= {"hooks": HOOKS.data, "hooks_of": hooks_of}  # type: ignore[attr-defined]
        self.is_for = list(is_for)
        self._space |= {"is_for": self.is_for, "has_gradients": self.has_gradients}
        self._space |= {"data_of": data_of, "owners": self._owners, "apart": self._apart}
        self._arrays = [self._name(None, "array") for _ in self._places]
        self._watches = [self._name(None, "watch") for _ in self._stateful]
        names = [f"input_{number}" for number in range(len(inputs))]
        conditions = self._conditions(names, inputs, tensors, surroundings) if only_inputs else ["False"]
        opening = [f"{', '.join(names)}, = args"] if names else []
        fits = [
            f"if len(args) != {len(names)}: return False",
            *opening,
            f"try: return {' and '.join(conditions)}",
            "except (AttributeError, LookupError, TypeError, ValueError): return False",
        ]
        taken = [name for name, example in zip(names, inputs) if isinstance(example, Tensor)]
        moved = [(name, is_exposed) for name, (is_late, is_exposed) in zip(names, late) if is_late or is_exposed]
        arguments = [*names, *(f"data_of({self._owner(of)}._grad)" for of in given)]
        arguments += [self._read(place) for place in numbers]
        replaced = ["step is None"]
        replaced += [f"{self._read(p)} is not {array}" for p, array in zip(self._places, self._arrays)]
        returned = [f"result_{number}" for number in range(results)]
        kept = [f"gradient_{number}" for number, (_, left) in enumerate(gradients) if callable(left)]
        new_numbers = [f"number_{number}" for number in range(len(changed))]
        run = [
            *opening,
            f"if {' or '.join(replaced)}: bind()",
            *(f"of_{name} = {name}; {name} = of_{name}._array" for name in taken),
            *(
                f"if {name}.base is not None or id({name}) in owners: {name} = apart({name}, {no})"
                for name, no in moved
            ),
            f"[{', '.join([*returned, *kept, *new_numbers])}] = step({', '.join(arguments)})",
            *(f"{self._name(tensor, 'tensor')}._age = tick()" for tensor, is_changed in tensors if is_changed),
            *(self._gradient(of, left, f"gradient_{number}") for number, (of, left) in enumerate(gradients)),
            *(f"{self._name(p.set, 'set')}({number})" for number, group in zip(new_numbers, changed) for p in group),
            f"return rebuild({', '.join(returned)})",
        ]
        text = [
            "def fits(args):",
            *(f"    {line}" for line in fits),
            "def run(args):",
            *(f"    {line}" for line in run),
        ]
        exec("\n".join(text), self._space)
        self.fits, self.run = self._space["fits"], self._space["run"]
        self.renew()

    def renew(self) -> None:
        """Let the program fit the settings and hooks of the state, after it was seen that they are the same."""
        self._hooks = [hooks_of(tensor) for tensor in self._tensors]
        self._space.update(zip(self._watches, (part.watch() for part in self._stateful)))
        self._space.update(self._surroundings.values())

    def has_gradients(self) -> bool:
        """Whether the gradients of the state are of the types that the program is for."""
        return all(type(tensor._grad) is kind for tensor, kind in self.is_for)

    def _are_hooks_as_before(self) -> bool:
        return self._hooks == [hooks_of(tensor) for tensor in self._tensors]

    def _bind(self) -> None:
        """Make the program's function for the arrays that the state has now.

        Raises:
            RuntimeError: two of them lie in the same memory, into which the program writes, or one is of another form.
        """
        arrays = [place.get() for place in self._places]
        for array, value, place in zip(arrays, self._values, self._places):
            form = getattr(array, "shape", None), getattr(array, "dtype", None), isinstance(array, np.ndarray)
            if value.is_array and form != (value.shape, value.dtype, True):
                raise RuntimeError(
                    f"compile: the step reads {place.name!r}, which was an array of {value.dtype} and shape "
                    f"{value.shape} when it was compiled and is now another {type(array).__name__}: make it an "
                    "argument of the step, or compile again"
                )
        self._refuse_shared(arrays)
        self._space.update(zip(self._arrays, arrays))
        self._space["step"] = self._build(*arrays, *self._constants)
        self._owners.clear()
        for array, is_changed in zip(arrays, self._changes):
            while is_changed and isinstance(array, np.ndarray):
                self._owners[id(array)] = array
                array = array.base

    def _refuse_shared(self, arrays: Sequence[Any]) -> None:
        spans = [
            (*np.lib.array_utils.byte_bounds(array), position)
            for position, array in enumerate(arrays)
            if isinstance(array, np.ndarray) and array.size
        ]
        reaching: list[tuple[int, int]] = []  # the spans before that are not at their end, and which they are
        for first, end, k in sorted(spans):
            reaching = [(behind, other) for behind, other in reaching if behind > first]
            for _, other in reaching:
                is_changed = self._changes[k] or self._changes[other]
                if is_changed and np.shares_memory(arrays[k], arrays[other]):
                    names = [repr(self._places[one].name) for one in sorted((k, other))]
                    raise RuntimeError(
                        f"compile: {' and '.join(names)} lie in the same memory, and the step changes one of them: "
                        "give one a copy"
                    )
            reaching.append((end, k))

    def _apart(self, array: Array, is_exposed: bool) -> Array:
        """Give an array that shares no memory with the state: itself, or a copy."""
        owner = array.base
        if type(owner) is np.ndarray and owner.base is None and id(owner) not in self._owners:
            return array
        is_shared = any(np.may_share_memory(array, one) for one in self._owners.values())
        if is_shared and is_exposed:
            raise RuntimeError(
                f"compile: an argument of shape {array.shape} shows the memory of the state, which the step changes in "
                "place before it has read all of the argument: give it a copy"
            )
        return np.copy(array, order="K") if is_shared else array

    def _gradient(self, of: Tensor | int, left: Any, new: str) -> str:
        """Write what becomes of a gradient."""
        text = f"{self._name(left, 'left')}({new})" if callable(left) else self._name(left, "left")
        return f"{self._owner(of)}._grad = {text}"

    def _owner(self, of: Tensor | int) -> str:
        """Write whose a gradient is."""
        return f"of_input_{of}" if isinstance(of, int) else self._name(of, "tensor")

    def _name(self, thing: Any, kind: str) -> str:
        """Give something a name in the text."""
        name = f"{kind}_{len(self._space)}"
        self._space[name] = thing
        return name

    def _read(self, place: Place) -> str:
        """Write what lies in a place."""
        return (
            f"{self._name(place.get, 'get')}()"
            if place.tensor is None
            else f"{self._name(place.tensor, 'tensor')}._array"
        )

    def _conditions(
        self,
        names: Sequence[str],
        inputs: Sequence[Any],
        tensors: Sequence[tuple[Tensor, bool]],
        surroundings: Surroundings,
    ) -> list[str]:
        """Write what must be true for arguments to fit."""
        conditions = ["(not is_for or has_gradients())"]
        for name, example in zip(names, inputs):
            conditions.append(f"type({name}) is {self._name(type(example), 'type')}")
            if isinstance(example, Tensor):
                conditions.append(f"{name}.requires_grad is {example.requires_grad}")
                conditions.append(f"type({name}._grad) is {self._name(type(example._grad), 'type')}")
                conditions.append("False" if hooks_of(example) else f"(not hooks or not hooks_of({name}))")
                name, example = f"{name}._array", example._array
            if isinstance(example, np.ndarray):
                conditions.append(f"{name}.shape == {example.shape}")
                conditions.append(f"{name}.dtype is {self._name(example.dtype, 'dtype')}")
        for tensor, _ in tensors:
            conditions.append(f"{self._name(tensor, 'tensor')}.requires_grad is {tensor.requires_grad}")
        if tensors:
            asked = f"{self._name(self._are_hooks_as_before, 'are_as_before')}()"
            conditions.append(asked if any(self._hooks) else f"(not hooks or {asked})")
        return [*conditions, *(f"{watch}()" for watch in self._watches), *surroundings.conditions(self._name)]
