"""What a step reads by name beside its arguments and its state: changes are noticed in the next call."""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff import Tensor
from tests.compiler.trainings import ROWS

SCALE = 2.0


def test_a_global_that_changes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = ad.compile(lambda x: x * SCALE)
    compiled(ROWS)
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 3.0)
    with pytest.raises(
        RuntimeError, match=r"the step reads 'SCALE', which was 2.0 when it was compiled and is now 3.0"
    ):
        compiled(ROWS)


def times_scale(x: Any) -> Any:
    return x * SCALE


class TimesScale(nn.Module):
    def __init__(self) -> None:
        self.inner = nn.Linear(2, 2, rng=0)

    def forward(self, x: Any) -> Any:
        return times_scale(self.inner(x))


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(lambda x: (lambda y: y * SCALE)(x), id="function within"),
        pytest.param(lambda x: times_scale(x), id="function"),
        pytest.param(functools.partial(lambda offset, x: offset + times_scale(x), 1.0), id="partial"),
        pytest.param(ad.grad(lambda x: times_scale(x).sum()), id="gradient"),
        pytest.param(TimesScale(), id="module"),
        pytest.param(nn.Sequential(nn.Tanh(), TimesScale()), id="module in another"),
    ],
)
def test_globals_of_functions_that_a_step_calls_are_watched(step: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    called = (lambda x: step(x)) if isinstance(step, nn.Sequential) else step
    compiled = ad.compile(called, step if isinstance(step, nn.Module) else ())
    compiled(ROWS)
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 3.0)
    with pytest.raises(RuntimeError, match=r"the step reads 'SCALE', which was 2.0 when it was compiled"):
        compiled(ROWS)


class Linked:
    def __init__(self, value: float = 2.0) -> None:
        self.value = value
        self.next: Any = None
        self.total = np.zeros(3)
        self.latest: Any = None

    def add(self, x: Any) -> Any:
        self.total += x
        self.latest = self.new = x * 2
        return self.total * 1

    def fail(self, x: Any) -> None:
        self.latest = self.new = Tensor(x) * 2
        raise ZeroDivisionError


@dataclasses.dataclass
class HalfMade:
    value: float = 2.0
    later: float = dataclasses.field(init=False)


def of_itself() -> dict[str, Any]:
    made: dict[str, Any] = {"value": 2.0}
    made["self"] = made
    return made


def chain(links: int) -> Linked:
    first = last = Linked()
    for _ in range(links):
        last.next = Linked()
        last = last.next
    return first


def last_value(link: Any) -> Any:
    while link.next is not None:
        link = link.next
    return link.value


class Attributes(dict[str, float]):
    __getattr__ = dict.__getitem__


class Pair(list[float]):
    def __init__(self, one: float, other: float) -> None:
        super().__init__([one, other])


@pytest.mark.parametrize(
    ("thing", "read"),
    [
        (of_itself(), lambda thing: thing["value"]),
        (HalfMade(), lambda thing: thing.value),
        (Attributes(value=2.0), lambda thing: thing.value),
        (Pair(2.0, 3.0), lambda thing: thing[0]),
        (sys.version_info, lambda thing: thing[1] * 0 + 2.0),
        (chain(2000), last_value),
    ],
    ids=["of itself", "half made", "attributes", "list", "tuple", "linked"],
)
def test_things_around_a_step_may_be_of_any_form(thing: Any, read: Any) -> None:
    compiled = ad.compile(lambda x: x * read(thing))
    for _ in range(2):
        np.testing.assert_array_equal(compiled(ROWS), ROWS * 2)


def test_a_variable_that_was_never_set_may_be_named() -> None:
    def step(x: Any) -> Any:
        return x * 2 if x.size else other

    compiled = ad.compile(step)
    for _ in range(2):
        np.testing.assert_array_equal(compiled(ROWS), ROWS * 2)
    other = None  # which still is not read
    np.testing.assert_array_equal(compiled(ROWS), ROWS * 2)


def test_what_a_step_sets_is_as_before_after_it_is_recorded() -> None:
    link = Linked()
    total = link.total
    compiled = ad.compile(link.add, total, check=False)
    np.testing.assert_array_equal(compiled(np.ones(3)), np.ones(3))
    np.testing.assert_array_equal(compiled(np.ones(3)), 2 * np.ones(3))
    assert link.total is total
    with pytest.raises(ZeroDivisionError):
        ad.compile(link.fail)(np.ones(3))
    assert link.latest is None
    assert not hasattr(link, "new")


def test_items_that_a_step_does_not_set_are_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, total, log = {"rate": 2.0}, np.zeros_like(ROWS), {"last": 0.0}

    def step(x: Any) -> Any:
        total[...] = total + x
        log["last"] = 1.0
        return x * settings["rate"] * log["last"]

    compiled = ad.compile(step, total)
    compiled(ROWS)
    log["last"] = 2.0  # which the step sets itself
    compiled(ROWS)
    settings["rate"] = 3.0
    with pytest.raises(RuntimeError, match=r"settings\['rate'\]\", which was 2.0"):
        compiled(ROWS)


@pytest.mark.parametrize("made", [lambda: (3, (4.0, "a")), lambda: np.float32(3), lambda: math.nan, lambda: 10**30])
def test_an_equal_number_is_no_change(made: Any) -> None:
    number = made()
    compiled = ad.compile(lambda x: x if number else -x)
    np.testing.assert_array_equal(compiled(ROWS), ROWS)
    number = made()
    np.testing.assert_array_equal(compiled(ROWS), ROWS)


def test_a_function_that_is_made_anew_is_noticed() -> None:
    def made(scale: float) -> Any:
        return lambda x: x * scale

    function = made(2.0)
    compiled = ad.compile(lambda x: function(x))
    compiled(ROWS)
    compiled(ROWS)
    function = made(3.0)
    with pytest.raises(RuntimeError, match="the step reads 'function', which is another function than when"):
        compiled(ROWS)


class Settings:
    def __init__(self) -> None:
        self.scale = 2.0
        self.calls = 0


class Trainer:
    def __init__(self) -> None:
        self.model = nn.Linear(2, 1, rng=0)
        self.optimizer = nn.optim.SGD(self.model.parameters(), lr=0.1)
        self.power = 2
        self.latest: Any = None

    def step(self, x: Any) -> Any:
        self.optimizer.zero_grad()
        loss = (self.model(x) ** self.power).mean()
        loss.backward()
        self.optimizer.step()
        self.latest = loss
        return loss


def test_what_a_step_reads_in_dicts_and_objects_is_watched() -> None:
    as_dict, as_object, trainer, as_both = {"scale": 2.0, "other": 1}, Settings(), Trainer(), Attributes(scale=2.0)
    by_attribute = ad.compile(lambda x: x * as_both.scale)
    by_attribute(ROWS)
    as_both["scale"] = 3.0
    with pytest.raises(RuntimeError, match=r"the step reads \"as_both\['scale'\]\", which was 2.0"):
        by_attribute(ROWS)
    by_dict = ad.compile(lambda x: x * as_dict["scale"])
    by_object = ad.compile(lambda x: x * as_object.scale)
    by_self = ad.compile(trainer.step, (trainer.model, trainer.optimizer))
    for compiled in (by_dict, by_object, by_self):
        compiled(ROWS)
        compiled(ROWS)
    as_dict["other"] = as_object.calls = 3  # nothing that they read
    trainer.latest = 4.0
    for compiled in (by_dict, by_object, by_self):
        compiled(ROWS)
    as_dict["scale"] = as_object.scale = 3.0
    trainer.power = 4
    for compiled, name in ((by_dict, r"as_dict\['scale'\]"), (by_object, "as_object.scale"), (by_self, "self.power")):
        with pytest.raises(RuntimeError, match=f"""the step reads .{name}., which was 2.* when it was compiled"""):
            compiled(ROWS)
