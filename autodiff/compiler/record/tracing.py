"""One run of a step on recording arrays, which leaves the step's state as it was."""

from __future__ import annotations

import contextlib
import copy
import inspect
import operator
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from traceback import FrameSummary
from typing import Any

import numpy as np

from autodiff.arrays.foreign import other_array
from autodiff.compiler.program import Program, Value
from autodiff.compiler.record.log import RuleWatch
from autodiff.compiler.record.recorder import TRACING, Recorded, RecordedGenerator, Recording
from autodiff.compiler.record.surroundings import Variable, same_number, substituting
from autodiff.compiler.state import Place, restoring
from autodiff.core.hooks import Hook, hooks_of
from autodiff.core.record import constant, data_of
from autodiff.core.tensor import Tensor
from autodiff.core.watch import watching
from autodiff.transforms.containers import Rebuild, flatten, walk


@dataclass(frozen=True)
class Trace:
    """What one run of a step on recording arrays gave.

    Attributes:
        program: the calls that were made.
        rebuild: given the program's results, puts them into the form that the step returned.
        form: of the result: its type, and the ways to its leaves.
        constants: arrays that were used and are neither input nor state, with what stands for them in the program.
        frames: the user's lines that made the calls, by the stamps of these.
        rules: which rules of derivatives ran when.
    """

    program: Program
    rebuild: Callable[..., Any]
    form: tuple[type, list[str]]
    constants: list[tuple[Any, Value]]
    frames: Mapping[int, FrameSummary]
    rules: RuleWatch


def trace(
    step: Callable[..., Any],
    places: Sequence[Place],
    others: Sequence[tuple[str, Place]],
    variables: Sequence[Variable],
    inputs: Sequence[Any],
    names: Sequence[str],
    rebuild: Rebuild,
) -> Trace:
    """Run a step once on recording arrays.

    Args:
        step: the step.
        places: where its state lies; afterwards everything there is as it was.
        others: where that of modules, optimizers and the like lies that are no part of it, though the step reads them,
            and their names.
        variables: what the step reads by name.
        inputs: the leaves of its arguments. Arrays, Tensors and Python floats become inputs of the program, anything
            else is part of it.
        names: what the program calls them.
        rebuild: makes ``(args, kwargs)`` of the leaves.

    Raises:
        TypeError: the step looks into a value, does what cannot be recorded, or changes hooks or what is no part of its
            state.
    """
    recording, rules = Recording(), RuleWatch()
    opened = [_opened(leaf, name, recording) for leaf, name in zip(inputs, names, strict=True)]
    with recording.until_the_end(), restoring([*places, *(place for _, place in others)]), _unchanged(others):
        stand_ins = _stand_ins(places, recording)
        before = [stand_in.value for stand_in in stand_ins]
        tensors = [place.tensor for place in places if place.tensor is not None]
        substitutes = {}
        for place, stand_in in zip(places, stand_ins):
            if place.tensor is not None:
                place.tensor._grad = None
            elif isinstance(place.get(), np.ndarray | np.random.Generator):
                substitutes[id(place.get())] = stand_in
            place.set(stand_in)
        args, kwargs = rebuild(opened)
        hooks = [hooks_of(tensor) for tensor in tensors]
        token = TRACING.set(True)
        try:
            with substituting(variables, substitutes), watching(rules):
                result = step(*args, **kwargs)
        finally:
            TRACING.reset(token)
        for tensor, before_step in zip(tensors, hooks):
            if hooks_of(tensor) != before_step:
                raise TypeError(
                    f"compile: the step changes the hooks of {tensor._label()}, which is part of the state: register "
                    "and remove them outside of the step"
                )
        leaves, rebuild_result = flatten(result)
        results = [_value_of(leaf, recording) for leaf in leaves]
        # What is its own place is still there, while the step has used what stands for it.
        contents = [place.get() for place in places]
        for place, content in zip(places, contents):
            if isinstance(content, Recorded):
                content.place = content.place or place.get
        after = [_value_of(substitutes.get(id(one), one), recording) for one in contents]
        for place in places:
            if place.tensor is not None and place.tensor._grad is not None:
                _value_of(place.tensor._grad, recording).name = f"d_{place.name}"
    in_values = []
    for leaf, name in zip(opened, names, strict=True):
        if is_input(leaf):
            recorded = data_of(leaf)
            if recorded.changed:
                raise TypeError(
                    f"compile: the step changes its argument {name!r} in place: return it, or name it in state="
                )
            in_values.append(recorded.value)
    program = Program(in_values, list(zip(before, after, strict=True)), recording.calls, results)
    form = type(result), [path for path, _ in walk(result)]
    finish = _rebuilder(result, leaves, rebuild_result)
    return Trace(program, finish, form, recording.constants(), recording.frames, rules)


def _rebuilder(result: Any, leaves: Sequence[Any], rebuild: Rebuild) -> Callable[..., Any]:
    """Make the function that puts the results of a program into the form that the step returned."""
    were_tensors = [isinstance(leaf, Tensor) for leaf in leaves]
    if len(leaves) == 1 and result is leaves[0]:
        return constant if were_tensors[0] else lambda output: output

    def wrapped(outputs: Sequence[Any]) -> list[Any]:
        return [constant(x) if was else x for x, was in zip(outputs, were_tensors)]

    if type(result) is tuple and len(result) == len(leaves) and all(map(operator.is_, result, leaves)):
        return lambda *outputs: tuple(wrapped(outputs))
    return lambda *outputs: rebuild(wrapped(outputs))


def is_input(leaf: Any) -> bool:
    """Whether a leaf of the arguments may have another value in each run of one program."""
    return isinstance(leaf, Tensor | np.ndarray | np.generic | Recorded) or type(leaf) is float


def _refuse_subclass(data: Any) -> None:
    """Refuse arrays that compute in another way than arrays do.

    Raises:
        TypeError: it is a matrix or a masked array.
    """
    if isinstance(data, np.matrix | np.ma.MaskedArray):
        raise TypeError(
            f"compile: an array of type {type(data).__name__} cannot be recorded, since it computes in its own way: "
            "give np.asarray of it"
        )


def _opened(leaf: Any, name: str, recording: Recording) -> Any:
    """Give the recording array that stands for an argument, in a Tensor if that is one."""
    if not is_input(leaf):
        return leaf
    data = data_of(leaf)
    _refuse_subclass(data)
    own = np.copy(data, order="K") if isinstance(data, np.ndarray) else data  # which the step may change in place
    recorded = recording.wrap(own, Value.of(data, "input", name))
    return standing_for(leaf, recorded) if isinstance(leaf, Tensor) else recorded


def standing_for(tensor: Tensor, data: Any) -> Tensor:
    """Make a Tensor of other data that is treated as one is, and has no graph."""
    other = constant(data)
    other.requires_grad, other.name = tensor.requires_grad, tensor.name
    for function in hooks_of(tensor).values():
        Hook(other, function)
    return other


def _stand_ins(places: Sequence[Place], recording: Recording) -> list[Any]:
    """Make what takes the place of the state: one stand-in for places that are tied."""
    keys: list[Hashable] = [position if place.tie is None else place.tie for position, place in enumerate(places)]
    by_key: dict[Hashable, Any] = {}
    for key, place in zip(keys, places):
        if key not in by_key:
            by_key[key] = _stand_in(place, recording)
            by_key[key].place = place.get
    return [by_key[key] for key in keys]


def _stand_in(place: Place, recording: Recording) -> Any:
    """Give what takes the place of a piece of state in a recorded run, which may write into it."""
    data = place.get()
    if not isinstance(data, np.ndarray) or not data.flags.writeable:
        data = copy.deepcopy(data)
    if isinstance(data, np.random.Generator):
        value = Value("state", (), np.random.Generator, False, place.name)
        return RecordedGenerator(data, value, recording)
    if other := other_array(data):
        raise TypeError(
            f"compile: {place.name!r} of the state is a {other}, and a program computes with NumPy's arrays"
        )
    return recording.wrap(data, Value.of(data, "state", place.name))


def _value_of(leaf: Any, recording: Recording) -> Any:
    """Give what stands in the program for something that is left after a recorded run."""
    if isinstance(leaf, Tensor) and isinstance(leaf.data, Recorded):
        leaf = leaf.data
    return recording.symbol(data_of(leaf))


@contextlib.contextmanager
def _unchanged(others: Sequence[tuple[str, Place]]) -> Iterator[None]:
    """Refuse a block that changes what is no part of the state, also where that led to another error."""
    before = [(name, place, _lies_in(place)) for name, place in others]
    cause = None
    try:
        yield
    except TypeError as error:
        cause = error
    for name, place, contents in before:
        if any(one is not other and not same_number(one, other) for one, other in zip(_lies_in(place), contents)):
            raise TypeError(
                f"compile: the step changes {name!r}, or computes its gradients, and it is no part of the state: name "
                "it in state=, beside what else the step changes"
            ) from cause
    if cause is not None:
        raise cause


def _lies_in(place: Place) -> tuple[Any, Any]:
    return place.get(), None if place.tensor is None else place.tensor._grad


def input_names(step: Callable[..., Any], paths: Sequence[str]) -> list[str]:
    """Call the leaves of ``(args, kwargs)`` by the names of the step's parameters.

    Example:
        >>> input_names(lambda x, batch: None, ["[0][0]", "[0][1]['images']", "[1]['rate']"])
        ['x', "batch['images']", 'rate']
    """
    try:
        every = inspect.signature(step).parameters.values()
    except ValueError:  # of a function that is not written in Python
        every = dict[str, inspect.Parameter]().values()
    by_position = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [parameter.name for parameter in every if parameter.kind in by_position]
    names = []
    for path in paths:
        is_keyword = path.startswith("[1]")
        first, _, rest = path[4:].partition("]")
        name = first.strip("'\"")
        if not is_keyword:
            name = parameters[int(first)] if int(first) < len(parameters) else f"input_{first}"
        names.append(name + rest)
    return names
