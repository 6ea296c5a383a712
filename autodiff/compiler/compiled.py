"""``ad.compile``: a step that is recorded for each form of its arguments, and from then on runs as a program."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import inspect
import os
import sys
import threading
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, overload

from autodiff.compiler.bind.bound import Bound
from autodiff.compiler.bind.forms import form_of_arguments, gradient_form
from autodiff.compiler.depiction import graph_of
from autodiff.compiler.pipeline import bound
from autodiff.compiler.record.comparison import difference, folded
from autodiff.compiler.record.recorder import PATIENCE, TRACING
from autodiff.compiler.record.tracing import StateError, Step, alike, trace
from autodiff.compiler.simplify.passes import PASSES, Options
from autodiff.compiler.state import Place, Stateful, numbers_of, places_of, restoring, stateful_parts
from autodiff.core.rule import name_of
from autodiff.core.tensor import Tensor
from autodiff.extras import install
from autodiff.files import write_atomically
from autodiff.transforms.containers import flatten

MOST_PROGRAMS = 16
# One thread at a time records or compares a step: what stands in for the state of one is not for others to find.
_RECORDING = threading.RLock()
_Form = tuple[Hashable, tuple[tuple[Hashable, str], ...], Hashable]  # the state, numbers among its settings, arguments
BACKENDS = ("numpy", "numba")


@overload
def compile(
    step: Callable[..., Any],
    state: Any = (),
    *,
    check: bool = True,
    exact: bool = False,
    without: Sequence[str] = (),
    backend: str = "numpy",
) -> Compiled: ...
@overload
def compile(
    *, state: Any = (), check: bool = True, exact: bool = False, without: Sequence[str] = (), backend: str = "numpy"
) -> Callable[[Callable[..., Any]], Compiled]: ...
def compile(
    step: Any = ...,
    state: Any = (),
    *,
    check: bool = True,
    exact: bool = False,
    without: Sequence[str] = (),
    backend: str = "numpy",
) -> Any:
    """Turn a step into a program of plain NumPy calls, and run that.

    The first call with arguments of given shapes and dtypes runs the step on recording arrays, which write down every
    NumPy call: of the forward pass, the backward pass and the optimizer alike. What was written down is simplified, and
    becomes the text of a function, which later calls run. A step may be anything that is computed by NumPy functions
    with Tensors and arrays, without looking into them.

    The program does what the step does. Gradients are left as the step leaves them; but those by which it changes the
    Tensors itself are not kept, and in their place is something that refuses to be used. Python code in the step that
    does something else than compute, such as appending to a list, runs when the step is recorded, and not otherwise.

    Tensors and arrays that the step uses are read anew in each call, named in ``state`` or not. If it looks into an
    array around it, as by ``if`` or as an index of plain NumPy, a change of that is refused: in the next call, if the
    array is of up to 1 MiB. Numbers, functions and the like must stay as they are, but for arguments and the settings
    of the state. Variables that the step reads by name
    are looked at in each call; a number that changes is refused where what the step does changes with it. For all else
    it is recorded anew, its Python code runs, and both records are compared: before calls 2, 4 and 8, and then so often
    that this takes at most 1 % of the running time. Arguments and the state, its Generators among it, are afterwards as
    they were. `Compiled.check` does it at once. One thread at a time records.

    Args:
        step: a function of arrays, numbers, Tensors and nested containers of them. Python floats among its arguments
            may be others in each call; for other integers, strings and so on, another program is made. Without it, as
            in ``@ad.compile(state=...)``, a decorator for it is given. A method is compiled for each object by itself,
            as in ``self.step = ad.compile(self.step, state=self.weights)``.
        state: what the step changes: modules, optimizers, schedules, Tensors, arrays, Generators and compiled steps
            that it calls, or lists of them.
        check: compare the program with the step when it is made, over two steps on copies of the state, and record the
            step anew in later calls. Copies of large arrays lie in temporary files while that lasts.
        exact: leave out simplifications that change rounding; results are then the step's to the last bit, but for
            products of complex numbers without axes, which NumPy rounds otherwise than those of arrays.
        without: names of simplifications that are to be left out.
        backend: ``"numpy"`` for plain NumPy calls, or ``"numba"`` for machine code: elementwise calls are joined into
            loops, which Numba compiles. Compiling takes a few seconds, the first time: the machine code is kept for
            the next in ``~/.cache/autodiff``, or in the folder that the environment variable ``AUTODIFF_CACHE_DIR``
            names, up to ``AUTODIFF_CACHE_SIZE`` megabytes, 256 if it is not set. Nothing is kept where the folder
            cannot be written, or others may write there. Results are then the step's within rounding.

    Returns:
        A function of the same arguments, or a decorator that makes one. Tensors among its results have no graph, and
        each result has memory of its own: it shows neither another one nor the state.

    Raises:
        TypeError: the step is not callable, or a generator, async or a method of a class, or the state is none. In
            the first call: the step looks into a value, as ``if`` and ``float()`` do, does something else that cannot
            be recorded, or changes what is no part of the state; an argument is an array that is not NumPy's, or may
            change unseen.
        ValueError: there is no simplification or backend of a name, or the program is to be exact machine code.
        ImportError: ``backend="numba"`` without Numba or SciPy.
        RuntimeError: in a call: the program gives something else than the step, or something that the step uses has
            changed and is no part of the state. The message names the line and the value, and says since which call
            results may be old.

    Example:
        >>> w = ad.Tensor([1.0, 2.0], name="w")
        >>> @compile(state=w)
        ... def descend(x):
        ...     w.grad = None
        ...     loss = ((w * x).sum() - 1) ** 2
        ...     loss.backward()
        ...     w.data = w.data - 0.1 * w.grad
        ...     return loss
        >>> [round(float(descend(np.array([1.0, 0.5]))), 4) for _ in range(3)]
        [1.0, 0.5625, 0.3164]
    """
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
            raise ImportError(f'compile: backend="numba" needs Numba and SciPy: {install("fast")}')
    if step is ...:
        return partial(compile, state=state, check=check, exact=exact, without=without, backend=backend)
    if not callable(step):
        raise TypeError(f"compile: the step must be a function, got {step!r}; state= names what it changes")
    if inspect.isgeneratorfunction(step) or inspect.iscoroutinefunction(step) or inspect.isasyncgenfunction(step):
        raise TypeError(f"compile: {name_of(step)} must return what it computes, and not yield it or be async")
    return Compiled(step, state, check, Options(exact, frozenset(without), backend))


class Compiled:
    """A step that runs as a program, as `compile` makes it.

    Attributes:
        source: the text of the latest program: a function ``build`` of the arrays of the state, which makes the memory
            that is used by every run, and gives the function of the step's arguments.
    """

    def __init__(self, step: Callable[..., Any], state: Any, check: bool, options: Options) -> None:
        self._step = step
        self._state = state
        self._parts = stateful_parts(state)
        self._check = check
        self._options = options
        self._programs: dict[_Form, list[Bound]] = {}
        self._inputs: set[Hashable] = set()  # numbers among the settings that are inputs of the programs
        self._looked_into: set[Hashable] = set()  # those that cannot be
        self._latest: Bound | None = None
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
            if program is not None and program.until_due > 1 and not kwargs and program.fits(args):
                program.until_due -= 1
                return program.run(args)
        with _alone(self._lock):
            program = self._latest = self._find(args, kwargs)
            inputs = program.inputs_among(args, kwargs)
            program.until_due -= 1
            return program.run_when_due(inputs, args, kwargs) if program.until_due == 0 else program.run(inputs)

    def __get__(self, instance: Any, owner: type | None = None) -> Compiled:
        """Refuse to be a method: what it changes would be of an object that nobody has named."""
        if instance is None:
            return self
        name = name_of(self._step)
        raise TypeError(
            f"compile: {name} is compiled for all objects of {type(instance).__name__}, and not with the state of "
            f"this one: compile it for each, in __init__ by self.{name} = ad.compile(self.{name}, state=...), or make "
            "it a staticmethod"
        )

    def check(self) -> None:
        """Record the step anew with the first arguments of each form, and compare: as some calls do, but at once.

        What was made for other settings of the state is passed over.

        Raises:
            RuntimeError: the step is not what it was when it was compiled.
        """
        with _alone(self._lock):
            state = self._form_of_state()
            for form, programs in self._programs.items():
                for program in programs:
                    if form[:2] == state and program.has_gradients():
                        program.check()

    def _find(self, args: Any, kwargs: Any) -> Bound:
        """Give the program for arguments of this form, and make it if there is none.

        Raises:
            RuntimeError: a variable that the step reads has changed.
        """
        form = *self._form_of_state(), form_of_arguments(args, kwargs, self._step)
        program = next((one for one in self._programs.get(form, ()) if one.has_gradients()), None)
        if program is None:
            return self._made(form, args, kwargs)
        program.renew(args, kwargs)
        return program

    def _form_of_state(self) -> tuple[Hashable, tuple[tuple[Hashable, str], ...]]:
        """Give all of the state that a program is for, and last the numbers among the settings for which it is."""
        settings, places = self.settings(), places_of(self._state)
        tensors = tuple(gradient_form(place.tensor) for place in places if place.tensor is not None)
        numbers = {tie: repr(number) for tie, number in numbers_of(places).items() if tie not in self._inputs}
        return (settings, tensors), tuple(numbers.items())

    def _made(self, form: _Form, args: Any, kwargs: Any) -> Bound:
        """Make the program for a new form, or find that one is the same which was made for other gradients.

        Numbers among the settings that have been others become inputs, if the step does not look into them.
        """
        state, numbers, arguments = form
        others = [dict(form[1]) for form in self._programs if (form[0], form[2]) == (state, arguments)]
        changed = {tie for tie, number in numbers if any(other.get(tie, number) != number for other in others)}
        if self._check and changed and not changed & self._looked_into:
            self._inputs |= changed
            try:
                return self._find(args, kwargs)
            except Exception:  # of whatever kind: the step was not made for what stands for a number
                self._inputs -= changed
                self._looked_into |= changed
        made = self._programs.get(form, [])
        step = self._recorded_step(args, kwargs)
        program = bound(step, args, kwargs, self._options, made)
        if program in made:
            program.renew(args, kwargs)
            return program
        if self._check:
            program.verify(self.settings, self._options.exact)
        else:
            program.until_due = program.repetition.due = sys.maxsize
        if len(self._every()) == MOST_PROGRAMS:
            self._let_go()
        self._programs.setdefault(form, []).append(program)
        return program

    def _recorded_step(self, args: Any, kwargs: Any) -> Step:
        """Let what is done with arrays around the step be recorded, where it then does what it does without that.

        It may do something else, as by asking for their type, or look into them. First the step is taken: what it
        computes once and keeps is to be made of the arrays themselves.
        """
        plain, recording = (
            Step.of(self._step, self._state, self._inputs, (args, kwargs), records_arrays=on) for on in (False, True)
        )
        if not self._check or all(place.tensor is not None for place in recording.reads):
            return plain
        try:
            leaves, rebuild = flatten((args, kwargs))
            others, options = rebuild(alike(leaves))
            with restoring(plain.places, recording.reads):
                self._step(*others, **options)
            if not difference(folded(trace(recording, args, kwargs)), trace(plain, args, kwargs)):
                return recording
        except StateError:
            raise
        except Exception:  # of whatever kind: the step is not made for what stands for an array, or fails by itself
            pass
        return plain

    def _let_go(self) -> None:
        """Let go of the program that was made first, and say when there are many of them."""
        oldest = next(iter(self._programs))
        self._programs[oldest].pop(0)
        if not self._programs[oldest]:
            del self._programs[oldest]
        self._evictions += 1
        if self._evictions % MOST_PROGRAMS == 1:
            warnings.warn(
                f"compile: {name_of(self._step)} has been compiled for {MOST_PROGRAMS + self._evictions} forms of its "
                f"arguments, and only the last {MOST_PROGRAMS} are kept: give it arrays of fewer shapes",
                RuntimeWarning,
                stacklevel=5,
            )

    def _every(self) -> list[Bound]:
        """List the programs."""
        return [program for programs in self._programs.values() for program in programs]

    def places(self) -> list[Place]:
        """List where the state of the step lies, for a step that calls it and is compiled too."""
        return places_of(self._state)

    def stateful_parts(self) -> list[Stateful]:
        """List modules, optimizers and the like in its state, for a step that calls it and is compiled too."""
        return self._parts

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

        Its docstring says how it is used: what ``build`` and ``step`` take, of which shapes, what they change and give.

        Raises:
            RuntimeError: there is none before the first call.
            OSError: the file cannot be written.
        """
        path = Path(path)
        write_atomically(path, self.source.encode())
        return path

    def _last_program(self) -> Bound:
        if self._latest is None:
            raise RuntimeError(f"compile: there is no program before the first call of {name_of(self._step)}")
        return self._latest

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"compile: {name_of(self._step)} is bound to its state and cannot be copied or pickled: compile it again "
            "for the copies of its models and optimizers, or save() its program"
        )

    def __repr__(self) -> str:
        return f"<compiled {name_of(self._step)}, {len(self._every())} programs>"


@contextlib.contextmanager
def _alone(lock: threading.RLock) -> Iterator[None]:
    """Let nobody else record, nor run the programs of a lock, until the block ends."""
    if not _RECORDING.acquire(timeout=PATIENCE):
        raise RuntimeError("compile: another thread has been recording a step for a minute: does it wait for this one?")
    try:
        with lock:
            yield
    finally:
        _RECORDING.release()
