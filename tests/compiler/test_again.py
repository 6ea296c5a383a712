"""Compiled steps whose surroundings change: each kind of change, with the call in which it is found."""

from __future__ import annotations

import collections
import contextlib
import functools
import operator
import threading
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff import Tensor
from autodiff.compiler.bind import again
from autodiff.compiler.record import recorder
from nn import functional

X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)
KEY = "scale"
Kind = tuple[Callable[[Any], Any], Any, Callable[[], Any]]  # a step, its state, and what changes


class Slots:
    __slots__ = ("scale",)

    def __init__(self) -> None:
        self.scale = 2.0


@dataclass(slots=True)
class Record:
    scale: float = 2.0


class Product:
    scale = 2.0

    def __init__(self) -> None:
        self._values = [2.0]

    @property
    def first(self) -> float:
        return self._values[0]

    @staticmethod
    def plain(x: Any) -> Any:
        return x * 2

    @classmethod
    def of_class(cls, x: Any) -> Any:
        return x * cls.scale

    def times(self, x: Any) -> Any:
        return x * self._values[0]


class Layer(nn.Module):
    def __init__(self) -> None:
        self.inner = nn.Linear(2, 2, rng=0)
        self.cfg = {"a": 2.0, "b": {"c": 1.0}}
        self.scales = [1.0]

    def forward(self, x: Any) -> Any:
        return self.inner(x) * self.cfg[KEY[1:2].replace("c", "a")] * self.cfg["b"]["c"] * self.scales[0]


def product(x: Any, scale: float = 1.0, offset: float = 0.0) -> Any:
    return x * scale + offset


def with_attributes(thing: Any, **attributes: Any) -> Any:
    for name, value in attributes.items():
        setattr(thing, name, value)
    return thing


def number(read: Callable[[Any], Any], make: Callable[[], Any], change: Callable[[Any], Any]) -> Callable[[], Kind]:
    """Make a step that multiplies by what it reads in a thing."""

    def kind() -> Kind:
        thing = make()
        return lambda x: x * read(thing), (), lambda: change(thing)

    return kind


def call(make: Callable[[], Any], change: Callable[[Any], Any]) -> Callable[[], Kind]:
    """Make a step that calls a thing, which is its state if it is a module."""

    def kind() -> Kind:
        thing = make()
        return lambda x: thing(x), thing if isinstance(thing, nn.Module) else (), lambda: change(thing)

    return kind


def assign(name: str, value: Any) -> Callable[[Any], None]:
    return lambda thing: setattr(thing, name, value)


def put(key: Any, value: Any) -> Callable[[Any], None]:
    return lambda thing: operator.setitem(thing, key, value)


def a_tensor() -> Kind:
    scale = Tensor([2.0, 2.0], requires_grad=False)
    return lambda x: x * scale, (), lambda: assign("data", np.array([2.0, 3.0]))(scale)


def an_array() -> Kind:
    offsets = np.ones(2, np.float32)
    return lambda x: x + offsets, (), lambda: put(0, 3)(offsets)


def an_array_computed_with() -> Kind:
    holder = {KEY: np.ones(2, np.float32)}
    return lambda x: x + holder[KEY] * 2, (), lambda: put(0, 3)(holder[KEY])


def a_teacher() -> Kind:
    student, teacher = nn.Linear(2, 2, rng=0), nn.MLP([2, 3, 2], rng=1)
    optimizer = nn.optim.SGD(student.parameters(), lr=0.1)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = functional.mse_loss(student(x), teacher(x).data)
        loss.backward()
        optimizer.step()
        return loss

    return step, (student, optimizer), lambda: teacher.load_state_dict(nn.MLP([2, 3, 2], rng=2).state_dict())


def a_frozen_backbone() -> Kind:
    nets = {"backbone": nn.Linear(2, 3, rng=0), "head": nn.Linear(3, 1, rng=1)}
    for parameter in nets["backbone"].parameters():
        parameter.requires_grad = False
    optimizer = nn.optim.SGD(nets["head"].parameters(), lr=0.1)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = (nets["head"](nets["backbone"](x)) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    return step, (nets["head"], optimizer), lambda: put(0, 3)(nets["backbone"].weight.data)


def the_other_half() -> Kind:
    generator, critic = nn.Linear(2, 2, rng=0), nn.Linear(2, 1, rng=1)
    optimizer, others = nn.optim.Adam(generator.parameters(), lr=0.1), with_attributes(Slots(), scale=critic)

    def step(z: Any) -> Any:
        optimizer.zero_grad()
        loss = -others.scale(generator(z)).mean()
        loss.backward()
        optimizer.step()
        return loss

    def train_critic() -> None:
        mine = nn.optim.SGD(critic.parameters(), lr=0.1)
        mine.zero_grad()
        critic(X).mean().backward()
        mine.step()

    return step, (generator, optimizer), train_critic


def a_member_of_the_state() -> Kind:
    members = [Tensor([1.0, 2.0]), Tensor([3.0, 4.0])]
    return lambda x: x * members[0] * members[1], members, lambda: put(1, Tensor([5.0, 6.0]))(members)


def a_method_of(name: str, other: Any) -> Callable[[], Kind]:
    def kind() -> Kind:
        own = type("Own", (Product,), {})
        return lambda x: getattr(own, name)(x), (), lambda: setattr(own, name, other)

    return kind


def another_file() -> types.ModuleType:
    module = types.ModuleType("another")
    exec("scale = 2.0\ndef times(x): return x * scale", vars(module))
    return module


def scaled_by_default(x: Any, scales: Any) -> Any:
    return x * scales[0]


KINDS: dict[str, Callable[[], Kind]] = {
    "slots": number(lambda t: t.scale, Slots, assign("scale", 3.0)),
    "dataclass with slots": number(lambda t: t.scale, Record, assign("scale", 3.0)),
    "property": number(lambda t: t.first, Product, lambda t: put(0, 3.0)(t._values)),
    "class attribute": number(
        lambda t: t.scale, lambda: type("Own", (), {"scale": 2.0})(), lambda t: assign("scale", 3.0)(type(t))
    ),
    "key in a variable": number(lambda t: t[KEY], lambda: {"scale": 2.0}, put("scale", 3.0)),
    "nested keys": number(lambda t: t[KEY][KEY], lambda: {KEY: {KEY: 2.0}}, lambda t: put(KEY, 3.0)(t[KEY])),
    "item of a list": number(lambda t: t[0], lambda: [2.0], put(0, 3.0)),
    "values": number(lambda t: sum(t.values()), lambda: {"a": 2.0}, put("b", 3.0)),
    "items": number(lambda t: sum(v for _, v in t.items()), lambda: {"a": 2.0}, put("a", 3.0)),
    "keywords": number(lambda t: product(1.0, **t), lambda: {"scale": 2.0}, put("offset", 3.0)),
    "len": number(lambda t: len(t), lambda: [1.0, 2.0], lambda t: t.append(3.0)),
    "sum": number(lambda t: sum(t), lambda: [1.0, 2.0], lambda t: t.append(3.0)),
    "in": number(lambda t: 2.0 if "on" in t else 1.0, lambda: {"on"}, lambda t: t.clear()),
    "getattr": number(lambda t: getattr(t, KEY), lambda: types.SimpleNamespace(scale=2.0), assign("scale", 3.0)),
    "vars": number(lambda t: vars(t)[KEY], lambda: types.SimpleNamespace(scale=2.0), assign("scale", 3.0)),
    "globals": number(
        lambda t: globals()[t], lambda: globals().update(OF_MODULE=2.0) or "OF_MODULE", lambda t: put(t, 3.0)(globals())
    ),
    "function's attribute": number(
        lambda t: t.scale, lambda: with_attributes(lambda: None, scale=2.0), assign("scale", 3.0)
    ),
    "partial's keywords": call(lambda: functools.partial(product, scale=2.0), lambda t: put("scale", 3.0)(t.keywords)),
    "object made in the step": number(
        lambda t: with_attributes(types.SimpleNamespace(), scale=t[0]).scale, lambda: [2.0], put(0, 3.0)
    ),
    "default argument": call(
        lambda: with_attributes(scaled_by_default, __defaults__=([2.0],)), lambda t: put(0, 3.0)(t.__defaults__[0])
    ),
    "object in a list": number(lambda t: t[0].scale, lambda: [Record()], lambda t: assign("scale", 3.0)(t[0])),
    "method": number(lambda t: t.times(1.0), Product, lambda t: put(0, 3.0)(t._values)),
    "function in a list": number(lambda t: t[0](1.0), lambda: [lambda x: x * 2], put(0, lambda x: x * 3)),
    "shape": number(lambda t: np.ones(t), lambda: [3, 2], put(0, 1)),
    "dtype": number(lambda t: np.ones(2, t[0]), lambda: [np.float32], put(0, np.float64)),
    "sign of zero": number(lambda t: t[0], lambda: [0.0], put(0, -0.0)),
    "another file": number(lambda t: t[0].times(1.0), lambda: [another_file()], lambda t: assign("scale", 3.0)(t[0])),
    "member of the state": a_member_of_the_state,
    "loss": number(lambda t: t[KEY](X, X + 2), lambda: {KEY: functional.mse_loss}, put(KEY, functional.l1_loss)),
    "loss of an object": number(
        lambda t: t.loss(X, X + 2),
        lambda: types.SimpleNamespace(loss=functional.mse_loss),
        assign("loss", functional.l1_loss),
    ),
    "NumPy function": number(lambda t: t[0](X), lambda: [np.sin], put(0, np.cos)),
    "NumPy's function": number(lambda t: t[0](Tensor(X)), lambda: [np.sum], put(0, np.max)),
    "static method": a_method_of("plain", staticmethod(lambda x: x * 3)),
    "class method": a_method_of("of_class", classmethod(lambda cls, x: x * 3)),
}
OF_MODULE = 2.0


@pytest.mark.parametrize("name", KINDS)
def test_a_change_is_found(name: str) -> None:
    step, state, change = KINDS[name]()
    compiled = ad.compile(step, state)
    for _ in range(2):
        compiled(X)
    change()
    with contextlib.suppress(RuntimeError):  # where it is watched
        compiled(X)
    for _ in range(2):  # in call 4, also if it is tried again
        with pytest.raises(RuntimeError, match=r"compile: .*compile( it)? again"):
            compiled(X)
    with pytest.raises(RuntimeError, match=r"compile: .*compile( it)? again"):
        compiled.check()


FOLLOWED: dict[str, Callable[[], Kind]] = {  # Tensors and arrays are read anew; of a module's tree, by its settings
    "Tensor": a_tensor,
    "array": an_array,
    "array computed with": an_array_computed_with,
    "teacher": a_teacher,
    "frozen backbone": a_frozen_backbone,
    "the other half of a GAN": the_other_half,
    "forward": call(lambda: nn.MLP([2, 3, 2], rng=0), lambda t: assign("forward", lambda x: x * 2)(t.layers[1])),
    "layers": call(lambda: nn.MLP([2, 3, 2], rng=0), lambda t: assign("layers", t.layers[:1])(t)),
    "attribute": call(lambda: nn.MLP([2, 3, 2], rng=0), lambda t: assign("forward", lambda x: x * 2)(t)),
    "layer": call(lambda: nn.MLP([2, 3, 2], rng=0), lambda t: put(1, nn.Tanh())(t.layers)),
    "layer appended": call(lambda: nn.MLP([2, 3, 2], rng=0), lambda t: t.layers.append(nn.Tanh())),
    "layer popped": call(lambda: nn.MLP([2, 3, 2], rng=0), lambda t: t.layers.pop()),
    "dict of a module": call(Layer, lambda t: put("a", 3.0)(t.cfg)),
    "dict in a dict of a module": call(Layer, lambda t: put("c", 3.0)(t.cfg["b"])),
    "list of a module": call(Layer, lambda t: put(0, 3.0)(t.scales)),
    "forward of a class": call(type("Own", (Layer,), {}), lambda t: assign("forward", lambda self, x: x * 2)(type(t))),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_change_is_followed(name: str) -> None:
    (step, state, change), (eager, _, change_too) = FOLLOWED[name](), FOLLOWED[name]()
    compiled = ad.compile(step, state, exact=True)
    for number in range(9):
        if number in (1, 5):
            change()
            change_too()
        np.testing.assert_array_equal(ad.stop_gradient(compiled(X)), ad.stop_gradient(eager(X)))
    compiled.check()


def test_the_message_says_what_changed_and_since_when() -> None:
    scales = collections.deque([2.0])
    compiled = ad.compile(lambda x: x * scales[0])
    for _ in range(4):
        compiled(X)
    scales[0] = 3.0
    for _ in range(3):
        compiled(X)
    message = r"multiply was given 2\.0 and is given 3\.0 \(File .*test_again.py.*x \* scales.*since call 5 .*old"
    with pytest.raises(RuntimeError, match=message):
        compiled(X)
    np.testing.assert_array_equal(ad.compile(lambda x: x * scales[0])(X), X * 3)
    scales[0] = 2.0
    np.testing.assert_array_equal(compiled(X), X * 2)
    compiled.check()
    scales[0] = 4.0
    for use in (compiled.check, compiled.check, functools.partial(compiled, X), functools.partial(compiled, X)):
        with pytest.raises(RuntimeError, match=r"is given 4\.0.*nothing is old yet"):
            use()
    scales[0] = 2.0
    for _ in range(20):
        np.testing.assert_array_equal(compiled(X), X * 2)


def test_progress_in_python_is_found() -> None:
    class Job:
        t = 0

        def step(self, x: Any) -> Any:
            self.t += 1
            return x * (1 + self.t / 1e9)

    compiled = ad.compile(Job().step)
    compiled(X)
    with pytest.raises(RuntimeError, match=r"multiply was given 1\.0+\d+ and is given 1\.0+\d+"):
        compiled(X)


def test_recording_anew_takes_its_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, recorded = collections.deque([0.0, 0.0]), []

    def now() -> float:
        clock[0] += 0.01
        return clock[0]

    def step(x: Any) -> Any:
        clock[0] += 1
        recorded.append(clock[1])
        return x * 2

    monkeypatch.setattr(again, "perf_counter", now)
    compiled = ad.compile(step)
    for clock[1] in range(1, 30_000):
        now()
        compiled(X)
    seldom = 1.01 / again.SHARE / 0.01
    assert [call for call in recorded if call > 1] == pytest.approx([2, 4, 8, 8 + seldom], abs=2)


def make_training() -> tuple[Any, Any, Any]:
    model = nn.Sequential(nn.Linear(2, 4, rng=0), nn.BatchNorm1d(4), nn.Dropout(0.5, rng=1), nn.Linear(4, 2, rng=2))
    optimizer = nn.optim.AdamW(model.parameters(), lr=0.1)
    schedule = nn.optim.StepLR(optimizer, 3)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        nn.optim.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        schedule.step()
        return loss

    return model, step, (model, optimizer, schedule)


@pytest.mark.parametrize("exact", [True, False])
def test_recording_anew_disturbs_nothing(exact: bool) -> None:
    (model, step, state), (reference, same, its_state) = make_training(), make_training()
    compiled, alone = ad.compile(step, state, exact=exact), ad.compile(same, its_state, exact=exact, check=False)
    x = X.copy()
    for _ in range(9):
        np.testing.assert_array_equal(compiled(x).data, alone(x).data)
        compiled.check()
    assert x.tobytes() == X.tobytes()
    assert all("has not kept" in repr(p.grad) for p in model.parameters())
    for path, array in reference.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[path], array)


def test_gradients_of_what_is_not_seen_are_no_difference() -> None:
    (step, state, _), (eager, *_) = the_other_half(), the_other_half()
    compiled = ad.compile(step, state)
    for _ in range(9):
        assert compiled(X).item() == pytest.approx(eager(X).item(), rel=1e-5)


@pytest.mark.parametrize("options", [{"exact": True}, {"backend": "numba"}], ids=["exact", "numba"])
def test_a_change_is_found_by_every_backend(options: Any) -> None:
    if "backend" in options:
        pytest.importorskip("numba")
    scales = collections.deque([2.0])
    compiled = ad.compile(lambda x: np.tanh(x * scales[0]), **options)
    compiled(X)
    scales[0] = 3.0
    with pytest.raises(RuntimeError, match=r"is given 3\.0"):
        compiled(X)


def test_each_form_of_the_arguments_has_its_own_record() -> None:
    scales, names = collections.deque([2.0]), {"short": 2.0}
    inner = ad.compile(lambda x: x * scales[0])
    compiled = ad.compile(lambda x, name: inner(x) * names[name])
    for name in names:
        for rows in (1, 2):
            for _ in range(3):
                compiled(X[:rows], name)
    scales[0] = 3.0
    for rows in (1, 2):
        with pytest.raises(RuntimeError, match=r"is given 3\.0"):
            compiled(X[:rows], "short")


def test_without_a_check_nothing_is_recorded_anew() -> None:
    scales = collections.deque([2.0])
    compiled = ad.compile(lambda x: x * scales[0], check=False)
    compiled(X)
    scales[0] = 3.0
    for _ in range(9):
        np.testing.assert_array_equal(compiled(X), X * 2)
    with pytest.raises(RuntimeError, match="since call 2 with such arguments"):
        compiled.check()


def test_a_step_that_fails_when_it_is_recorded_anew_says_why() -> None:
    does_look, known = collections.deque([False]), collections.deque([1.0])

    def step(x: Any) -> Any:
        return x * known[0] if not does_look[0] or x.sum() > 0 else -x

    compiled = ad.compile(step)
    compiled(X)
    does_look[0] = True
    with pytest.raises(RuntimeError, match="it can no longer be recorded: compile: the step branches on a value"):
        compiled(X)
    does_look[0] = False
    known.clear()
    with pytest.raises(IndexError):
        compiled(X)


def test_another_thread_waits_for_the_end_of_a_recording() -> None:
    model, found, threads = nn.MLP([2, 3, 2], rng=0), [], []
    weight = model.parameters()[0]

    def use() -> None:
        found.append([model(X).data, np.asarray(weight.data), float(weight.data[0, 0]), str(weight.data), +weight.data])

    def step(x: Any) -> Any:
        threads.append(threading.Thread(target=use))
        threads[-1].start()
        time.sleep(0.05)
        return model(x)

    compiled = ad.compile(step, model)
    for _ in range(2):
        compiled(X)
    for thread in threads:
        thread.join()
    assert len(found) == len(threads) >= 2
    for outputs, array, number, text, copied in found:
        assert type(outputs) is type(array) is type(copied) is np.ndarray
        np.testing.assert_array_equal(outputs, model(X).data)
        np.testing.assert_array_equal(copied, weight.data)
        assert (number, text) == (weight.data[0, 0], str(weight.data))


def test_a_step_that_waits_for_threads_of_its_own_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "PATIENCE", 0.01)
    scale, problems = Tensor([1.0, 2.0]), []

    def use() -> None:
        try:
            scale * 2
        except RuntimeError as error:
            problems.append(str(error))

    def step(x: Any) -> Any:
        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        return x * scale

    ad.compile(step, scale)(X)
    assert ["it must not be the step that computes in several threads" in problem for problem in problems] == [True]
