"""Arrays around a compiled step, and what it computes from them in plain NumPy: right or refused after they change."""

from __future__ import annotations

import copy
import functools
import textwrap
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff import Tensor
from autodiff.core.record import data_of
from nn import functional

NUMBERS, PLACES, MASK = np.array([1.0, 2.0, 3.0]), np.array([0, 2, 1]), np.array([True, False, True])
ROWS = np.arange(12.0).reshape(4, 3)
X = np.array([0.5, 1.5, 2.5])
READ: dict[str, Callable[[Any], Any]] = {
    "sum": lambda x: x * NUMBERS.sum(),
    "item": lambda x: x * NUMBERS[0],
    "ufunc": lambda x: x + np.exp(NUMBERS / 2),
    "copy": lambda x: x * NUMBERS.copy(),
    "stack": lambda x: x * np.stack([NUMBERS[0], NUMBERS[1], NUMBERS[2]]),
    "astype": lambda x: x * MASK.astype(float),
    "rows at places": lambda x: ROWS[PLACES] @ x,
    "Tensor": lambda x: (Tensor(NUMBERS) * x).sum(),
    "where": lambda x: np.where(NUMBERS > 1.5, x, 0),
    "exponent": lambda x: Tensor(x) ** NUMBERS,
    "interp": lambda x: np.interp(x, NUMBERS, NUMBERS * 2),
    "weights": lambda x: np.average(x, weights=NUMBERS),
    "variance where": lambda x: np.var(x, where=MASK),
    "set at places": lambda x: Tensor(x).at[PLACES[:2]].set(1.0),
    "loop": lambda x: sum(x * number for number in NUMBERS),
    "labels": lambda x: functional.cross_entropy(Tensor(np.outer(x, x)), PLACES),
}
REFUSED: dict[str, Callable[[Any], Any]] = {
    "index": lambda x: np.eye(3)[PLACES] @ x,
    "repeats": lambda x: np.repeat(x, PLACES),
    "mask": lambda x: x[NUMBERS > 1.5],
    "branch": lambda x: x * 2 if NUMBERS.sum() > 7 else x * 3,
    "float": lambda x: x * float(NUMBERS[1]),
    "list": lambda x: x * np.array(NUMBERS.tolist()),
}


@pytest.fixture(autouse=True)
def contents() -> None:
    NUMBERS[:], PLACES[:], MASK[:] = [1, 2, 3], [0, 2, 1], [True, False, True]


def change() -> None:
    NUMBERS[:], PLACES[:], MASK[:] = [3, 1, 4], [1, 0, 2], [True, True, False]


@pytest.mark.parametrize("after", [1, 9])
@pytest.mark.parametrize("name", READ)
def test_what_is_computed_from_an_array_is_computed_anew(name: str, after: int) -> None:
    step = READ[name]
    compiled = ad.compile(step)
    for call in range(12):
        np.testing.assert_allclose(data_of(compiled(X)), data_of(step(X)), rtol=1e-12)
        if call == after:
            change()


@pytest.mark.parametrize("after", [1, 9])
@pytest.mark.parametrize("name", REFUSED)
def test_a_step_that_looks_into_an_array_is_refused_when_that_changes(name: str, after: int) -> None:
    step = REFUSED[name]
    compiled = ad.compile(step)
    for _ in range(after):
        np.testing.assert_array_equal(data_of(compiled(X)), data_of(step(X)))
    change()
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"reads 'contents of (NUMBERS|PLACES)', which has changed since"):
            compiled(X)


def test_gradients_of_labels_that_change() -> None:
    w = Tensor(np.eye(3))

    def step() -> Any:
        w.grad = None
        loss = functional.cross_entropy(w, PLACES)
        loss.backward()
        return loss, w.grad

    compiled = ad.compile(step, w, exact=True)
    for call in range(12):
        for one, other in zip(compiled(), step()):
            np.testing.assert_array_equal(data_of(one), data_of(other))
        if call == 9:
            change()


def test_tensors_outside_may_be_frozen_and_hooked() -> None:
    p, s = Tensor(np.ones(3)), Tensor(np.ones(3))

    def step(x: Any) -> None:
        (p * s * x).sum().backward()

    compiled = ad.compile(step, p)
    for _ in range(9):
        compiled(X)
    s.requires_grad = False
    before = s.grad.copy()
    compiled(X)
    np.testing.assert_array_equal(s.grad, before)
    s.requires_grad = True
    hook = s.register_hook(lambda g: 2 * g)
    compiled(X)
    np.testing.assert_array_equal(s.grad, before + 2 * X)
    hook.remove()
    compiled(X)
    np.testing.assert_array_equal(s.grad, before + 3 * X)


def test_gradients_of_other_dtypes_make_other_programs() -> None:
    def made() -> tuple[Tensor, Callable[[Any], Any]]:
        w = Tensor(np.ones(3, np.float32))

        def step(x: Any) -> Any:
            (x * w).sum().backward()
            return (w.grad * w.grad).sum()

        return w, step

    (w, step), (v, eager) = made(), made()
    compiled = ad.compile(step, w, exact=True)
    x = X.astype(np.float32)
    for dtype in (np.float64, np.float64, np.float32, np.float64):
        for tensor in (w, v):
            tensor.grad = np.full(3, 1 / 3, dtype)
        one, other = compiled(x), eager(x)
        assert (one.dtype, one) == (other.dtype, other)
        assert w.grad.dtype == v.grad.dtype


def training() -> tuple[Any, Any, Callable[[Any], Any]]:
    model = nn.MLP([3, 4, 2], rng=0)
    optimizer = nn.optim.Adam(model.parameters())

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    return model, optimizer, step


def test_threads_that_record_with_one_model_leave_it_whole() -> None:
    for _ in range(3):
        model, optimizer, step = training()
        x, failed = np.ones((4, 3), np.float32), []
        uses = [
            ad.compile(step, (model, optimizer)),
            ad.compile(lambda x, model=model: model(x).sum(), model),
            lambda x, model=model: model(x),
        ]

        def run(use: Callable[[Any], Any], x: Any = x, failed: list[Any] = failed) -> None:
            try:
                for _ in range(30):
                    use(x)
            except Exception as error:
                failed.append(error)

        threads = [threading.Thread(target=run, args=(use,)) for use in uses]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed
        assert all(type(p.data) is np.ndarray for p in model.parameters())


def test_an_optimizer_of_a_compiled_step_can_be_copied() -> None:
    model, optimizer, step = training()
    compiled = ad.compile(step, (model, optimizer))
    for _ in range(2):
        compiled(np.ones((4, 3), np.float32))
        assert copy.deepcopy(optimizer).lr == optimizer.lr


def test_a_compiled_step_brings_its_state() -> None:
    (model, optimizer, step), (reference, _, eager) = training(), training()
    inner = ad.compile(step, (model, optimizer))
    outer = ad.compile(lambda x: inner(x) * 2, [inner])
    x = np.ones((4, 3), np.float32)
    for _ in range(3):
        np.testing.assert_allclose(outer(x).data, 2 * eager(x).data, rtol=1e-5)
    for one, other in zip(model.parameters(), reference.parameters()):
        np.testing.assert_allclose(one.data, other.data, rtol=1e-4)


def test_a_step_may_have_the_name_of_a_method_that_it_calls() -> None:
    program = """
        import nn

        def make(decorate):
            global step
            model = nn.Linear(3, 2, rng=0)
            optimizer = nn.optim.Adam(model.parameters(), lr=0.1)

            @decorate(model, optimizer)
            def step(x):
                optimizer.zero_grad()
                loss = (model(x) ** 2).mean()
                loss.backward()
                optimizer.step()
                return loss

            return step

        def train(x):
            return step(x) * 2
    """
    space: dict[str, Any] = {}
    exec(textwrap.dedent(program), space)
    x = np.ones((4, 3))
    expected = [float(eager(x)) for eager in [space["make"](lambda *state: lambda step: step)] for _ in range(3)]
    compiled = space["make"](lambda *state: ad.compile(state=state))
    assert [float(compiled(x)) for _ in range(3)] == pytest.approx(expected)
    assert not any(variable.value is compiled for variable in compiled._latest._step.variables)


def test_a_step_may_call_another_that_is_compiled_with_the_same_state() -> None:
    (model, optimizer, step), (_, _, eager) = training(), training()
    inner = ad.compile(step, (model, optimizer))
    outer = ad.compile(lambda x: inner(x) * 2, (model, optimizer))
    x = np.ones((4, 3), np.float32)
    for _ in range(3):
        np.testing.assert_allclose(outer(x).data, 2 * eager(x).data, rtol=1e-5)


def test_two_steps_may_compute_gradients_of_each_others_parameters() -> None:
    nets = [nn.Linear(2, 2, rng=seed) for seed in (0, 1, 0, 1)]

    def halves(generator: Any, critic: Any) -> Any:
        mine, theirs = (nn.optim.SGD(net.parameters(), lr=0.1) for net in (generator, critic))

        def train_generator(z: Any) -> Any:
            mine.zero_grad()
            loss = -critic(generator(z)).mean()
            loss.backward()
            mine.step()
            return loss

        def train_critic(z: Any) -> Any:
            theirs.zero_grad()
            loss = (critic(z) ** 2).mean() + critic(generator(z)).mean()
            loss.backward()
            theirs.step()
            return loss

        return train_generator, mine, train_critic, theirs

    one, mine, other, theirs = halves(*nets[:2])
    steps = ad.compile(one, (nets[0], mine)), ad.compile(other, (nets[1], theirs))
    eager = halves(*nets[2:])[::2]
    for _ in range(6):
        for compiled, step in zip(steps, eager):
            z = np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)
            np.testing.assert_allclose(compiled(z).data, step(z).data, rtol=1e-4)


@pytest.mark.parametrize("seed", range(24))
def test_gradients_that_are_zero_but_for_rounding_are_no_alarm(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, labels = rng.normal(size=(16, 4)), rng.integers(0, 3, 16)
    model = nn.Sequential(nn.Linear(4, 1, rng=seed), nn.BatchNorm1d(1), nn.Tanh(), nn.Linear(1, 3, rng=seed))
    optimizer = nn.optim.Adam(model.parameters(), lr=0.01)

    def step(x: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    assert np.isfinite(ad.compile(step, (model, optimizer))(x, labels).data)


class WithTable(nn.Module):
    def __init__(self) -> None:
        self.layer = nn.Linear(3, 3, rng=0)
        self.table = np.array([1, 2, 3], np.float32)
        self.changes = False

    def forward(self, x: Any) -> Any:
        if self.changes:
            self.table = self.table * x.sum()
        return self.layer(x) * np.exp(self.table) + self.table


@pytest.mark.parametrize("is_state", [True, False])
@pytest.mark.parametrize("after", [1, 9])
def test_arrays_of_modules_are_read_anew(is_state: bool, after: int) -> None:
    model = WithTable()
    compiled = ad.compile(lambda x: model(x).sum(axis=0), model if is_state else ())
    x = np.ones((2, 3), np.float32)
    for call in range(12):
        np.testing.assert_allclose(compiled(x).data, model(x).data.sum(axis=0), rtol=1e-5)
        if call == after:
            model.table[0] = 0.5
    if is_state:
        model.table = np.array([3, 2, 1], np.float32)
        np.testing.assert_allclose(compiled(x).data, model(x).data.sum(axis=0), rtol=1e-5)
        model.changes = True
        with pytest.raises(TypeError, match=r"changes 'table'|changes an array|make it a Buffer|no part of the state"):
            compiled(x)


class Lazy:
    """Computes once, and keeps, what it computes from an array."""

    def __init__(self, numbers: Any) -> None:
        self.numbers = numbers
        self.kept: Any = None
        self.scale: Any = None

    @functools.cached_property
    def cached(self) -> Any:
        return np.exp(self.numbers)

    def lazily(self) -> Any:
        if self.kept is None:
            self.kept = np.exp(self.numbers)
        return self.kept

    def assigned(self) -> Any:
        self.scale = self.numbers * 2
        return 1 + self.scale


def as_number(thing: Any) -> float:
    try:
        return float(thing)
    except TypeError:
        return 0.0


def made_once(numbers: Any) -> Callable[[], Any]:
    return functools.lru_cache(lambda: np.exp(numbers))


def memorized(numbers: Any) -> Callable[[], Any]:
    memory: dict[str, Any] = {}
    return lambda: memory.setdefault("exp", np.exp(numbers))


def by_type(numbers: Any) -> Callable[[], Any]:
    return lambda: numbers if type(numbers) is np.ndarray else 0.0


def by_class(numbers: Any) -> Callable[[], Any]:
    return lambda: numbers if isinstance(numbers, np.ndarray) else 0.0


def by_number(numbers: Any) -> Callable[[], Any]:
    return lambda: as_number(numbers[0])


def cached(numbers: Any) -> Callable[[], Any]:
    lazy = Lazy(numbers)
    return lambda: lazy.cached


OWN: list[Callable[[Any], Callable[[], Any]]] = [
    by_type,
    by_class,
    by_number,
    made_once,
    memorized,
    cached,
    lambda numbers: Lazy(numbers).lazily,
    lambda numbers: Lazy(numbers).assigned,
]


@pytest.mark.parametrize("make", OWN)
@pytest.mark.parametrize("changes", [False, True])
def test_steps_that_ask_for_types_or_keep_what_they_compute(make: Callable[[Any], Any], changes: bool) -> None:
    def made() -> tuple[Any, Any, Callable[[Any], Any]]:
        numbers, w = np.zeros(3), Tensor([1.0, 2.0, 3.0])
        of_numbers = make(numbers)

        def step(x: Any) -> Any:
            w.grad = None
            loss = ((w * x).sum() + (w * of_numbers()).sum()) ** 2
            loss.backward()
            w.data = w.data - 0.01 * w.grad
            return loss

        return numbers, w, step

    (numbers, w, step), (same, _, eager) = made(), made()
    compiled, is_refused = ad.compile(step, w, exact=True), False
    for call in range(12):
        if call == 9 and changes:
            numbers[:] = same[:] = 1
        try:
            given = compiled(X).data
        except RuntimeError as error:
            is_refused = "reads 'contents of" in str(error) and changes and call >= 9
            break
        np.testing.assert_array_equal(given, eager(X).data)
    assert is_refused == (changes and make is by_number)
    assert type(w.data) is np.ndarray


def test_a_tensor_that_is_not_found_by_name_is_as_before_when_it_is_refused() -> None:
    class Holder(nn.Module):
        def __init__(self) -> None:
            self.tensor = Tensor([1.0, 2.0])

    holder = Holder()

    def step(x: Any) -> Any:
        loss = (holder.tensor * x).sum()
        loss.backward()
        holder.tensor.data = holder.tensor.data - holder.tensor.grad
        return loss

    for _ in range(2):
        with pytest.raises(TypeError, match="the step changes 'tensor', which is no part of the state"):
            ad.compile(step, holder)(np.ones(2))
        np.testing.assert_array_equal(holder.tensor.data, [1, 2])
        assert holder.tensor.grad is None


@pytest.mark.parametrize("check", [True, False])
def test_nothing_that_records_is_left_in_attributes_of_modules(check: bool) -> None:
    class Remembering(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(3, 2, rng=0)
            self.last = self.scratch = None

        def forward(self, x: Any) -> Any:
            self.last = h = self.layer(x)
            self.scratch = h.sum()
            del self.scratch
            self.scratch = None
            return h

    model = Remembering()
    compiled = ad.compile(lambda x: model(x).sum(), model, check=check)
    for _ in range(4):
        compiled(np.ones((2, 3), np.float32))
        assert model.last is None or type(model.last.data) is np.ndarray
        assert model.scratch is None
