"""A program bound to its state, by Python without loops that is written for each program.

The step of a small network takes a few microseconds, in which one cannot go through lists of parameters. So all that
must be looked at in each call stands in the text of two functions, everything by a name of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from autodiff.compiler.bind.forms import gradient_form
from autodiff.compiler.bind.modules import build_of
from autodiff.compiler.program import Program
from autodiff.compiler.record.gradients import Record, kind_of
from autodiff.compiler.record.recorder import Recorded
from autodiff.compiler.record.surroundings import Surroundings
from autodiff.compiler.record.tracing import Gradient, Step
from autodiff.compiler.state import Place, Unkept
from autodiff.compiler.write.module import Source
from autodiff.core.clock import tick
from autodiff.core.hooks import HOOKS, hooks_of
from autodiff.core.record import constant, data_of
from autodiff.core.rule import Array, name_of
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
        source, program, record, step, backend: as of `Bound`.
        inputs: arguments that others will be like: arrays, Tensors and numbers.
        only_inputs: whether the step takes these and nothing else, so that it is enough to look at them.
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
        source: Source,
        program: Program,
        record: Record,
        step: Step,
        inputs: Sequence[Any],
        only_inputs: bool,
        surroundings: Surroundings,
        backend: str,
    ) -> None:
        self._source, self._program, self._record, self._step, self._inputs = source, program, record, step, inputs
        self._build = build_of(source.text, step.called, backend)
        self._state = list(zip(program.state, record.trace.places, strict=True))
        self._place_of = {before: place for (before, _), place in self._state}  # any of those that are tied
        self._places = [self._place_of[value] for value in source.arrays]
        changed = {before for before, after in program.state if after is not before}
        self._changes = [value in changed for value in source.arrays]
        self._owners: dict[int, Array] = {}
        self._stateful = [*step.stateful, *surroundings.parts]
        self._tensors = [place.tensor for place in self._place_of.values() if place.tensor is not None]
        self._hooks = [hooks_of(tensor) for tensor in self._tensors]
        self.is_for = list(record.is_for)
        read = [place.tensor for place in self._place_of.values() if place.key is not None and place.tensor is not None]
        self._read_forms = [(tensor, gradient_form(tensor)) for tensor in read]
        self._space: dict[str, Any] = {"step": None, "bind": self._bind, "rebuild": record.trace.rebuild, "tick": tick}
        # As long as no Tensor has hooks, nobody looks for any: and at the set itself, since that of references asks
        # for its length, which takes a fortieth of a small step.
        self._space |= {"hooks": HOOKS.data, "hooks_of": hooks_of}  # type: ignore[attr-defined]
        self._space |= {"is_for": self.is_for, "has_gradients": self.has_gradients}
        self._space |= {
            "kind_of": kind_of,
            "data_of": data_of,
            "tensor_of": constant,
            "owners": self._owners,
            "apart": self._apart,
        }
        self._arrays = [self._name(None, "array") for _ in self._places]
        self._variables = [(self._name(one.value, "value"), one) for one in surroundings.watched]
        self._watches = [self._name(None, "watch") for _ in self._stateful]
        names = [f"input_{number}" for number in range(len(inputs))]
        opening = [f"{', '.join(names)}, = args"] if names else []
        conditions = self._conditions(names) if only_inputs else ["False"]
        fits = [
            f"if len(args) != {len(names)}: return False",
            *opening,
            f"try: return {' and '.join(conditions)}",
            "except (AttributeError, LookupError, TypeError, ValueError): return False",
        ]
        run = [*opening, *self._statements(names)]
        for head, body in (("def fits(args):", fits), ("def run(args):", run)):
            exec("\n    ".join([head, *body]), self._space)
        self.fits, self.run = self._space["fits"], self._space["run"]
        self.renew()

    def renew(self) -> None:
        """Let the program fit the settings and hooks of the state, after it was seen that they are the same."""
        self._hooks = [hooks_of(tensor) for tensor in self._tensors]
        self._space.update(zip(self._watches, (part.watch() for part in self._stateful)))
        self._space.update((name, variable.value) for name, variable in self._variables)

    def has_gradients(self) -> bool:
        """Whether gradients are of the kinds that the program is for, and wanted of what it reads as they were."""
        is_as_before = all(gradient_form(tensor) == form for tensor, form in self._read_forms)
        return is_as_before and all(kind_of(tensor._grad) == kind for tensor, kind in self.is_for)

    def _are_hooks_as_before(self) -> bool:
        return self._hooks == [hooks_of(tensor) for tensor in self._tensors]

    def _bind(self) -> None:
        """Make the program's function for the arrays that the state has now.

        Raises:
            RuntimeError: two of them lie in the same memory, into which the program writes, or one is of another form.
        """
        arrays = [place.get() for place in self._places]
        arrays = [one.recording.original(one) if isinstance(one, Recorded) else one for one in arrays]
        for array, value, place in zip(arrays, self._source.arrays, self._places):
            form = getattr(array, "shape", None), getattr(array, "dtype", None), isinstance(array, np.ndarray)
            if value.is_array and form != (value.shape, value.dtype, True):
                raise RuntimeError(
                    f"compile: the step reads {place.name!r}, which was an array of {value.dtype} and shape "
                    f"{value.shape} when it was compiled and is now another {type(array).__name__}: make it an "
                    "argument of the step, or compile again"
                )
        self._refuse_shared(arrays)
        self._space.update(zip(self._arrays, arrays))
        constants = [self._record.trace.arrays[value] for value in self._source.constants]
        self._space["step"] = self._build(*arrays, *constants, *self._source.given)
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

    def _statements(self, names: Sequence[str]) -> Iterator[str]:
        """Write how a step is taken."""
        source, program, record = self._source, self._program, self._record
        replaced = [f"{self._read(place)} is not {name}" for place, name in zip(self._places, self._arrays)]
        yield f"if {' or '.join(['step is None', *replaced])}: bind()"
        for name, example, value in zip(names, self._inputs, program.inputs):
            if isinstance(example, Tensor):
                yield f"of_{name} = {name}; {name} = of_{name}._array"
            is_exposed = value.is_array and value in record.trace.exposed
            if is_exposed or value in source.late:
                yield f"if {name}.base is not None or id({name}) in owners: {name} = apart({name}, {is_exposed})"
        arguments = [*names, *(f"data_of({self._owner(gradient.of)}._grad)" for gradient in record.given)]
        arguments += [self._read(self._place_of[value]) for value in source.numbers]
        results = [f"result_{number}" for number in range(len(program.results) - len(record.kept))]
        gradients = {gradient: f"gradient_{number}" for number, gradient in enumerate(record.kept)}
        numbers = [f"number_{number}" for number in range(len(source.changed_numbers))]
        yield f"[{', '.join([*results, *gradients.values(), *numbers])}] = step({', '.join(arguments)})"
        for (before, after), place in self._state:
            if after is not before and place.tensor is not None:
                yield f"{self._name(place.tensor, 'tensor')}._age = tick()"
        yield from self._gradients(gradients)
        for name, number in zip(numbers, source.changed_numbers):
            places = [place for (_, after), place in self._state if after is number]
            yield from (self._set(place, name) for place in places)
        yield f"return rebuild({', '.join(results)})"

    def _gradients(self, kept: Mapping[Gradient, str]) -> Iterator[str]:
        """Write what becomes of gradients: those that are kept have names, and others are cleared or refuse any use."""
        for gradient in self._record.trace.gradients:
            left = None
            if gradient in kept:
                left = f"{'tensor_of' if gradient.is_tensor else 'data_of'}({kept[gradient]})"
            elif gradient.change == "new":
                label = gradient.of._label() if isinstance(gradient.of, Tensor) else "its argument"
                left = self._name(Unkept(label, name_of(self._step.function)), "unkept")
            if left or gradient in self._record.cleared:
                yield f"{self._owner(gradient.of)}._grad = {left}"

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

    def _set(self, place: Place, name: str) -> str:
        """Write what puts something in a place; in that of a list without a call."""
        put: Any = place.set
        holder = getattr(put.func, "__self__", None) if isinstance(put, partial) and len(put.args) == 1 else None
        if type(holder) is list and put.func == holder.__setitem__:
            return f"{self._name(holder, 'list')}[{self._name(put.args[0], 'position')}] = {name}"
        return f"{self._name(put, 'set')}({name})"

    def _conditions(self, names: Sequence[str]) -> list[str]:
        """Write what must be true for arguments to fit."""
        conditions = ["(not is_for or has_gradients())"]
        for name, example in zip(names, self._inputs):
            conditions.append(f"type({name}) is {self._name(type(example), 'type')}")
            if isinstance(example, Tensor):
                conditions.append(f"{name}.requires_grad is {example.requires_grad}")
                conditions.append(f"kind_of({name}._grad) == {self._name(kind_of(example._grad), 'kind')}")
                conditions.append("False" if hooks_of(example) else f"(not hooks or not hooks_of({name}))")
                name, example = f"{name}._array", example._array
            if isinstance(example, np.ndarray):
                conditions.append(f"{name}.shape == {example.shape}")
                conditions.append(f"{name}.dtype is {self._name(example.dtype, 'dtype')}")
        conditions += [f"{self._name(one, 'tensor')}.requires_grad is {one.requires_grad}" for one in self._tensors]
        if self._tensors:
            asked = f"{self._name(self._are_hooks_as_before, 'are_as_before')}()"
            conditions.append(asked if any(self._hooks) else f"(not hooks or {asked})")
        conditions += [f"{watch}()" for watch in self._watches]
        return conditions + [variable.condition(name, self._name) for name, variable in self._variables]
