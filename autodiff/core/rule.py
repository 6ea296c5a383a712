"""What is known of a function: its derivative rules and a few facts more, in one record.

All records are in one table, but that of a function made within another, which keeps it itself: the two go together.
The rules stand in ``autodiff/rules``. Only this file writes records down.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, TypeAlias
from weakref import WeakSet

import numpy as np

Array: TypeAlias = (
    Any  # a number, or whatever answers NumPy's functions: an ndarray, a Tensor, a lazy or recording array
)
Function: TypeAlias = Callable[..., Any]
Rule: TypeAlias = Callable[..., Any]


@dataclass(slots=True)
class Facts:
    """All that is known of one function.

    Attributes:
        rules: one vector-Jacobian product an argument, in order, None for an argument that is not differentiable; empty
            as long as there are none.
        positions: how many positional arguments the rules know.
        keywords: which keyword arguments they know.
        broadcasts: it broadcasts its arguments, so that the tape sums a gradient to its argument's shape.
        takes_list: a list among its arguments is several arrays; of any other list, NumPy makes one array.
        variadic: for a function f(a, *xs) that takes arrays one by one: how many arguments come before them, and the
            same function g(a, [*xs]), which is what the tape records.
        recorded_as: another function that gives the same, and is called in its place where Tensors are.
        rule_with_graph: for a call with several outputs: takes their gradients and values, and gives a rule that
            differentiates these gradients, which then get a graph, or None where the usual rule does without. Both get
            gradients with None where none came.
        is_constant: its result does not vary with its arguments, or not by derivatives; it is a plain array.
        is_question: it asks for the form of an array, not for its elements.
        sized_by: the argument, by position, on whose elements the shape of its result depends.
        is_view: its result shows the memory of its argument, with axes moved, dropped, or new.
        is_new: its result shows the memory of no argument.
        is_array: its result is an array, if one without axes, where others that make a new one give a number.
        is_copy: its result has the elements of its argument, perhaps in another dtype.
        takes_out: it can write its result into an array given as ``out``.
        refuses: raises for a call that has no derivative, of its arrays and options; asked where a gradient is wanted.
        precisely: what runs in its place on the arrays in Tensors: the same function, to more digits.
    """

    rules: tuple[Rule | None, ...] = ()
    positions: int = 0
    keywords: frozenset[str] = frozenset()
    broadcasts: bool = False
    takes_list: bool = False
    variadic: tuple[int, Function] | None = None
    recorded_as: Function | None = None
    rule_with_graph: Callable[[Any, Any], Rule | None] | None = None
    is_constant: bool = False
    is_question: bool = False
    sized_by: int | None = None
    is_view: bool = False
    is_new: bool = False
    is_array: bool = False
    is_copy: bool = False
    takes_out: bool = False
    refuses: Function | None = None
    precisely: Function | None = None

    def has_rule(self, position: int) -> bool:
        """Whether the function can be differentiated by the argument at a position."""
        return position < len(self.rules) and self.rules[position] is not None


_TABLE: dict[Function, Facts] = {}
FACTS: Mapping[Function, Facts] = _TABLE  # for those who read
_KEEPERS: WeakSet[Function] = WeakSet()  # who have their own record, and not a copy of what they wrap
NOTHING_KNOWN = Facts()
_OURS = ("autodiff", "nn")  # whose functions are recorded where they are called
_LASTING = (*_OURS, "numpy", "scipy")  # whose functions stay for ever
# Rules of libraries that are slow to import, and so are not imported for their rules' sake: library -> its rules.
_LATE = {"scipy.special": "autodiff.rules.special"}


def facts_of(function: Function) -> Facts:
    """Give what is known of a function, also where that is nothing.

    A function of a library whose rules are loaded late can only be called once the library is there, so it is soon
    enough to look when a function without a rule is met. Rules that `defvjp` was given before are kept.
    """
    facts = _record_of(function) or NOTHING_KNOWN
    if facts.rules or facts.is_constant:
        return facts
    for library in [library for library in list(_LATE) if library in sys.modules]:
        before = {one: dataclasses.replace(its) for one, its in _TABLE.items()}
        importlib.import_module(_LATE[library])
        for one, its in before.items():
            if its.rules:
                describe(one, **{field.name: getattr(its, field.name) for field in dataclasses.fields(its)})
        _LATE.pop(library, None)
    return _record_of(function) or NOTHING_KNOWN


def _record_of(function: Function) -> Facts | None:
    return _TABLE.get(function) or (function._autodiff_facts if function in _KEEPERS else None)  # type: ignore[attr-defined]


def _keep(function: Function, facts: Facts, like: Function) -> Facts:
    """Write a record down: on the function, if one like the other was made within another, else in the table."""
    library = (getattr(like, "__module__", None) or "").partition(".")[0]
    with contextlib.suppress(TypeError, AttributeError):  # where it takes no attribute, or no weak reference
        if library not in _LASTING and "<locals>" in getattr(like, "__qualname__", "<locals>"):
            function._autodiff_facts = facts  # type: ignore[attr-defined]
            _KEEPERS.add(function)
            return facts
    _TABLE[function] = facts
    return facts


def describe(*functions: Function, **facts: Any) -> None:
    """Write down facts of some functions: the attributes of `Facts`, by their names."""
    for function in functions:
        record = _record_of(function) or _keep(function, Facts(), function)
        for name, value in facts.items():
            setattr(record, name, value)


def share(function: Function, other: Function) -> None:
    """Let all that is known, or will be, of one function be known of another that computes the same."""
    _keep(other, _record_of(function) or _keep(function, Facts(), function), function)


def defvjp(function: Function, *rules: Rule | None, elementwise: bool = False, variadic: bool = False) -> None:
    """Give a function its derivative: one vector-Jacobian product for each of its leading arguments.

    A rule is called as ``rule(g, out, *args, **kwargs)`` with the gradient ``g`` of the output, the output and the
    call's own arguments. It returns the gradient of its argument, of that argument's shape, written in NumPy calls
    (so that it can be differentiated itself). Where the argument is a list of arrays, it returns a list. A function
    that returns several arrays hands its rules a tuple ``g`` of as many gradients. ``None`` in place of a rule says
    that the argument is not differentiable.

    Args:
        function: a NumPy function, or one made by `primitive`.
        rules: one rule an argument, in order; trailing arguments without a rule are not differentiable.
        elementwise: the function broadcasts its arguments as a ufunc does. The tape then sums a gradient over the
            axes along which its argument was broadcast, so that the rule needs no word about shapes. Implied for
            ufuncs.
        variadic: the function takes any number of arrays. The last rule is then for all arguments from its own place
            on, which it is given as one list, and it returns the list of their gradients.

    Raises:
        TypeError: something given is not callable, there is no rule at all, or the function is one of your own that was
            not made a `primitive`, so that it would run as it is.
        ValueError: there are more rules than the function has arguments.

    Example:
        >>> import numpy as np, autodiff as ad
        >>> @ad.primitive
        ... def cube(x):
        ...     return x**3
        >>> ad.defvjp(cube, lambda g, out, x: g * 3 * x**2)
        >>> float(ad.grad(cube)(2.0))
        12.0
    """
    if not callable(function):
        raise TypeError(f"defvjp: the function must be callable, got {function!r}")
    if type(function) is FunctionType and not _record_of(function) and function.__module__.split(".")[0] not in _OURS:
        raise TypeError(
            f"defvjp({name_of(function)}): this function runs as it is, and the rule would never be asked: decorate it "
            "with autodiff.primitive, which makes it one call"
        )
    for rule in rules:
        if rule is not None and not callable(rule):
            raise TypeError(f"defvjp({name_of(function)}): a rule is a function or None, got {rule!r}")
    vjps = [rule for rule in rules if rule is not None]
    if not vjps:
        raise TypeError(f"defvjp({name_of(function)}): give at least one rule: lambda g, out, x: ...")
    positions, keywords = _arguments(vjps[0])
    if len(rules) > positions:
        raise ValueError(
            f"defvjp({name_of(function)}): {len(rules)} rules for {positions} arguments; "
            "a rule takes (g, out) and then the arguments of the function"
        )
    if variadic:
        first = len(rules) - 1
        listing = _listing(function, first)
        describe(function, variadic=(first, listing))
        function = listing
    describe(
        function,
        rules=rules,
        positions=positions,
        keywords=keywords,
        broadcasts=elementwise or isinstance(function, np.ufunc),
    )
    if variadic:
        describe(function, takes_list=True)


def _arguments(rule: Rule) -> tuple[int, frozenset[str]]:
    """Tell how many positional arguments a rule takes after ``g`` and ``out``, and which it takes by keyword."""
    if type(rule) is FunctionType and not vars(rule) and not rule.__code__.co_flags & inspect.CO_VARARGS:
        # Read off the code, as `inspect` does it in ten times the time, which the import of all rules would take.
        code = rule.__code__
        names, count = code.co_varnames, code.co_argcount
        by_keyword = names[max(2, code.co_posonlyargcount) : count + code.co_kwonlyargcount]
        return max(0, count - 2), frozenset(by_keyword)
    parameters = list(inspect.signature(rule).parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][2:]
    unlimited = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    by_keyword = tuple(p.name for p in parameters[2:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
    return sys.maxsize if unlimited else len(positional), frozenset(by_keyword)


def _listing(function: Function, first: int) -> Function:
    """Make the same function with its arguments from ``first`` on in one list."""

    def listing(*args: Any, **kwargs: Any) -> Any:
        return function(*args[:first], *args[first], **kwargs)

    listing.__name__ = name_of(function)
    listing.__module__ = function.__module__
    listing.__wrapped__ = function  # type: ignore[attr-defined] # whose options it takes
    return listing


def is_elementwise(function: Function | None) -> bool:
    """Whether a function takes each element by itself, and broadcasts its arguments: most ufuncs, and ``np.where``."""
    return function is np.where or (isinstance(function, np.ufunc) and function.signature is None)


def name_of(function: Function) -> str:
    """Name a function as a reader knows it: ``tanh``, ``add.reduce``, ``getitem``; a private one by its public name."""
    owner = getattr(function, "__self__", None)
    name: str = getattr(function, "__name__", repr(function)).lstrip("_")
    if getattr(function, "__module__", None) == "numpy.lib.scimath":
        return f"emath.{name}"  # which has another function's name
    return f"{owner.__name__}.{name}" if isinstance(owner, np.ufunc) else name
