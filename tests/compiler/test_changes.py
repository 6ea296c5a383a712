"""What lies around a compiled step changes: each kind, with the call in which it is found, and what is no change."""

from __future__ import annotations

import array
import collections
import contextlib
import contextvars
import enum
import functools
import itertools
import logging
import operator
import random
import threading
import time
import types
import unittest.mock
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff import Tensor
from autodiff.compiler.record.surroundings import variables_of
from nn import functional
from tests.compiler.test_again import (
    KEY,
    KINDS,
    Kind,
    Layer,
    Product,
    Slots,
    X,
    another_file,
    assign,
    call,
    number,
    product,
    put,
    with_attributes,
)  # fmt: skip

Space = types.SimpleNamespace


class Base:
    scale = 2.0


class Derived(Base):
    pass


class Call:
    def __init__(self, scale: float = 2.0) -> None:
        self.scale = scale

    def __call__(self, x: Any) -> Any:
        return x * self.scale

    @functools.cached_property
    def cached(self) -> float:
        return self.scale


class Kept(dict[str, float]):
    __getattr__ = dict.__getitem__


class Mode(enum.Enum):
    SLOW = 2.0
    FAST = 3.0


Pair = collections.namedtuple("Pair", ["scale", "offset"])


def with_default(x: Any, scale: float = 2.0) -> Any:
    return x * scale


def with_keyword(x: Any, *, scale: float = 2.0) -> Any:
    return x * scale


def decorated(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(x: Any) -> Any:
        return function(x)

    return wrapper


def cell(before: Any, after: Any, use: Callable[[Any, Any], Any] = lambda x, value: x * value) -> Callable[[], Kind]:
    """Make a step that uses a variable, which then becomes something else."""

    def kind() -> Kind:
        value = before

        def change() -> None:
            nonlocal value
            value = after

        return lambda x: use(x, value), (), change

    return kind


def copied(function: Any) -> Any:
    """Copy a function, so that others see no change of it."""
    other = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    other.__kwdefaults__ = dict(function.__kwdefaults__ or {}) or None
    return other


def fresh(kind: type) -> Any:
    """Make a class like another."""
    return type("Own", (kind,), {})


def scaled_by(scale: float) -> Any:
    return lambda x: x * scale


def loss_of(name: str) -> Callable[[Any], Any]:
    return lambda thing: getattr(thing, name)(X, X + 2)


def a_context_variable() -> Kind:
    scale = contextvars.ContextVar("scale", default=2.0)
    return lambda x: x * scale.get(), (), lambda: scale.set(3.0)  # type: ignore[return-value]


def a_weak_reference() -> Kind:
    thing = Call()
    found = weakref.ref(thing)
    return lambda x: x * found().scale, (), lambda: assign("scale", 3.0)(thing)  # type: ignore[union-attr]


def an_inner_step() -> Kind:
    scales = Space(scale=2.0)
    inner = ad.compile(lambda x: x * scales.scale)
    return lambda x: inner(x) + 1, (), lambda: assign("scale", 3.0)(scales)


def global_in_a_text() -> Kind:
    space = {"scale": 2.0}
    return lambda x: x * eval("scale", space), (), lambda: put("scale", 3.0)(space)


def a_function_within() -> Kind:
    scale = 2.0

    def change() -> None:
        nonlocal scale
        scale = 3.0

    return lambda x: (lambda y: (lambda: y * scale)())(x), (), change


WATCHED: dict[str, Callable[[], Kind]] = {
    "variable": cell(2.0, 3.0),
    "integer": cell(2, 3),
    "flag": cell(True, False, lambda x, flag: x if flag else -x),
    "text": cell("sin", "cos", lambda x, name: getattr(np, name)(x)),
    "None": cell(None, 2.0, lambda x, scale: x if scale is None else x * scale),
    "NumPy number": cell(np.float32(2), np.float32(3)),
    "tuple": cell((2.0, 1.0), (3.0, 1.0), lambda x, pair: x * pair[0]),
    "named tuple": cell(Pair(2.0, 1.0), Pair(3.0, 1.0), lambda x, pair: x * pair.scale),
    "frozen set": cell(frozenset("a"), frozenset("b"), lambda x, names: x if "a" in names else -x),
    "range": cell(range(2), range(3), lambda x, numbers: x * len(numbers)),
    "complex": cell(1 + 0j, -1 + 0j, lambda x, z: x * z.real),
    "dict": cell({"scale": 2.0}, {"scale": 3.0}, lambda x, cfg: x * cfg["scale"]),
    "object": cell(Call(2.0), Call(3.0), lambda x, thing: x * thing.scale),
    "enum": cell(Mode.SLOW, Mode.FAST, lambda x, mode: x * mode.value),
    "class": cell(Base, type("Other", (), {"scale": 3.0}), lambda x, kind: x * kind.scale),
    "function within": a_function_within,
    "attribute": number(lambda t: t.scale, lambda: Space(scale=2.0), assign("scale", 3.0)),
    "attribute of an attribute": number(
        lambda t: t.cfg.scale, lambda: Space(cfg=Space(scale=2.0)), lambda t: assign("scale", 3.0)(t.cfg)
    ),
    "object of an object": number(
        lambda t: t.cfg.scale, lambda: Space(cfg=Call()), lambda t: assign("cfg", Call(3.0))(t)
    ),
    "attribute by name": number(lambda t: getattr(t, "scale"), lambda: Call(), assign("scale", 3.0)),  # noqa: B009
    "attribute that is taken away": number(
        lambda t: t.scale, lambda: with_attributes(fresh(Base)(), scale=3.0), lambda t: delattr(t, "scale")
    ),
    "attribute of a base class": number(
        lambda t: t.scale, lambda: fresh(type("Base", (), {"scale": 2.0}))(),
        lambda t: assign("scale", 3.0)(type(t).__mro__[1]),
    ),
    "attribute that hides one of a class": number(lambda t: t.scale, Derived, assign("scale", 3.0)),
    "class as a namespace": number(lambda t: t.scale, lambda: fresh(Base), assign("scale", 3.0)),
    "property of a class": number(
        lambda t: t.first, lambda: fresh(Product)(), lambda t: assign("first", property(lambda self: 3.0))(type(t))
    ),
    "object that is called": number(lambda t: t(1.0), Call, assign("scale", 3.0)),
    "method of a class": number(
        lambda t: t.times(1.0), lambda: fresh(Product)(), lambda t: assign("times", lambda self, x: x * 3)(type(t))
    ),
    "method of an object": number(lambda t: t.times(1.0), Product, assign("times", lambda x: x * 3)),
    "constant key": number(lambda t: t["scale"], lambda: {"scale": 2.0, "other": 1}, put("scale", 3.0)),
    "constant key of a large dict": number(
        lambda t: t["scale"], lambda: {"scale": 2.0, **{f"x{k}": k for k in range(50)}}, put("scale", 3.0)
    ),
    "get": number(lambda t: t.get("scale", 1.0), lambda: {"scale": 2.0}, lambda t: t.pop("scale")),
    "keys as attributes": number(lambda t: t.scale, lambda: Kept(scale=2.0), put("scale", 3.0)),
    "dict with a default": number(
        lambda t: t["scale"], lambda: collections.defaultdict(float, scale=2.0), put("scale", 3.0)
    ),
    "key of no text": number(lambda t: t[1], lambda: {1: 2.0}, put(1, 3.0)),
    "set": number(lambda t: 2.0 if 1 in t else 1.0, lambda: {1, 2}, lambda t: (t.add(3), t.discard(1))),
    "item of a list": number(lambda t: t[-1], lambda: [1.0, 2.0], put(-1, 3.0)),
    "list in a list": number(lambda t: t[0][0], lambda: [[2.0]], lambda t: put(0, 3.0)(t[0])),
    "list in a tuple": number(lambda t: t[0][0], lambda: ([2.0],), lambda t: put(0, 3.0)(t[0])),
    "list cleared": number(lambda t: float(bool(t)) + 1, lambda: [1], lambda t: t.clear()),
    "default argument": call(lambda: copied(with_default), assign("__defaults__", (3.0,))),
    "keyword's default": call(lambda: copied(with_keyword), lambda t: put("scale", 3.0)(t.__kwdefaults__)),
    "keywords' defaults": call(lambda: copied(with_keyword), assign("__kwdefaults__", {"scale": 3.0})),
    "partial's new keyword": call(lambda: functools.partial(product), lambda t: put("scale", 3.0)(t.keywords)),
    "partial of a partial": call(
        lambda: functools.partial(functools.partial(product, scale=2.0), offset=1.0),
        lambda t: put("offset", 3.0)(t.keywords),
    ),
    "object in a partial": call(
        lambda: functools.partial(lambda cfg, x: x * cfg.scale, Call()), lambda t: assign("scale", 3.0)(t.args[0])
    ),
    "object with items": number(
        lambda t: t["scale"], lambda: type("Own", (Call,), {"__getitem__": lambda self, key: vars(self)[key]})(),
        assign("scale", 3.0),
    ),
    "object that answers by a function": number(
        lambda t: t.other, lambda: type("Own", (Call,), {"__getattr__": lambda self, name: self.scale * 2})(),
        assign("scale", 3.0),
    ),
    "bound method": call(lambda: Call().__call__, lambda t: assign("scale", 3.0)(t.__self__)),
    "decorated function": call(
        lambda: decorated(Call()), lambda t: assign("scale", 3.0)(t.__wrapped__)
    ),
    "function with a cache": number(
        lambda t: t.read(), lambda: (lambda own: Space(own=own, read=functools.cache(lambda: own.scale)))(Call()),
        lambda t: (assign("scale", 3.0)(t.own), t.read.cache_clear()),
    ),
    "function of another file": number(
        lambda t: t.times(1.0), another_file, lambda t: assign("times", lambda x: x * 3)(t)
    ),
    "variable of another file": number(lambda t: t.scale, another_file, assign("scale", 3.0)),
    "variable read in another file": number(lambda t: t.times(1.0), another_file, assign("scale", 3.0)),
    "loss in a variable": cell(functional.mse_loss, functional.l1_loss, lambda x, loss: loss(x, X + 2)),
    "function in a tuple": cell((np.sin,), (np.cos,), lambda x, functions: functions[0](x)),
    "closure made anew": cell(scaled_by(2.0), scaled_by(3.0), lambda x, function: function(x)),
    "partial made anew": cell(
        functools.partial(product, scale=2.0), functools.partial(product, scale=3.0), lambda x, function: function(x)
    ),
    "function of a class": number(
        lambda t: t.loss(X, X + 2), lambda: type("Own", (), {"loss": staticmethod(functional.mse_loss)}),
        assign("loss", staticmethod(functional.l1_loss)),
    ),
    "compiled step": an_inner_step,
    "code in a text": global_in_a_text,
}  # fmt: skip


def a_proxy() -> Kind:
    own = {KEY: 2.0}
    proxy = types.MappingProxyType(own)
    return lambda x: x * proxy[KEY], (), lambda: put(KEY, 3.0)(own)


FOUND_ANEW: dict[str, Callable[[], Kind]] = {
    "cached property": number(lambda t: t.cached, Call, lambda t: put("cached", 3.0)(vars(t))),
    "deque": number(lambda t: t[0], lambda: collections.deque([2.0]), put(0, 3.0)),
    "array of Python": number(lambda t: t[0], lambda: array.array("d", [2.0]), put(0, 3.0)),
    "bytes": number(lambda t: t[0], lambda: bytearray(b"a"), put(0, 3)),
    "large list": number(lambda t: t[20], lambda: [2.0] * 50, put(20, 3.0)),
    "large dict": number(lambda t: sum(t.values()), lambda: dict.fromkeys(range(50), 2.0), put(20, 3.0)),
    "chained dicts": number(lambda t: t[KEY], lambda: collections.ChainMap({KEY: 2.0}), put(KEY, 3.0)),
    "proxy of a dict": a_proxy,
    "attribute by a function": number(operator.attrgetter("other"), lambda: Space(other=2.0), assign("other", 3.0)),
    "code of a function": call(
        lambda: copied(with_default), lambda t: assign("__code__", (lambda x, scale=1.0: x - scale).__code__)(t)
    ),
    "thread's own": number(
        lambda t: t.scale, lambda: with_attributes(threading.local(), scale=2.0), assign("scale", 3.0)
    ),
    "context variable": a_context_variable,
    "weak reference": a_weak_reference,
}  # fmt: skip


def a_model_with(change: Callable[[Any], Any]) -> Callable[[], Kind]:
    """Make a step that calls a module which is not named as its state."""

    def kind() -> Kind:
        model = nn.MLP([2, 3, 2], rng=0)
        return lambda x: model(x), (), lambda: change(model)

    return kind


def of_others(make: Callable[[], Any], change: Callable[[Any], Any]) -> Callable[[], Kind]:
    """Make a step that multiplies by a Tensor or array that is found in something."""
    return number(lambda t: t.scale, lambda: Space(scale=make()), change)


def an_array_in_place(t: Any) -> None:
    t.scale[...] = 3


RIGHT_OR_REFUSED: dict[str, Callable[[], Kind]] = {
    "data of a Tensor": of_others(lambda: Tensor([2.0, 2.0]), lambda t: assign("data", np.array([2.0, 3.0]))(t.scale)),
    "data of a Tensor in place": of_others(lambda: Tensor([2.0, 2.0]), lambda t: put(0, 3)(t.scale.data)),
    "another Tensor": of_others(lambda: Tensor([2.0, 2.0]), lambda t: assign("scale", Tensor([2.0, 3.0]))(t)),
    "array in place": of_others(lambda: np.array([2.0, 2.0]), an_array_in_place),
    "another array": of_others(lambda: np.array([2.0, 2.0]), lambda t: assign("scale", np.array([2.0, 3.0]))(t)),
    "view of an array": of_others(lambda: np.ones((2, 2))[0], lambda t: put(..., 3)(t.scale.base)),
    "scalar": of_others(lambda: np.array(2.0), an_array_in_place),
    "array in a list": number(lambda t: t[0], lambda: [np.ones(2)], lambda t: put(0, 3)(t[0])),
    "array of a list": number(lambda t: t[0], lambda: [np.ones(2)], put(0, np.full(2, 3.0))),
    "array in slots": number(
        lambda t: t.scale, lambda: with_attributes(Slots(), scale=np.ones(2)), lambda t: put(0, 3)(t.scale)
    ),
    "array in a deque": number(lambda t: t[0], lambda: collections.deque([np.ones(2)]), lambda t: put(0, 3)(t[0])),
    "array in a partial": call(
        lambda: functools.partial(product, scale=np.ones(2)), lambda t: put(0, 3)(t.keywords["scale"])
    ),
    "array as a default": call(
        lambda: with_attributes(copied(with_default), __defaults__=(np.ones(2),)),
        lambda t: put(0, 3)(t.__defaults__[0]),
    ),
    "Tensor of a list": number(lambda t: t[0], lambda: [Tensor([2.0, 2.0])], put(0, Tensor([2.0, 3.0]))),
    "another layer": a_model_with(lambda m: put(1, nn.Tanh())(m.layers)),
    "one layer more": a_model_with(lambda m: m.layers.append(nn.Tanh())),
    "one layer less": a_model_with(lambda m: m.layers.pop()),
    "parameters that are loaded": a_model_with(lambda m: m.load_state_dict(nn.MLP([2, 3, 2], rng=1).state_dict())),
    "parameters in place": a_model_with(lambda m: put(..., 0)(m.parameters()[0].data)),
    "another parameter": a_model_with(lambda m: assign("bias", nn.Parameter(np.ones(2)))(m.layers[-1])),
    "forward of an object": a_model_with(assign("forward", lambda x: x * 2)),
    "list of modules": number(
        lambda t: t[0](X), lambda: [nn.Linear(2, 2, rng=0)], lambda t: put(0, nn.Linear(2, 2, rng=1))(t)
    ),
    "module of a dict": number(
        lambda t: t["net"](X), lambda: {"net": nn.Linear(2, 2, rng=0)}, lambda t: put("net", nn.Linear(2, 2, rng=1))(t)
    ),
    "attribute of a module": call(
        lambda: Layer(), lambda t: assign("cfg", {"a": 3.0, "b": {"c": 1.0}})(t)
    ),
}  # fmt: skip


def calls_until_found(kind: Callable[[], Kind], before: int) -> int | str:
    """Give the call in which a change after some calls is found, or say that results are right."""
    (step, state, change), (eager, _, its_change) = kind(), kind()
    compiled = ad.compile(step, state)
    is_right = True
    for count in range(1, 17):
        if count == before + 1:
            change()
            its_change()
        try:
            result = compiled(X)
        except RuntimeError as error:
            found = count if "compile again" in str(error) else str(error)
            return found if is_right else f"old until call {found}"
        is_right &= np.allclose(ad.stop_gradient(result), ad.stop_gradient(eager(X)))
    return "right" if is_right else "old"


@pytest.mark.parametrize("name", WATCHED)
def test_it_is_found_in_the_next_call(name: str) -> None:
    assert (calls_until_found(WATCHED[name], 1), calls_until_found(WATCHED[name], 5)) == (2, 6)


@pytest.mark.parametrize("name", FOUND_ANEW)
def test_it_is_found_when_the_step_is_recorded_anew(name: str) -> None:
    found = calls_until_found(FOUND_ANEW[name], 1), calls_until_found(FOUND_ANEW[name], 5)
    assert found == (2, "old until call 8")


@pytest.mark.parametrize("name", RIGHT_OR_REFUSED)
@pytest.mark.parametrize("before", [1, 5])
def test_it_is_never_old(name: str, before: int) -> None:
    assert calls_until_found(RIGHT_OR_REFUSED[name], before) in ("right", before + 1)


@pytest.mark.parametrize("name", KINDS)
def test_others_are_found_by_then(name: str) -> None:
    assert calls_until_found(KINDS[name], 1) in (2, "right")
    assert calls_until_found(KINDS[name], 5) in (6, 8, "right", "old until call 8")


class Counting:
    def __init__(self) -> None:
        self.t = 0

    def step(self, x: Any) -> Any:
        self.t += 1
        return x * (1 + self.t / 1e6)


def a_counter() -> Any:
    calls = 0

    def step(x: Any) -> Any:
        nonlocal calls
        calls += 1
        return x * calls

    return step


def a_growing_list() -> Any:
    seen: list[int] = []
    return lambda x: x * (seen.append(0) or len(seen))  # type: ignore[func-returns-value]


PROGRESS: dict[str, Callable[[], Any]] = {
    "iterator": lambda: functools.partial(lambda numbers, x: x * next(numbers), itertools.count()),
    "attribute": lambda: Counting().step,
    "variable": a_counter,
    "list": a_growing_list,
    "clock": lambda: lambda x: x * time.perf_counter(),
    "random number": lambda: lambda x: x * random.random(),
}


@pytest.mark.parametrize("name", PROGRESS)
def test_progress_in_python_is_found_at_once(name: str) -> None:
    compiled = ad.compile(PROGRESS[name]())
    with pytest.raises(RuntimeError, match="compile"):
        np.testing.assert_array_equal(compiled(X), compiled(X))


class Machine:
    """An object that changes itself, in the ways that programs do."""

    def __init__(self) -> None:
        self.scale = 2.0
        self.calls = 0
        self.cache: dict[Any, Any] = {}
        self.history: list[Any] = []
        self.latest: Any = None
        self.names = {"a"}
        self.log = logging.getLogger("tests")
        self.lock = threading.Lock()

    def step(self, x: Any) -> Any:
        with self.lock:
            self.calls += 1
            self.latest = self.first = x * self.scale
            self.history.append(self.calls)
            self.names.add(f"call {self.calls}")
            self.cache.setdefault("shape", x.shape)
            self.cache[len(self.cache)] = self.calls
            self.log.debug("%s", self.calls)
            return self.latest + small(self.scale)


@functools.lru_cache
def small(number: float) -> float:
    return number / 10


def test_what_a_step_changes_itself_is_no_change() -> None:
    machine = Machine()
    compiled = ad.compile(machine.step)
    for count in range(12):
        np.testing.assert_array_equal(compiled(X), X * 2 + np.float32(0.2))
        if count % 3 == 0:
            machine.step(X)  # as it is written
    compiled.check()
    machine.scale = 3.0
    with pytest.raises(RuntimeError, match=r"self\.scale"):
        compiled(X)


def test_what_a_step_does_not_read_may_change() -> None:
    cfg, job, small.calls = Space(scale=2.0, rate=1), Space(rate=3.0, scale=0, seen=[]), 0  # type: ignore[attr-defined]

    def step(x: Any) -> Any:
        return x * cfg.scale + job.rate + len("text") + small(1.0)

    compiled = ad.compile(step)
    for count in range(30):
        cfg.rate, job.scale, small.calls = count, str(count), count  # type: ignore[attr-defined]
        job.seen.append(X)
        small(count)
        np.testing.assert_array_equal(compiled(X), step(X))
    job.rate = 4.0  # though others have changed so often that they are no longer looked into
    with pytest.raises(RuntimeError, match=r"job\.rate"):
        compiled(X)


@pytest.mark.parametrize("make", [np.full, lambda *args: Tensor(np.full(*args))], ids=["array", "Tensor"])
def test_arrays_that_a_step_does_not_read_may_change(make: Any) -> None:
    ring, job = [make(2, 2.0) for _ in range(4)], Space(ring=0)
    compiled = ad.compile(lambda x: x * ring[0])
    for count in range(12):
        ring[1 + count % 3] = make(2, count + 0.5)
        job.ring = make(2, count + 0.5)
        np.testing.assert_array_equal(ad.stop_gradient(compiled(X)), X * 2)
    ring[0] = make(2, 2.0)
    with contextlib.suppress(RuntimeError):  # it may be refused, or is read from now on
        compiled(X)
        getattr(ring[0], "_array", ring[0])[...] = 3
        np.testing.assert_allclose(ad.stop_gradient(compiled(X)), X * 3, rtol=1e-6)


def test_another_thread_may_set_what_is_not_read() -> None:
    cfg, job, is_over = Space(scale=2.0), Space(scale=0), threading.Event()

    def count() -> None:
        while not is_over.is_set():
            job.scale += 1
            job.latest = job.scale
            time.sleep(0.0001)

    thread = threading.Thread(target=count)
    compiled = ad.compile(lambda x: x * cfg.scale * len(vars(job)) ** 0)
    thread.start()
    try:
        for _ in range(200):
            np.testing.assert_array_equal(compiled(X), X * 2)
    finally:
        is_over.set()
        thread.join()


def test_an_equal_number_leaves_a_call_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = Space(scale=1000.5)
    compiled = ad.compile(lambda x: x * cfg.scale)
    compiled(X)
    for _ in range(3):
        cfg.scale = float("1000.5")
        compiled(X)
        assert compiled._latest is not None
        assert compiled._latest.fits((X,))


class Everything:
    scale = 2.0

    def __getattr__(self, name: str) -> Any:
        return self


class Nothing(Everything):
    def __getattribute__(self, name: str) -> Any:
        if name != "scale":
            raise ZeroDivisionError(name)
        return 2.0


class Pretender(Everything):
    @property
    def __class__(self) -> Any:
        raise ZeroDivisionError

    __dict__ = {"scale": 3.0}


class Stubborn(Everything):
    def __raise(self, *args: Any) -> Any:
        raise ZeroDivisionError

    __eq__ = __len__ = __bool__ = __iter__ = __repr__ = __getitem__ = __copy__ = __raise
    __hash__ = None  # type: ignore[assignment]


class Effects:
    """Counts whom it was read by."""

    read = 0

    def __get__(self, thing: Any, kind: Any) -> float:
        Effects.read += 1
        return 2.0


class Described:
    scale = Effects()


class Items(list[float]):
    def __getitem__(self, key: Any) -> Any:
        return 2.0

    def __len__(self) -> int:
        raise ZeroDivisionError

    scale = 2.0


class Meta(type):
    def __getattribute__(cls, name: str) -> Any:
        if name in ("scale", "__dict__", "__mro__"):
            return super().__getattribute__(name)
        raise AttributeError(name)


def round_about() -> Any:
    thing = Space(scale=2.0, items=[], names={})
    thing.self, thing.names["self"] = thing, thing.names
    thing.items.append(thing.items)
    return thing


THINGS: dict[str, Callable[[], Any]] = {
    "has every attribute": Everything,
    "has no attribute": Nothing,
    "has no class": Pretender,
    "raises": Stubborn,
    "list": Items,
    "of a metaclass": lambda: Meta("Own", (), {"scale": 2.0}),
    "mock": lambda: unittest.mock.MagicMock(scale=2.0),
    "round about": round_about,
    "module": lambda: with_attributes(types.ModuleType("strange"), __getattr__=lambda name: 1 / 0, scale=2.0),
    "module without a name": lambda: with_attributes(types.ModuleType("unnamed"), __name__=None, scale=2.0),
}


@pytest.mark.parametrize("name", THINGS)
def test_things_of_any_kind_may_lie_around_a_step(name: str) -> None:
    thing = THINGS[name]()
    holder = Space(thing=thing, items=[thing], names={"thing": thing}, pair=(thing,))
    compiled = ad.compile(lambda x: x * thing.scale * holder.thing.scale * holder.names["thing"].scale)
    for _ in range(9):
        np.testing.assert_array_equal(compiled(X), X * 8)
    assert len(holder.items) == len(holder.pair) == 1


def test_properties_and_the_like_are_not_called() -> None:
    thing = Described()
    compiled = ad.compile(lambda x: x * thing.scale, check=False)
    for _ in range(3):
        np.testing.assert_array_equal(compiled(X), X * 2)
    assert Effects.read == 1  # by the step


def test_what_is_large_takes_little_time() -> None:
    numbers, texts = [0.5] * 10**6, dict.fromkeys(range(10**6), 1.0)
    thing = Space(numbers=numbers, texts=texts, pair=(numbers,))

    def step(x: Any) -> Any:
        return x * thing.numbers[7] * thing.texts[8] * numbers[9] * texts[10] * thing.pair[0][11]

    def seconds() -> float:
        start = time.process_time()
        variables_of(step)
        return time.process_time() - start

    assert min(seconds() for _ in range(5)) < 0.005
    assert np.all(ad.compile(step, check=False)(X) == X * 0.125)
