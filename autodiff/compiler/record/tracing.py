"""One run of a step on recording arrays, a `Trace`, which leaves the state as it was; and what is known of a `Step`."""

from __future__ import annotations

import contextlib
import copy
import inspect
import operator
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial
from types import FunctionType, MethodType
from typing import Any, Literal
from weakref import ref

import numpy as np

from autodiff.arrays.foreign import other_array
from autodiff.compiler.naming import Line, line
from autodiff.compiler.program import Program, Value
from autodiff.compiler.record.log import StepWatch
from autodiff.compiler.record.recorder import TRACING, Constant, Recorded, RecordedGenerator, Recording
from autodiff.compiler.record.surroundings import Variable, is_a, leaves_in, same_number, substituting, variables_of
from autodiff.compiler.state import Place, Stateful, Unkept, places_of, restoring, stateful_parts
from autodiff.core.hooks import Hook, hooks_of
from autodiff.core.record import constant, data_of
from autodiff.core.rule import name_of
from autodiff.core.tensor import Tensor
from autodiff.core.watch import watching
from autodiff.transforms.containers import flatten, walk

MOST_ARRAYS = 100  # in a container, to which a step is given what records
WATCHED_BYTES = 2**20  # of an array whose contents are looked at in each call


class StateError(TypeError):
    """A step changes what is no part of its state."""


@dataclass
class Step:
    """What is compiled: a function, where its state lies, and what it was found to read beside that.

    Attributes:
        function: the step.
        places: where its state lies.
        stateful: modules, optimizers and the like in the state.
        variables: what it reads by name.
        reads: where Tensors lie that take part and are no part of the state, found by name or when it was recorded, and
            arrays that it reads by name and that may change.
        guarded: where these Tensors lie, and other state that it reads by name, with a name for people: it may not
            change them.
    """

    function: Callable[..., Any]
    places: Sequence[Place]
    stateful: Sequence[Stateful]
    variables: list[Variable]
    reads: list[Place] = field(default_factory=list)
    guarded: list[tuple[str, Place]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._known = {id(place.get() if place.tensor is None else place.tensor) for place in self.places}

    @classmethod
    def of(
        cls, function: Callable[..., Any], state: Any, inputs: Set[Hashable], args: Any, records_arrays: bool
    ) -> Step:
        """Find what a step reads by name.

        Args:
            function: the step.
            state: its state.
            inputs: numbers among the settings of the state that are inputs of the program.
            args: its arguments.
            records_arrays: whether what is done with arrays that it reads by name is recorded, wherever it is done. If
                not, what is computed from them alone is constant, and the contents of small ones are watched.
        """
        stateful = stateful_parts(state)
        leaves = [leaf for _, leaf in walk(args)]
        hooked = [*(place.tensor for place in places_of(state) if place.tensor is not None), *leaves]
        functions = [leaf for leaf in leaves if isinstance(leaf, FunctionType | MethodType)]
        variables = [
            variable
            for variable in variables_of(
                function, *functions, *(h for thing in hooked for h in hooks_of(thing).values())
            )
            # What it was compiled to often has the name of a method that it calls, as in optimizer.step().
            if not (hasattr(type(variable.value), "stateful_parts") and variable.value.__wrapped__ is function)
        ]
        called = {id(part): one.name + path for one in reversed(variables) for path, part in leaves_in(one.value)}
        places = [place for place in places_of(state, called) if not place.is_setting or place.tie in inputs]
        step = cls(function, places, stateful, variables)
        holders, left_out = _holders(variables), list[Stateful]()
        for part in stateful if records_arrays else ():
            step.read_arrays_of(part)
        for variable in list(variables):
            leaves_of = leaves_in(variable.value)
            for path, part in leaves_of:
                if isinstance(part, Tensor) and part.is_leaf:
                    step.read(part, variable.name + path)
                elif type(part) is np.ndarray and _may_change(part) and id(part) not in step._known:
                    if not records_arrays and part.nbytes <= WATCHED_BYTES:
                        step._known.add(id(part))
                        variables.append(Variable(f"contents of {variable.name}{path}", part, np.ndarray.tobytes))
                    elif records_arrays and len(leaves_of) <= MOST_ARRAYS and not isinstance(variable.holder, tuple):
                        step._known.add(id(part))
                        step.reads.append(_read_again(part, holders.get(id(part)), variable.name + path))
                elif isinstance(part, Stateful) and not any(part is one for one in (*stateful, *left_out)):
                    left_out.append(part)
                    if records_arrays:
                        step.read_arrays_of(part)
                    inner = stateful_parts([part])[1:]  # of a compiled step, which may well be this one
                    is_ours = bool(inner) and all(any(one is other for other in stateful) for one in inner)
                    for place in part.places():
                        if place.tensor is not None:
                            step.read(place.tensor, variable.name + path)
                        elif not (id(lies) in step._known if is_state(lies := place.get()) else is_ours):
                            step.guarded.append((variable.name + path, place))
        return step

    def read_arrays_of(self, part: Any) -> None:
        """Add the arrays that are attributes of modules, and may change."""
        for path, module in part.named_modules() if hasattr(type(part), "named_modules") else ():
            for name, value in list(vars(module).items()):
                if type(value) is np.ndarray and _may_change(value) and id(value) not in self._known:
                    self._known.add(id(value))
                    place = Place.of_attribute(f"{path}.{name}".strip(".").replace(".", "_"), module, name)
                    self.reads.append(replace(place, key=(id(module), name)))

    @property
    def called(self) -> str:
        """The name of the function, in a line."""
        return line(name_of(self.function))

    def read(self, tensor: Tensor, name: str) -> bool:
        """Add a Tensor to those that take part, and say whether it is new."""
        is_new = id(tensor) not in self._known
        if is_new:
            self._known.add(id(tensor))
            self.reads.append(Place.of_tensor(tensor.name or name, tensor, id(tensor)))
            self.guarded.append((name, self.reads[-1]))
        return is_new


@dataclass(frozen=True, eq=False)
class Gradient:
    """The gradient of a Tensor, before a step and after it.

    Attributes:
        of: the Tensor; or which of the program's inputs it is.
        change: there is none before or after, what there is is left alone or cleared, or there is a new one.
        before: what stands for it before, or None: there is none, or none that was kept.
        after: what stands for a new one.
        is_tensor: whether that is a Tensor.
    """

    of: Tensor | int
    change: Literal["none", "left", "cleared", "new"]
    before: Value | None
    after: Value | None = None
    is_tensor: bool = False


@dataclass(frozen=True)
class Trace:
    """What one run of a step on recording arrays gave.

    Attributes:
        program: the calls that were made. Gradients are neither among its inputs nor among its results.
        places: where the state of the program lies, and after it what it reads: Tensors, and arrays that may change.
        gradients: those of the Tensors of the state and among the arguments, and of others that it reads.
        rebuild: given the program's results, puts them into the form that the step returned.
        form: of the result: its type, and the ways to its leaves.
        arrays: those that stand for constants, and those that are read.
        lines: the user's lines that made the calls, by the stamps of these.
        watch: which rules of derivatives ran when.
        exposed: inputs that are read when the state was changed in place: these may not show its memory.
    """

    program: Program
    places: list[Place]
    gradients: list[Gradient]
    rebuild: Callable[..., Any]
    form: tuple[type, list[str]]
    arrays: Mapping[Value, Any]
    lines: Mapping[int, Line]
    watch: StepWatch
    exposed: set[Value]

    def used(self) -> set[Value]:
        """Give what the calls of the program use, and what is left."""
        used = {value for call in self.program.calls for value in call.operands()}
        used |= {value for value in self.program.outcomes() if isinstance(value, Value)}
        return used | {gradient.after for gradient in self.gradients if gradient.after is not None}

    def keys(self) -> list[Hashable]:
        """Say by what the state of the program is found again in another record of the step."""
        return [position if place.key is None else place.key for position, place in enumerate(self.places)]


def trace(step: Step, args: Any, kwargs: Any) -> Trace:
    """Run a step on recording arrays, and again where Tensors took part that were not known: then these record too.

    Arrays, Tensors and Python floats among the arguments become inputs of the program, anything else is part of it.
    Afterwards the state, and all that the step reads by name, is as it was.

    Raises:
        TypeError: the step looks into a value, does what cannot be recorded, or changes hooks or what is no part of its
            state.
    """
    while True:
        recording = Recording()
        try:
            traced = _run(step, args, kwargs, recording)
        finally:
            recording.end.set()
        if recording.refused is not None:
            raise recording.refused
        found = [step.read(tensor, tensor.name or "tensor") for tensor in traced.watch.outside]
        if not any(found):
            return _with_arrays(traced, recording, step.variables)


def _run(step: Step, args: Any, kwargs: Any, recording: Recording) -> Trace:
    watch = StepWatch()
    leaves, rebuild = flatten((args, kwargs))
    names = input_names(step.function, [path for path, _ in walk((args, kwargs))])
    opened = [_opened(leaf, name, recording) for leaf, name in zip(leaves, names, strict=True)]
    places = [*step.places, *step.reads]
    others = [place for _, place in step.guarded if place.tensor is None]
    with restoring([*step.places, *others], step.reads), _restoring_attributes(step.stateful):
        stand_ins = _stand_ins(places, recording)
        before = [stand_in.value for stand_in in stand_ins]
        tensors = [(place.name, place.tensor) for place in places if place.tensor is not None]
        inputs = [(leaf, name) for leaf, name in zip(opened, names) if is_input(leaf)]
        gradients = [_gradient(tensor, tensor, name, recording) for name, tensor in tensors]
        arguments = [(k, leaf, name) for k, (leaf, name) in enumerate(inputs) if isinstance(leaf, Tensor)]
        gradients += [_gradient(*argument, recording) for argument in arguments]
        substitutes = {}
        for place, stand_in in zip(places, stand_ins):
            if place.tensor is None and is_state(place.get()):
                substitutes[id(place.get())] = stand_in
            place.set(stand_in)
        values = [data_of(leaf).value for leaf, _ in inputs]
        args, kwargs = rebuild(opened)
        hooks = [hooks_of(tensor) for _, tensor in tensors]
        token = TRACING.set(True)
        try:
            with _unchanged(step.guarded), substituting(step.variables, substitutes), watching(watch):
                result = step.function(*args, **kwargs)
        finally:
            TRACING.reset(token)
            for tensor, before_step in watch.outside.items():
                tensor._array, tensor._age, tensor._grad = before_step
        for (_, tensor), were in zip(tensors, hooks):
            if hooks_of(tensor) != were:
                raise TypeError(
                    f"compile: the step changes the hooks of {tensor._label()}: register and remove them outside of it"
                )
        outputs, finish = _finisher(result)
        results = [recording.symbol(data_of(output)) for output in outputs]
        # What is its own place is still there, while the step has used what stands for it.
        contents = [place.get() for place in places]
        for place, content in zip(places, contents):
            if isinstance(content, Recorded):
                content.place = content.place or place.get
        after = [recording.symbol(data_of(substitutes.get(id(one), one))) for one in contents]
        left = [after_step() for after_step in gradients]
        for place, value, now in zip(places, before, after):
            if place.key is not None and now is not value:
                raise StateError(
                    f"compile: the step changes {place.name!r}, which is no part of the state: make it a Buffer"
                )
    for leaf, name in inputs:
        if data_of(leaf).changed:
            raise TypeError(
                f"compile: the step changes its argument {name!r} in place: return it, or name it in state="
            )
    program = Program(values, list(zip(before, after, strict=True)), recording.calls, results)
    form = type(result), [path for path, _ in walk(result)]
    return Trace(program, places, left, finish, form, {}, recording.lines, watch, _exposed(program, recording))


def _exposed(program: Program, recording: Recording) -> set[Value]:
    """Find the inputs that are read, perhaps by a view, after the state was first changed in place."""
    if recording.before_writing is None:
        return set()
    shown = {value: {value} for value in program.inputs}
    exposed: set[Value] = set()
    for position, call in enumerate(program.calls):
        sources = set().union(*(shown.get(value, ()) for value in call.operands()))
        if position >= recording.before_writing:
            exposed |= sources
        if not isinstance(call.function, np.ufunc):
            shown |= dict.fromkeys(call.outputs, sources)
    return exposed.union(*(shown.get(value, ()) for value in program.outcomes() if isinstance(value, Value)))


def _with_arrays(traced: Trace, recording: Recording, variables: Sequence[Variable]) -> Trace:
    """Tell constants from arrays that may change, which each run reads anew; and forget what is read but not used."""
    program, used, holders = traced.program, traced.used(), _holders(variables)
    pairs = [
        (place, pair)
        for place, pair in zip(traced.places, program.state, strict=True)
        if place.key is None or pair[0] in used
    ]
    arrays = {}
    for key in list(recording.constants):
        value, holder = recording.constants[key].value, holders.get(key)
        arrays[value], is_constant = _told(recording.constants, key)
        if is_constant:
            value.data = arrays[value]
        elif value in used:
            place = _read_again(arrays[value], holder, "array")
            value.kind, value.name = "state", place.name
            pairs.append((place, (value, value)))
    return replace(
        traced,
        program=replace(program, state=[pair for _, pair in pairs]),
        places=[place for place, _ in pairs],
        arrays=arrays,
    )


def _holders(variables: Sequence[Variable]) -> dict[int, Variable | None]:
    """Give the variable that holds an array, by the id of that, or None if several do."""
    holders: dict[int, Variable | None] = {}
    for variable in variables:
        if is_a(array := variable.read(), np.ndarray):
            holders[id(array)] = None if id(array) in holders else variable
    return holders


def _read_again(array: Any, holder: Variable | None, name: str) -> Place:
    """Make the place of an array that may change: where a variable is that holds it, that may hold another later."""
    place = Place.of_itself(name, array, id(array))
    if holder is None:
        return place
    function, argument = holder.reader()  # faster than `read`, and it is there
    return replace(place, name=holder.name, get=partial(function, argument), key=(id(holder.holder), holder.key))


def _may_change(array: Any) -> bool:
    """Whether somebody may write into an array, by itself or by what it shows."""
    while isinstance(array, np.ndarray) and not array.flags.writeable:
        array = array.base
    return array is not None


def _told(constants: dict[int, Constant], key: int) -> tuple[Any, bool]:
    """Take an array out, and say whether it is a constant: it cannot be written, or the step made it.

    An array that nobody holds when the step has run was made in it; what is given is a copy then.
    """
    array = constants.pop(key).array
    if array.base is not None or not _may_change(array):
        return array, not _may_change(array)
    copied, held = array.copy(order="K"), ref(array)
    del array
    array = held()
    return (copied, True) if array is None else (array, False)


def _finisher(result: Any) -> tuple[list[Any], Callable[..., Any]]:
    """List what a step returned, and make the function that puts the results of a program into the same form."""
    leaves, rebuild = flatten(result)
    were_tensors = [isinstance(leaf, Tensor) for leaf in leaves]
    if len(leaves) == 1 and result is leaves[0]:
        return leaves, constant if were_tensors[0] else lambda output: output

    def wrapped(outputs: Sequence[Any]) -> list[Any]:
        return [constant(x) if was else x for x, was in zip(outputs, were_tensors)]

    if type(result) is tuple and len(result) == len(leaves) and all(map(operator.is_, result, leaves)):
        return leaves, lambda *outputs: tuple(wrapped(outputs))
    _, rebuild = flatten(rebuild([0] * len(leaves)))  # which does not hold what was returned
    return leaves, lambda *outputs: rebuild(wrapped(outputs))


def _gradient(of: Tensor | int, tensor: Tensor, name: str, recording: Recording) -> Callable[[], Gradient]:
    """Put a stand-in in the place of a gradient, and give a function that says what the step has done with it."""
    found = tensor._grad
    if found is not None and not isinstance(found, Unkept):
        found = tensor._grad = _opened(found, f"d_{name}_before", recording)
    value = data_of(found).value if isinstance(data_of(found), Recorded) else None
    # The step may let go of it before it needs the memory for the next.
    before: Callable[[], Any] = ref(found) if value is not None else lambda: found

    def after_step() -> Gradient:
        now = tensor._grad
        if now is before() and (value is None or (now is not None and data_of(now).value is value)):
            return Gradient(of, "none" if now is None else "left", value)
        if now is None:
            return Gradient(of, "cleared", value)
        after = recording.symbol(data_of(now))
        after.name = f"d_{name}"
        return Gradient(of, "new", value, after, isinstance(now, Tensor))

    return after_step


def is_state(thing: Any) -> bool:
    """Whether something is a piece of state by itself, and not a number of something that is."""
    return isinstance(thing, np.ndarray | np.random.Generator)


def is_input(leaf: Any) -> bool:
    """Whether a leaf of the arguments may have another value in each run of one program."""
    return isinstance(leaf, Tensor | np.ndarray | np.generic | Recorded) or type(leaf) is float


def _opened(leaf: Any, name: str, recording: Recording) -> Any:
    """Give the recording array that stands for an argument, in a Tensor if that is one.

    Raises:
        TypeError: it is an array that computes in another way than arrays do.
    """
    if not is_input(leaf):
        return leaf
    data = data_of(leaf)
    if isinstance(data, np.matrix | np.ma.MaskedArray):
        raise TypeError(
            f"compile: an array of type {type(data).__name__} cannot be recorded, since it computes in its own way: "
            "give np.asarray of it"
        )
    own = np.copy(data, order="K") if isinstance(data, np.ndarray) else data  # which the step may change in place
    recorded = Recorded(own, Value.of(data, "input", name), recording)
    return standing_for(leaf, recorded) if isinstance(leaf, Tensor) else recorded


def alike(leaves: Sequence[Any]) -> list[Any]:
    """Give others for the Tensors among arguments, on which a step may leave gradients."""
    return [standing_for(leaf, leaf.data) if isinstance(leaf, Tensor) else leaf for leaf in leaves]


def standing_for(tensor: Tensor, data: Any) -> Tensor:
    """Make a Tensor of other data that is treated as one is, and has no graph."""
    other = constant(data)
    other.requires_grad, other.name, other._grad = tensor.requires_grad, tensor.name, tensor._grad
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
    if place.key is not None and isinstance(data, np.ndarray):
        data = data.view()
        data.flags.writeable = False
    elif not isinstance(data, np.ndarray) or not data.flags.writeable:
        data = copy.deepcopy(data)
    if isinstance(data, np.random.Generator):
        value = Value("state", (), np.random.Generator, False, place.name)
        return RecordedGenerator(data, value, recording)
    if place.key is not None and place.tensor is None and not isinstance(data, np.ndarray):
        raise TypeError(f"compile: {place.name!r} was an array and is a {type(data).__name__}")
    if other := other_array(data):
        raise TypeError(
            f"compile: {place.name!r} is a {other}, and a program computes with NumPy's arrays: give it as one"
        )
    return Recorded(data, Value.of(data, "state", place.name), recording)


@contextlib.contextmanager
def _restoring_attributes(stateful: Sequence[Any]) -> Iterator[None]:
    """Put attributes of modules back that a block assigns: what records is not to be left there."""
    modules = [module for part in stateful if hasattr(type(part), "modules") for module in part.modules()]
    before = [dict(vars(module)) for module in modules]
    try:
        yield
    finally:
        for module, attributes in zip(modules, before):
            now = vars(module)
            if now.keys() != attributes.keys() or any(attributes[name] is not value for name, value in now.items()):
                vars(module).clear()
                vars(module).update(attributes)


@contextlib.contextmanager
def _unchanged(guarded: Sequence[tuple[str, Place]]) -> Iterator[None]:
    """Refuse a block that changes what is no part of the state, also where that led to another error."""
    before = [(name, place, place.get()) for name, place in guarded]
    cause = None
    try:
        yield
    except TypeError as error:
        cause = error
    for name, place, contents in before:
        now = place.get()
        if now is not contents and not same_number(now, contents):
            raise StateError(
                f"compile: the step changes {name!r}, which is no part of the state: name it in state=, beside what "
                "else the step changes"
            ) from cause
    if cause is not None:
        raise cause


def input_names(step: Callable[..., Any], paths: Sequence[str]) -> list[str]:
    """Call the leaves of ``(args, kwargs)`` by the names of the step's parameters.

    Example:
        >>> input_names(lambda x, batch: None, ["[0][0]", "[0][1]['images']", "[1]['rate']"])
        ['x', "batch['images']", 'rate']
    """
    parameters: list[str] = []
    with contextlib.suppress(ValueError):  # of a function that is not written in Python
        every = inspect.signature(step).parameters.values()
        parameters += [one.name for one in every if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    names = []
    for path in paths:
        is_keyword = path.startswith("[1]")
        first, _, rest = path[4:].partition("]")
        name = first.strip("'\"")
        if not is_keyword:
            name = parameters[int(first)] if int(first) < len(parameters) else f"input_{first}"
        names.append(name + rest)
    return names
