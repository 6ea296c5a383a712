"""``ad.compile``: a step that runs once on recording arrays, and from then on as a program."""

from __future__ import annotations

import builtins
import dataclasses
import functools
import importlib.util
import inspect
import itertools
import linecache
import operator
import os
import sys
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, NoReturn
from weakref import finalize

import numpy as np

from autodiff.arrays.foreign import other_array
from autodiff.compiler.bind.again import Repetition
from autodiff.compiler.bind.binding import Binding
from autodiff.compiler.bind.verify import Verification
from autodiff.compiler.depiction import graph_of
from autodiff.compiler.naming import line
from autodiff.compiler.plan.memory import layout_of
from autodiff.compiler.record.log import Log
from autodiff.compiler.record.recorder import TRACING, Recorded
from autodiff.compiler.record.surroundings import Surroundings, Variable, leaves_in, variables_of
from autodiff.compiler.record.tracing import Trace, input_names, is_input, standing_for, trace
from autodiff.compiler.simplify.passes import PASSES, simplified
from autodiff.compiler.state import Place, Stateful, places_of, stateful_parts
from autodiff.compiler.write.machine import MachineWriter, cached_module
from autodiff.compiler.write.source import Writer
from autodiff.core import clock
from autodiff.core.hooks import hooks_of
from autodiff.core.record import data_of
from autodiff.core.rule import name_of
from autodiff.core.tensor import Tensor
from autodiff.files import write_atomically
from autodiff.transforms.containers import flatten, walk

MOST_PROGRAMS = 16
BACKENDS = ("numpy", "numba")


def compile(
    step: Callable[..., Any],
    state: Any = (),
    *,
    check: bool = True,
    exact: bool = False,
    without: Sequence[str] = (),
    backend: str = "numpy",
) -> Compiled:
    """Turn a step into a program of plain NumPy calls, and run that.

    The first call with arguments of given shapes and dtypes runs the step on recording arrays, which write down every
    NumPy call: of the forward pass, the backward pass and the optimizer alike. What was written down is simplified, and
    becomes the text of a function, which later calls run. A step may be anything that is computed by NumPy functions
    with Tensors and arrays, without looking into them.

    A step begins without gradients, as after ``optimizer.zero_grad()``, and leaves none behind. Python code in it that
    does something else than compute, such as appending to a list, runs when the step is recorded, and not otherwise.

    What the step reads must stay as it is, but for its arguments and its state. Variables that it, or a function of the
    same file that it calls, reads by name are looked at in each call. For all else the step is recorded anew, and both
    records compared: before calls 2, 4 and 8, and then so often that this takes at most 1 % of the running time.
    Arguments and the state, its Generators among it, are afterwards as they were. `Compiled.check` does it at once.

    Args:
        step: a function of arrays, numbers, Tensors and nested containers of them. Python floats among its arguments
            may be others in each call; for other integers, strings and so on, another program is made.
        state: what the step changes, or what changes between its calls: modules, optimizers, schedules, Tensors,
            arrays, Generators and compiled steps that it calls, or lists of them.
        check: compare the program with the step when it is made, over two steps on copies of the state, and record the
            step anew in later calls.
        exact: leave out simplifications that change rounding; results are then the step's to the last bit.
        without: names of simplifications that are to be left out.
        backend: ``"numpy"`` for plain NumPy calls, or ``"numba"`` for machine code: elementwise calls are joined into
            loops, which Numba compiles. Compiling takes a few seconds, the first time: the machine code is kept in
            files for the next. Results are then the step's within rounding.

    Returns:
        A function of the same arguments. Tensors among its results have no graph.

    Raises:
        TypeError: the step is not callable, or a generator or async, or the state is none. In the first call: the step
            looks into a value, as ``if`` and ``float()`` do, does something else that cannot be recorded, or changes
            what is no part of the state; an argument is an array that is not NumPy's, or may change unseen.
        ValueError: there is no simplification or backend of a name, or the program is to be exact machine code.
        ImportError: ``backend="numba"`` without Numba or SciPy.
        RuntimeError: in a call: the program gives something else than the step, or something that the step uses has
            changed and is no part of the state. The message names the line and the value, and says since which call
            results may be old.

    Example:
        >>> w = ad.Tensor([1.0, 2.0], name="w")
        >>> def descend(x):
        ...     w.grad = None
        ...     loss = ((w * x).sum() - 1) ** 2
        ...     loss.backward()
        ...     w.data = w.data - 0.1 * w.grad
        ...     return loss
        >>> compiled = compile(descend, state=w)
        >>> [round(float(compiled(np.array([1.0, 0.5]))), 4) for _ in range(3)]
        [1.0, 0.5625, 0.3164]
    """
    if not callable(step):
        raise TypeError(f"compile: the step must be a function, got {step!r}")
    if inspect.isgeneratorfunction(step) or inspect.iscoroutinefunction(step) or inspect.isasyncgenfunction(step):
        raise TypeError(f"compile: {name_of(step)} must return what it computes, and not yield it or be async")
    unknown = [repr(name) for name in without if name not in PASSES]
    if unknown:
        raise ValueError(f"compile: there is no simplification {', '.join(unknown)}; there are {', '.join(PASSES)}")
    places_of(state)
    if backend not in BACKENDS:
        raise ValueError(f"compile: backend must be one of {', '.join(map(repr, BACKENDS))}, got {backend!r}")
    if backend == "numba":
        if exact:
            raise ValueError(
                'compile: with backend="numba" sums are taken in another order, and exact=True is for backend="numpy"'
            )
        if importlib.util.find_spec("numba") is None or importlib.util.find_spec("scipy") is None:
            raise ImportError('compile: backend="numba" needs Numba and SciPy: pip install "autodiff[fast]"')
    return Compiled(step, state, check, exact, frozenset(without), backend)


class Compiled:
    """A step that runs as a program, as `compile` makes it.

    Attributes:
        source: the text of the latest program: a function ``build`` of the arrays of the state, which makes the memory
            that is used by every run, and gives the function of the step's arguments.
    """

    def __init__(
        self, step: Callable[..., Any], state: Any, check: bool, exact: bool, without: frozenset[str], backend: str
    ) -> None:
        self._step = step
        self._backend = backend
        self._state = state
        self._parts = stateful_parts(state)
        self._check = check
        self._exact = exact
        self._without = without
        self._programs: OrderedDict[Hashable, _Program] = OrderedDict()
        self._latest: _Program | None = None
        self._evictions = 0
        self._settings: Hashable = None
        self._are_settings_known: Callable[[], bool] = lambda: False
        self._lock = threading.RLock()
        functools.update_wrapper(self, step, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take a step."""
        if TRACING.get():
            return self._step(*args, **kwargs)
        with self._lock:  # the memory of a program is for one run at a time
            program = self._latest
            if program is not None and not kwargs and program.fits(args):
                inputs: Sequence[Any] = args
            else:
                program = self._latest = self._find(args, kwargs)
                inputs = program.inputs_among(args, kwargs)
            program.until_due = until_due = program.until_due - 1
            return program.run_when_due(inputs, args, kwargs) if until_due == 0 else program.run(inputs)

    def check(self) -> None:
        """Record the step anew with the first arguments of each form, and compare: as some calls do, but at once.

        Raises:
            RuntimeError: the step is not what it was when it was compiled.
        """
        with self._lock:
            for program in self._programs.values():
                program.check()

    def _find(self, args: Any, kwargs: Any) -> _Program:
        """Give the program for arguments of this form, and make it if there is none.

        Raises:
            RuntimeError: a variable that the step reads has changed.
        """
        settings = self.settings()
        places = places_of(self._state)
        tensors = tuple(_gradient_form(place.tensor) for place in places if place.tensor is not None)
        leaves = list(walk((args, kwargs)))
        for path, leaf in leaves:
            _refuse_others(leaf, path, self._step)
        key = settings, tensors, *((path, _argument_form(leaf)) for path, leaf in leaves)
        program = self._programs.get(key)
        if program is None:
            return self._add(key, places, args, kwargs)
        program.renew()
        return program

    def _add(self, key: Hashable, places: list[Place], args: Any, kwargs: Any) -> _Program:
        """Make the program for arguments of a new form, and let go of the one that was made first if there are many."""
        program = _Program(self._step, places, self._parts, args, kwargs, self._exact, self._without, self._backend)
        if self._check:
            program.verify(self._step, args, kwargs, self.settings, self._exact)
        else:
            program.until_due = program.repetition.due = sys.maxsize
        if len(self._programs) == MOST_PROGRAMS:
            self._programs.popitem(last=False)
            self._evictions += 1
            if self._evictions % MOST_PROGRAMS == 1:
                warnings.warn(
                    f"compile: {name_of(self._step)} has been compiled for {MOST_PROGRAMS + self._evictions} forms of "
                    f"its arguments, and only the last {MOST_PROGRAMS} are kept: give it arrays of fewer shapes",
                    RuntimeWarning,
                    stacklevel=4,
                )
        self._programs[key] = program
        return program

    def places(self) -> list[Place]:
        """List where the state of the step lies, for a step that calls it and is compiled too."""
        return places_of(self._state)

    def settings(self) -> Hashable:
        """Give all else that the step depends on."""
        if not self._are_settings_known():
            self._settings = tuple([part.settings() for part in self._parts])
            self._are_settings_known = self.watch()
        return self._settings

    def watch(self) -> Callable[[], bool]:
        """Give a function that says whether the settings are as they were then."""
        watches = [part.watch() for part in self._parts]
        return lambda: all(is_unchanged() for is_unchanged in watches)

    @property
    def source(self) -> str:
        """The text of the program of the latest call.

        Raises:
            RuntimeError: there is none before the first call.
        """
        return self._last_program().source

    def graph(self) -> list[Tensor]:
        """Give the program of the latest call as Tensors without numbers, as ``autodiff.draw(compiled)`` draws it.

        Raises:
            RuntimeError: there is none before the first call.
        """
        return graph_of(self._last_program().program)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the text of the program of the latest call to a file, which is a module of its own.

        Raises:
            RuntimeError: there is none before the first call.
            OSError: the file cannot be written.
        """
        path = Path(path)
        write_atomically(path, self.source.encode())
        return path

    def _last_program(self) -> _Program:
        if self._latest is None:
            raise RuntimeError(f"compile: there is no program before the first call of {name_of(self._step)}")
        return self._latest

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"compile: {name_of(self._step)} is bound to its state and cannot be copied or pickled: compile it again "
            "for the copies of its models and optimizers, or save() its program"
        )

    def __repr__(self) -> str:
        return f"<compiled {name_of(self._step)}, {len(self._programs)} programs>"


class _Program:
    """The program for one form of the arguments.

    Attributes:
        until_due: after how many calls the step is recorded anew.
    """

    def __init__(
        self,
        step: Callable[..., Any],
        places: list[Place],
        stateful: Sequence[Stateful],
        args: Any,
        kwargs: Any,
        exact: bool,
        without: frozenset[str],
        backend: str,
    ) -> None:
        leaves, rebuild = flatten((args, kwargs))
        names = input_names(step, [path for path, _ in walk((args, kwargs))])
        hooked = [*(place.tensor for place in places if place.tensor is not None), *leaves]
        variables = variables_of(step, *(function for one in hooked for function in hooks_of(one).values()))

        def record(args: Any, kwargs: Any) -> Trace:
            leaves, rebuild = flatten((args, kwargs))
            now = [dataclasses.replace(variable, value=variable.read()) for variable in variables]
            return trace(step, places, _left_out(now, places, stateful), now, leaves, names, rebuild)

        traced = record(args, kwargs)
        of_state = {id(place.get()) for place in places}
        self._suspects = [
            f"the Generator {variable.name!r}"
            for variable in variables
            if isinstance(variable.value, np.random.Generator) and id(variable.value) not in of_state
        ]
        program = simplified(traced.program, exact, without, backend)
        called, log = line(name_of(step)), Log(clock.latest(), traced.rules)
        writer = (
            Writer(program, layout_of(program, exact), called, log)
            if backend == "numpy"
            else MachineWriter(program, called, log)
        )
        self.source = writer.source()
        self.program = program
        self._places = places
        self._is_input = [is_input(leaf) for leaf in leaves]
        inputs = self.inputs_among(args, kwargs)
        constants = {value: array for array, value in traced.constants}
        self._surroundings = Surroundings(variables)
        arrays = {id(data_of(v.value)): v.name for v in variables if isinstance(v.value, Tensor | np.ndarray)}
        self.repetition = Repetition(traced, record, name_of(step), arrays)
        self.until_due = self.repetition.due
        self._example = rebuild([standing_for(x, x.data) if isinstance(x, Tensor) else x for x in leaves])
        by_value = {before: place for (before, _), place in zip(program.state, places, strict=True)}
        changed = {before for before, after in program.state if after is not before}
        state = list(zip(program.state, places))
        self._binding = Binding(
            build=_build_of(self.source, called) if backend == "numpy" else cached_module(self.source).build,
            inputs=inputs,
            only_inputs=not kwargs and len(inputs) == len(args) and all(map(operator.is_, inputs, args)),
            late=[value in writer.late for value in program.inputs],
            arrays=[by_value[value] for value in writer.arrays],
            changes=[value in changed for value in writer.arrays],
            constants=[*(constants[value] for value in writer.constants), *writer.given],
            numbers=[by_value[value] for value in writer.numbers],
            changed=[[place for (_, after), place in state if after is one] for one in writer.changed_numbers],
            tensors=[(place.tensor, v in changed) for v, place in by_value.items() if place.tensor is not None],
            results=len(program.results),
            rebuild=traced.rebuild,
            stateful=stateful,
            surroundings=self._surroundings,
        )
        self.fits = self._binding.fits
        self.run = self._binding.run

    def inputs_among(self, args: Any, kwargs: Any) -> list[Any]:
        """List what the program is given of the step's arguments."""
        leaves, _ = flatten((args, kwargs))
        return [leaf for leaf, is_one in zip(leaves, self._is_input) if is_one]

    def renew(self) -> None:
        """Say that the settings of the state are those that the program is for.

        Raises:
            RuntimeError: a variable that the step reads has changed.
        """
        self._surroundings.check()
        self._binding.renew()

    def run_when_due(self, inputs: Sequence[Any], args: Any, kwargs: Any) -> Any:
        """Take a step, and record it anew before where there is time for that.

        Raises:
            RuntimeError: the step is not what it was.
        """
        call, self.until_due = self.repetition.due, 1
        result = self.repetition.run(self.run, inputs, args, kwargs)
        self.until_due = self.repetition.due - call
        return result

    def check(self) -> None:
        """Record the step anew with the arguments of the first call, and compare.

        Raises:
            RuntimeError: the step is not what it was.
        """
        self._surroundings.check()
        due = self.repetition.due
        call = due - self.until_due + 1
        self.repetition.due, self.until_due = call, 1  # after a difference every call is due
        self.repetition.compare(call, *self._example)
        self.repetition.due, self.until_due = due, due - call + 1

    def verify(
        self, step: Callable[..., Any], args: Any, kwargs: Any, settings: Callable[[], Hashable], exact: bool
    ) -> None:
        """Compare the program with the step."""
        dtypes = [output.dtype for call in self.program.calls for output in call.outputs]
        Verification(
            eager=lambda: step(*args, **kwargs),
            compiled=self.run,
            inputs=self.inputs_among(args, kwargs),
            places=self._places,
            settings=settings,
            exact=exact,
            coarsest=min((one.itemsize for one in dtypes if getattr(one, "kind", "") == "f"), default=8),
            name=name_of(step),
            suspects=self._suspects,
        ).run()


def _left_out(
    variables: Sequence[Variable], places: Sequence[Place], stateful: Sequence[Stateful]
) -> list[tuple[str, Place]]:
    """List where the state of modules, optimizers, Tensors and the like lies that the step reads, but was not named."""
    named = {id(part) for part in stateful}
    tensors = {id(place.tensor) for place in places}
    others: list[tuple[str, Place]] = []
    for variable in variables:
        for path, part in leaves_in(variable.value):
            if isinstance(part, Tensor):
                own = [Place.of_tensor(variable.name, part)]
            elif isinstance(part, Stateful) and id(part) not in named:
                own = part.places()
            else:
                continue
            others += [(variable.name + path, p) for p in own if p.tensor is None or id(p.tensor) not in tensors]
    return others


def _build_of(source: str, name: str) -> Callable[..., Callable[..., Any]]:
    """Make the function ``build`` of a source, whose lines a traceback shows."""
    filename = f"<program of {name} {next(_numbers)}>"
    linecache.cache[filename] = len(source), None, source.splitlines(keepends=True), filename
    space: dict[str, Any] = {}
    exec(builtins.compile(source, filename, "exec"), space)
    build: Callable[..., Callable[..., Any]] = space["build"]
    finalize(build, linecache.cache.pop, filename, None).atexit = False
    return build


def _argument_form(leaf: Any) -> Hashable:
    """Say all of an argument on which a program may depend."""
    if is_input(leaf):
        data = data_of(leaf)
        kind = type(leaf) if isinstance(leaf, Tensor | float) else np.ndarray
        return kind, isinstance(data, np.ndarray), np.shape(data), getattr(data, "dtype", float), _gradient_form(leaf)
    return type(leaf), leaf


def _refuse_others(leaf: Any, path: str, step: Callable[..., Any]) -> None:
    """Refuse arguments of which it could not be seen whether a program still is for them.

    Raises:
        TypeError: it is an array that is not NumPy's, or something that may change and is no array.
    """
    problem = None
    if (other := other_array(data_of(leaf))) and not isinstance(leaf, Recorded):
        problem = f"a {other}, and a program computes with NumPy's arrays: give it as one, or call the function itself"
    elif not is_input(leaf):
        try:
            hash(leaf)
        except (TypeError, ValueError):
            problem = f"a {type(leaf).__name__}, whose contents may change unseen: give an array, or a tuple"
    if problem:
        raise TypeError(f"compile: {input_names(step, [path])[0]!r} of {name_of(step)} is {problem}")


def _gradient_form(leaf: Any) -> Hashable:
    """Say whether a gradient is wanted of a Tensor, and which functions change it."""
    hooks = tuple(function if isinstance(function, Hashable) else hook for hook, function in hooks_of(leaf).items())
    return getattr(leaf, "requires_grad", None), hooks


_numbers = itertools.count(1)
