"""A written program, bound to the state of its step, compared with the step and recorded anew when it is due."""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from autodiff.compiler.bind.again import Repetition
from autodiff.compiler.bind.binding import Binding
from autodiff.compiler.bind.verify import Verification
from autodiff.compiler.program import Program
from autodiff.compiler.record.comparison import difference
from autodiff.compiler.record.gradients import Record
from autodiff.compiler.record.surroundings import Surroundings, is_a
from autodiff.compiler.record.tracing import Step, alike, is_input
from autodiff.compiler.state import Place
from autodiff.compiler.write.module import Source
from autodiff.core.rule import name_of
from autodiff.core.tensor import Tensor
from autodiff.transforms.containers import flatten


class Bound:
    """A program that is bound to the state of its step.

    Args:
        source: its text.
        program: what that says.
        recorded: the record that it was made of.
        step: what was recorded.
        args, kwargs: the arguments for which it was.
        backend: for which it is written.

    Attributes:
        fits, run, has_gradients: as of `Binding`.
        until_due: after how many calls the step is recorded anew.
    """

    def __init__(
        self, source: Source, program: Program, recorded: Record, step: Step, args: Any, kwargs: Any, backend: str
    ) -> None:
        self.source = source.text
        self.program = program
        self._step = step
        self._record = recorded
        self._leaves, self._rebuild = flatten((args, kwargs))
        self._is_input = [is_input(leaf) for leaf in self._leaves]
        inputs = self.inputs_among(args, kwargs)
        only_inputs = not kwargs and len(inputs) == len(args) and all(map(operator.is_, inputs, args))
        followed = {place.key for place in recorded.trace.places}
        variables = [variable for variable in step.variables if (id(variable.holder), variable.key) not in followed]
        self._surroundings = Surroundings(variables, step.stateful)
        self._binding = Binding(source, program, recorded, step, inputs, only_inputs, self._surroundings, backend)
        self.fits, self.run, self.has_gradients = self._binding.fits, self._binding.run, self._binding.has_gradients
        self.repetition = Repetition(recorded.trace, step)
        self.until_due = self.repetition.due

    def inputs_among(self, args: Any, kwargs: Any) -> list[Any]:
        """List what the program is given of the step's arguments."""
        leaves, _ = flatten((args, kwargs))
        return [leaf for leaf, is_one in zip(leaves, self._is_input) if is_one]

    def _example(self) -> Any:
        """Give the arguments of the first call, with Tensors that are like those but others."""
        return self._rebuild(alike(self._leaves))

    def renew(self, args: Any, kwargs: Any) -> None:
        """Say that the settings of the state are those that the program is for.

        Raises:
            RuntimeError: a variable that the step reads has changed.
        """
        call = self.repetition.due - self.until_due + 1
        self._surroundings.check(lambda: self.repetition.compare(call, args, kwargs))
        self._binding.renew()

    def is_of(self, recorded: Record) -> bool:
        """Whether another record, of other gradients, is that of this program too; then it is for those as well."""
        counts = [(len(record.given), len(record.kept)) for record in (self._record, recorded)]
        if counts[0] != counts[1] or difference(self._record.trace, recorded.trace):
            return False
        others = {id(tensor): kind for tensor, kind in recorded.is_for}
        self._binding.is_for[:] = [(t, kind) for t, kind in self._binding.is_for if others.get(id(t)) == kind]
        return True

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
        self.renew(*self._example())
        due = self.repetition.due
        call = due - self.until_due + 1
        self.repetition.due, self.until_due = call, 1  # after a difference every call is due
        self.repetition.compare(call, *self._example())
        self.repetition.due, self.until_due = due, due - call + 1

    def verify(self, settings: Callable[[], Hashable], exact: bool) -> None:
        """Compare the program with the step, for the arguments of the first call."""

        def eager() -> Any:
            args, kwargs = self._example()
            return self._step.function(*args, **kwargs)

        outputs = [output for call in self.program.calls for output in call.outputs]
        dtypes = [np.dtype(output.dtype) for output in outputs]
        # NumPy rounds products of complex numbers in another way than those of arrays of them, and a record does not
        # tell which a call of a number of NumPy's with a recorded one is.
        has_numbers = any(one.kind == "c" and not output.shape for one, output in zip(dtypes, outputs, strict=True))
        kept = [gradient.of for gradient in self._record.kept if isinstance(gradient.of, Tensor)]
        gradients = [Place.of_attribute(f"gradient of {tensor._label()}", tensor, "_grad") for tensor in kept]
        Verification(
            eager=eager,
            compiled=self.run,
            inputs=self.inputs_among(*self._example()),
            places=[*self._record.trace.places, *gradients],
            settings=lambda: (settings(), self.has_gradients()),
            exact=exact and not has_numbers,
            coarsest=min((np.finfo(one).bits // 8 for one in dtypes if one.kind in "fc"), default=8),
            name=name_of(self._step.function),
            suspects=_suspects(self._step),
        ).run()


def _suspects(step: Step) -> list[str]:
    """Name the Generators that a step reads and that are no part of the state."""
    of_state = {id(place.get()) for place in step.places}
    return [
        f"the Generator {variable.name!r}"
        for variable in step.variables
        if is_a(variable.value, np.random.Generator) and id(variable.value) not in of_state
    ]
