"""Many small cases as one test, since pytest needs more time for a test than most cases take.

``@pytest.mark.together(names, values, ids=...)`` says what ``@pytest.mark.parametrize`` says. A hundred cases are one
test, which runs them all and then fails with the names of those that failed. Where ``-k`` or ``[...]`` chooses among
tests, each case is a test of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import pytest

CASES_OF_A_TEST = 100
ParameterSet = type(pytest.param())
SHOWN = 5  # failures of a test that are shown with their tracebacks


class Together(list[tuple[Any, ...]]):
    """The cases of one test, each as its parts, of which `named` gives a name and arguments."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "together(names, values, ids=None): as parametrize, with many cases to a test")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marks = list(metafunc.definition.iter_markers("together"))
    config = metafunc.config
    if config.option.keyword or any("[" in arg for arg in config.args):
        for mark in marks:
            metafunc.parametrize(*mark.args, **mark.kwargs)
    elif marks:
        cases = list(product(*(parts(*mark.args, **mark.kwargs) for mark in marks)))
        tests = [Together(cases[k : k + CASES_OF_A_TEST]) for k in range(0, len(cases), CASES_OF_A_TEST)]
        names = list(named(cases[0])[1])
        values = [(test, *names[1:]) for test in tests]
        metafunc.parametrize(names, values, ids=[f"{named(test[0])[0]} ... {named(test[-1])[0]}" for test in tests])


def parts(names: str | Sequence[str], values: Any, ids: Any = None) -> Iterator[Any]:
    """Give what one mark adds to each case, which is looked at when the case is run, and by one worker alone."""
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    for number, (value, given) in enumerate(zip(values, values if ids is None or callable(ids) else ids, strict=True)):
        if isinstance(value, ParameterSet) and value.marks:
            raise ValueError(f"together: case {number} has marks of its own, for which there is parametrize")
        yield names, number, value, given, ids


def named(case: tuple[Any, ...]) -> tuple[str, dict[str, Any]]:
    """Give a case its name, as pytest does, and its arguments."""
    words, args = [], {}
    for names, number, value, given, ids in case:
        if not isinstance(value, ParameterSet):
            value = pytest.param(*(value if len(names) > 1 else [value]))
        some = dict(zip(names, value.values, strict=True))
        if value.id is not None:
            words.append(str(value.id))
        elif ids is not None and not callable(ids):
            words.append(str(given))
        else:
            words += [named_value(key, arg, number, ids) for key, arg in some.items()]
        args |= some
    return "-".join(words), args


def named_value(key: str, value: Any, number: int, name_of: Any) -> str:
    given = name_of(value) if name_of is not None else None
    if given is not None:
        return str(given)
    if isinstance(value, str | int | float | None):
        return str(value)
    return getattr(value, "__name__", f"{key}{number}")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    together = next((value for value in pyfuncitem.funcargs.values() if isinstance(value, Together)), None)
    if together is None:
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    fixtures = {name: value for name, value in pyfuncitem.funcargs.items() if name in wanted}
    failed: dict[str, BaseException] = {}
    left_out: list[BaseException] = []
    for name, args in map(named, together):
        try:
            pyfuncitem.obj(**{**fixtures, **args})
        except (pytest.skip.Exception, pytest.xfail.Exception) as outcome:
            left_out.append(outcome)
        except (Exception, pytest.fail.Exception) as error:
            error.add_note(f"This was {pyfuncitem.originalname}[{name}].")
            failed[name] = error
    if failed:
        words = f"{len(failed)} of {len(together)} cases failed: {', '.join(failed)}"
        raise BaseExceptionGroup(words, list(failed.values())[:SHOWN])
    if left_out:
        raise type(left_out[0])(f"{len(left_out)} of {len(together)} cases: {left_out[0]}")
    return True
