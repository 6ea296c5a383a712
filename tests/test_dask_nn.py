"""Layers, losses and optimizers on Dask arrays: the numbers are NumPy's, and nothing is computed unasked."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from nn import functional
from tests.batching.test_nn import BINARY, FUNCTIONS, LABELS, LAYERS, Case, drawn, of
from tests.strict import StrictArray, reveal
from tests.test_optim import OPTIMIZERS

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")


def refuse(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError("computed behind the user's back")


@contextlib.contextmanager
def nothing_computed() -> Iterator[None]:
    with dask.config.set(scheduler=refuse):
        yield


@pytest.fixture(autouse=True)
def threads() -> Any:
    with dask.config.set(scheduler="threads"):
        yield


def in_chunks(array: Any, divisor: int = 2) -> Any:
    return da.from_array(array, chunks=tuple(max(1, -(-size // divisor)) for size in array.shape))


def weighted(name: str, target: Any, reduction: str, **options: Any) -> Case:
    """Give a loss with class weights as an argument, by which there is no gradient."""

    def call(x: Any, y: Any, weight: Any) -> Any:
        loss: Any = getattr(functional, name)
        return loss(x, y, ad.stop_gradient(weight), reduction=reduction, **options)

    return Case(f"{name} with class weights, reduction={reduction}, {options}", call, ((5, 3), target, ("positive", 3)))


# Options that are arrays, as arguments.
WEIGHTED = [
    *(
        weighted(name, target, reduction, **options)
        for name, target, options in [
            ("cross_entropy", LABELS, {}),
            ("cross_entropy", LABELS, {"ignore_index": 1}),
            ("cross_entropy", LABELS, {"ignore_index": 1, "label_smoothing": 0.1}),
            ("cross_entropy", ("rows", 5, 3), {"label_smoothing": 0.1}),
            ("nll_loss", LABELS, {"ignore_index": 1}),
        ]
        for reduction in ("mean", "none")
    ),
    Case(
        "binary_cross_entropy_with_logits with weights of both kinds",
        lambda x, y, w, p: functional.binary_cross_entropy_with_logits(x, y, w, pos_weight=p),
        ((4, 3), ("unit", 4, 3), ("positive", 3), ("positive", 3)),
    ),
    Case("cross_entropy of one row's probabilities", functional.cross_entropy, ((3,), ("rows", 3))),
    Case("cross_entropy of booleans", lambda x, y: functional.cross_entropy(x, y > 0), ((5, 2), BINARY)),
    Case(
        "batch_norm while training",
        lambda x, w, b: functional.batch_norm(x, None, None, w, b, training=True),
        ((5, 3, 2), (3,), (3,)),
    ),
    of("embedding", ("labels", 2, 4), (3, 5), padding_idx=-1),
    of("one_hot", ("labels", 2, 4), num_classes=3),
]  # fmt: skip
TABLE = [*(case for case in FUNCTIONS if case.name != "huber_loss of a delta"), *WEIGHTED]  # which is a number


def results(case: Case, args: list[Any]) -> list[Any]:
    """Give the value, and the gradients by all that are floating-point, as arrays of some kind."""
    tensors = [ad.Tensor(x) if x.dtype.kind == "f" else x for x in args]
    out = case.function(*tensors)
    value = ad.stop_gradient(out)
    if isinstance(out, ad.Tensor) and out.requires_grad:
        (out * np.linspace(0.5, 1.5, out.size).reshape(out.shape)).sum().backward()
    return [getattr(value, "data", value) if isinstance(value, ad.Tensor) else value] + [
        x.grad for x in tensors if isinstance(x, ad.Tensor)
    ]


def close(found: list[Any], expected: list[Any]) -> None:
    """Compute all at once, and compare with NumPy's."""
    for ours, numpys in zip(dask.compute(*found), expected, strict=True):
        if numpys is None:
            assert ours is None
            continue
        assert (ours.shape, ours.dtype) == (numpys.shape, numpys.dtype)
        np.testing.assert_allclose(ours, numpys, rtol=1e-10, atol=1e-12)


@pytest.mark.together("case", TABLE, ids=str)
def test_functions_of_dask_arrays(case: Case) -> None:
    args = [np.asarray(x[0]) for x in case.args()]
    expected = results(case, args)
    which = {(True,) * len(args)}
    if "reduction=" not in case.name or "mean" in case.name:
        which |= {(True, *(False for _ in args[1:])), (False, *(True for _ in args[1:]))} - {(False,)}
    for are_lazy in which:
        with nothing_computed():
            found = results(case, [in_chunks(x) if lazy else x for x, lazy in zip(args, are_lazy, strict=True)])
        assert isinstance(found[0], da.Array)
        close(found, expected)


@pytest.mark.together("case", FUNCTIONS, ids=str)
def test_functions_of_an_array_that_cannot_be_converted(case: Case) -> None:
    args = [np.asarray(x[0]) for x in case.args()]
    expected = results(case, args)
    tensors = [ad.Tensor(StrictArray(x)) if x.dtype.kind == "f" else x for x in args]
    out = case.function(*tensors)
    found = [out.data if isinstance(out, ad.Tensor) else out]
    if isinstance(out, ad.Tensor) and out.requires_grad:
        (out * StrictArray(np.linspace(0.5, 1.5, out.size).reshape(out.shape))).sum().backward()
    found += [tensor.grad for tensor in tensors if isinstance(tensor, ad.Tensor)]
    for ours, numpys in zip(found, expected, strict=True):
        if numpys is not None:  # as of running numbers
            np.testing.assert_allclose(reveal(ours), numpys, rtol=1e-12)


def test_every_function_is_in_the_table() -> None:
    assert {case.name.split()[0] for case in TABLE} == set(functional.__all__)


# Layers

TRAINED = {
    **{name: case for name, case in LAYERS.items() if not name.startswith("MLP of") or "one" in name},
    "BatchNorm1d": (nn.BatchNorm1d(4, dtype=np.float64), (5, 4)),
    "BatchNorm1d with the average of all batches": (nn.BatchNorm1d(4, momentum=None, dtype=np.float64), (2, 4, 3)),
}


def of_layer(layer: nn.Module, x: Any) -> list[Any]:
    """Give the output and all gradients of two passes, and the state after them."""
    X = ad.Tensor(x) if x.dtype.kind == "f" else x
    for _ in range(2):
        out = layer(X)
        (out * np.linspace(0.5, 1.5, out.size).reshape(out.shape)).sum().backward()
    tensors = [*layer.parameters(), *layer.buffers()]
    grads = [tensor.grad for tensor in (*layer.parameters(), X) if isinstance(tensor, ad.Tensor)]
    return [out.data, *grads, *(tensor.data for tensor in tensors)]


@pytest.mark.together("name", TRAINED)
def test_layers_of_dask_arrays(name: str) -> None:
    layer, form = TRAINED[name]
    X = drawn(form, 0)[0]
    expected = of_layer(copy.deepcopy(layer), X)
    for lazy_input, lazy_parameters in [(True, False), (False, True), (True, True)]:
        own = copy.deepcopy(layer)
        for tensor in [*own.parameters(), *own.buffers()] if lazy_parameters else []:
            tensor.data = in_chunks(tensor.data) if tensor.shape else tensor.data
        with nothing_computed():
            found = of_layer(own, in_chunks(X) if lazy_input else X)
        assert lazy_parameters or isinstance(found[0], da.Array)
        close(found, expected)


# For each module of a loss, arguments that it takes.
LOSSES: dict[str, tuple[Any, ...]] = {
    "CrossEntropyLoss": ((5, 3), LABELS),
    "NLLLoss": ((5, 3), LABELS),
    "BCELoss": (("unit", 4), ("unit", 4)),
    "BCEWithLogitsLoss": ((5,), BINARY),
    "KLDivLoss": ((2, 3), ("rows", 2, 3)),
    "GaussianNLLLoss": ((4,), (4,), ("positive", 4)),
    "PoissonNLLLoss": ((5,), LABELS),
    **dict.fromkeys(("MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss"), ((4,), (4,))),
}


def test_modules_of_losses() -> None:
    for name, forms in LOSSES.items():
        args = [drawn(form, seed)[0] for seed, form in enumerate(forms)]
        loss = getattr(nn, name)()
        with nothing_computed():
            out = loss(*map(in_chunks, args))
        close([out], [np.asarray(loss(*args))])


def test_every_layer_is_in_the_table() -> None:
    kinds = {
        kind.__name__
        for kind in map(nn.__dict__.get, nn.__all__)
        if isinstance(kind, type) and issubclass(kind, nn.Module)
    }
    losses = {name for name in kinds if issubclass(getattr(nn, name), nn.losses.LossModule)}
    assert losses == set(LOSSES)
    assert {name.split()[0] for name in TRAINED} | {"MLP"} == kinds - losses - {"Module", "ModuleDict", "ModuleList"}


def test_dropout_draws_in_chunks() -> None:
    X = da.ones((400, 30), chunks=(100, 30))
    layer = nn.Dropout(0.25, rng=0)
    x = ad.Tensor(X)
    with nothing_computed():
        out, other = layer(x), layer(x)
        out.sum().backward()
        again = nn.Dropout(0.25, rng=0)(X)
        whole = layer(X.rechunk(400))
    kept, slope, others, same, one_chunk = dask.compute(out.data, x.grad, other.data, again, whole)
    assert kept.dtype == X.dtype
    np.testing.assert_array_equal(slope, kept)
    np.testing.assert_array_equal(same, kept)
    assert set(np.unique(kept)) == {0, 1 / 0.75}
    for block in (kept[:100], kept[100:200], one_chunk[:100]):
        assert abs((block == 0).mean() - 0.25) < 0.04
    for a, b in [(kept[:100], kept[100:200]), (kept, others), (others, one_chunk)]:
        assert (a != b).mean() > 0.2
    np.testing.assert_array_equal(layer.eval()(X).compute(), X.compute())


# Labels and other numbers that are checked

X, Y = drawn((6, 3), 0)[0], np.array([0, 2, 1, 0, 1, 2])


def with_one(array: Any, index: Any, value: Any) -> Any:
    array = np.array(array)
    array[index] = value
    return in_chunks(array)


WRONG: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "label too large": (
        lambda: functional.cross_entropy(X, with_one(Y, 4, 3)),
        ValueError,
        "labels must lie from 0 to 2 for 3 classes, got 3",
    ),
    "label of a lazy X": (
        lambda: functional.nll_loss(in_chunks(X), with_one(Y, 0, -1)),
        ValueError,
        "nll_loss: labels must .* got -1",
    ),
    "label beside one that is ignored": (
        lambda: functional.cross_entropy(X, with_one(Y, 0, 5), ignore_index=1),
        ValueError,
        "got 5",
    ),
    "probability": (
        lambda: functional.cross_entropy(X, with_one(X * X, (5, 2), -0.5)),
        ValueError,
        "probabilities must not be negative or NaN, got -0.5",
    ),
    "probabilities of one row": (
        lambda: functional.cross_entropy(X[0], in_chunks(np.ones(3))),
        ValueError,
        "must sum to 1, got 3.0",
    ),
    "class weight": (
        lambda: functional.cross_entropy(X, Y, in_chunks(np.array([1.0, -1, 1]))),
        ValueError,
        "weight must not be negative or NaN, got -1.0",
    ),
    "target of two classes": (
        lambda: functional.binary_cross_entropy_with_logits(X, with_one(X * 0, (3, 0), 2)),
        ValueError,
        "targets must be probabilities between 0 and 1, got 2.0",
    ),
    "no probability": (
        lambda: functional.binary_cross_entropy(with_one(X * 0, (3, 0), 7), X * 0),
        ValueError,
        "input must be .* got 7.0; apply sigmoid",
    ),
    "divergence": (
        lambda: functional.kl_div(X, with_one(X * X, 0, np.nan)),
        ValueError,
        "targets must not be negative or NaN, got nan",
    ),
    "variance": (
        lambda: functional.gaussian_nll_loss(X, X, with_one(X * X, (2, 2), -3)),
        ValueError,
        "var must not be negative, got -3.0",
    ),
    "count": (
        lambda: functional.poisson_nll_loss(X, with_one(X * X, (2, 2), -3)),
        ValueError,
        "targets are counts .* got -3.0",
    ),
    "rate": (
        lambda: functional.poisson_nll_loss(with_one(X * X, 1, -3), X * X, log_input=False),
        ValueError,
        "rates must not .* got -3.0",
    ),
    "index": (
        lambda: functional.embedding(with_one(Y, 5, 6), X),
        IndexError,
        "indices must lie from 0 to 5 for 6 rows, got 6",
    ),
}


@pytest.mark.together(("call", "kind", "words"), WRONG.values(), ids=WRONG)
def test_wrong_numbers_are_refused_when_they_are_computed(call: Any, kind: type[Exception], words: str) -> None:
    with nothing_computed():
        out = call()
    with pytest.raises(kind, match=words):
        out.compute()


def test_gradients_of_wrong_labels_are_refused() -> None:
    for weight in (None, np.ones(3)):
        W = ad.Tensor(drawn((3, 3), 1)[0])
        with nothing_computed():
            functional.cross_entropy(in_chunks(X) @ W, with_one(Y, 4, 3), weight).backward()
        with pytest.raises(ValueError, match="labels must lie from 0 to 2 for 3 classes, got 3"):
            W.grad.compute()
    target = ad.Tensor(with_one(X * X, (5, 2), -0.5))
    functional.cross_entropy(ad.Tensor(X), target, reduction="sum").backward()
    np.testing.assert_allclose(target.grad.compute(), -functional.log_softmax(X))  # which does not depend on it


def test_what_is_seen_at_once_is_said_at_once() -> None:
    some = in_chunks(X)[in_chunks(X)[:, 0] > 0]
    unknown = r"the unknown shape \(nan.* by compute_chunk_sizes\(\)"
    with nothing_computed():
        for call, kind, words in [
            (
                lambda: functional.cross_entropy(in_chunks(X), in_chunks(Y * 1.0)),
                TypeError,
                "labels must be integers, got float64",
            ),
            (lambda: functional.cross_entropy(in_chunks(X), in_chunks(Y[:5])), ValueError, "5 labels for 6 rows"),
            (
                lambda: functional.cross_entropy(in_chunks(X), Y, in_chunks(np.ones(2))),
                ValueError,
                r"weight must have the shape \(3,\)",
            ),
            (lambda: functional.cross_entropy(some, Y), ValueError, f"cross_entropy: logits has {unknown}"),
            (
                lambda: functional.cross_entropy(in_chunks(X), some[:, 0] > 0),
                ValueError,
                f"cross_entropy: target has {unknown}",
            ),
            (lambda: functional.mse_loss(some, some + 1), ValueError, f"mse_loss: target has {unknown}"),
            (lambda: functional.mse_loss(some, X), ValueError, f"mse_loss: prediction has {unknown}"),
            (
                lambda: ad.Tensor(in_chunks(X))[in_chunks(Y)].sum().backward(),
                NotImplementedError,
                "by what a lazy index",
            ),
            (lambda: functional.one_hot(in_chunks(Y)), ValueError, "one_hot: the largest label .* give num_classes="),
            (lambda: functional.embedding(in_chunks(X), X), TypeError, "indices must be integers, got float64"),
            (
                lambda: functional.huber_loss(X, X, delta=in_chunks(X)[0, 0]),
                TypeError,
                "delta must be a number, positive, got dask.array",
            ),
            (
                lambda: functional.batch_norm(in_chunks(X), np.zeros(3), np.ones(3), training=True),
                TypeError,
                "in memory: give running numbers as nn.Buffer",
            ),
            (
                lambda: nn.distributions.Normal(0.0, 1.0).log_prob(in_chunks(X)),
                NotImplementedError,
                r"Normal.log_prob: its check would compute .* x.compute\(\)",
            ),
        ]:
            with pytest.raises(kind, match=words):
                call()


def test_chunks_that_do_not_line_up() -> None:
    W = drawn((3, 3), 1)[0]

    def of_chunks(x: Any, y: Any, w: Any) -> list[Any]:
        w = ad.Tensor(w)
        loss = functional.cross_entropy(functional.linear(x, w), y)
        loss.backward()
        return [loss.data, w.grad]

    expected = of_chunks(X, Y, W)
    for rows, features, labels, weights in [(2, 3, 4, (3, 3)), (5, 2, 1, (1, 2)), (6, 1, 4, (2, 3))]:
        with nothing_computed():
            x, y = da.from_array(X, chunks=(rows, features)), da.from_array(Y, chunks=labels)
            found = of_chunks(x, y, da.from_array(W, chunks=weights))
        close(found, expected)
    with nothing_computed():
        found = [*of_chunks(X, in_chunks(Y), W), *of_chunks(in_chunks(X), Y, W)]
        rows = ad.vmap(lambda row, label: functional.cross_entropy(row[None], label[None]))(in_chunks(X), in_chunks(Y))
        some = [*of_chunks(da.from_array(X, chunks=((2, 0, len(X) - 2), 3)), Y, W)]  # as a mask leaves them
    close(found + some, expected * 3)
    close([rows], [functional.cross_entropy(X, Y, reduction="none")])


# Training


def test_tasks_of_a_step_grow_with_the_number_of_chunks() -> None:
    def tasks(blocks: int, steps: int) -> int:
        model = nn.Sequential(
            nn.Embedding(7, 2, rng=0),
            nn.Flatten(),
            nn.Linear(6, 4, rng=0),
            nn.BatchNorm1d(4),
            nn.ReLU(),
            nn.Dropout(rng=0),
            nn.LayerNorm(4),
            nn.Linear(4, 3, rng=0),
        )
        optimizer = nn.optim.Adam(model.parameters())
        x = da.ones((5 * blocks, 3), chunks=(5, 3), dtype=int)
        for _ in range(steps):
            optimizer.zero_grad()
            functional.cross_entropy(model(x), x[:, 0], weight=np.ones(3)).backward()
            nn.optim.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        tensors = [*model.parameters(), *model.buffers()]
        return len({key for one in tensors if isinstance(one.data, da.Array) for key in one.data.__dask_graph__()})

    with nothing_computed():
        counts = [tasks(blocks, 1) for blocks in (10, 20, 40)]
        once, twice, thrice = (tasks(2, steps) for steps in (1, 2, 3))
    assert counts[2] < 2.2 * counts[1] < 2.2 * 2.2 * counts[0]
    assert thrice - twice < 1.2 * (twice - once)


def test_weights_that_change_after_a_graph_was_made() -> None:
    model = nn.Linear(3, 3, rng=0, dtype=np.float64)
    loss = functional.cross_entropy(model(in_chunks(X)), in_chunks(Y))
    loss.backward()
    before = functional.cross_entropy(model(X), Y).item()
    for parameter in model.parameters():
        parameter.grad = parameter.grad.compute()
    nn.optim.SGD(model.parameters(), lr=1.0).step()
    assert loss.item() == pytest.approx(before, rel=1e-12)
    assert functional.cross_entropy(model(X), Y).item() < before - 0.01


# Each optimizer with all that it can do.
STEPS = {
    name: case
    for name, case in OPTIMIZERS.items()
    if name in ("SGD with all", "SGD with dampening and weight decay", "Adam with AMSGrad", "AdamW with AMSGrad")
    or {"momentum": 0.8, "centered": True, "weight_decay": 0.05}.items() <= case[1].items()
    or {"lr_decay": 0.05, "weight_decay": 0.05, "initial_accumulator_value": 0.5, "eps": 1e-2}.items()
    <= case[1].items()
}


@pytest.mark.together(("make", "options"), STEPS.values(), ids=STEPS)
def test_steps_that_are_computed_later(make: Any, options: dict[str, Any]) -> None:
    def trained(x: Any, pause: Callable[[list[ad.Tensor]], None]) -> list[Any]:
        parameters = [ad.Tensor(drawn((3, 2), 5)[0]), ad.Tensor(0.5), ad.Tensor(np.array([1 + 2j, -1j]))]
        optimizer = make(parameters, **options)
        for step in range(2):
            optimizer.zero_grad()
            W, b, c = parameters
            (np.abs(x @ W + b * c) ** 2).mean().backward()
            if step == 1:
                pause(parameters)
            optimizer.step()
            optimizer.lr *= 0.9
        return [parameter.data for parameter in parameters]

    def computed(parameters: list[ad.Tensor]) -> None:
        arrays = dask.compute(*((parameter.data, parameter.grad) for parameter in parameters))
        for parameter, (data, grad) in zip(parameters, arrays, strict=True):
            parameter.data, parameter.grad = data, grad

    expected = trained(X, lambda parameters: None)
    with nothing_computed():
        found = trained(in_chunks(X), lambda parameters: None)
    assert all(isinstance(one, da.Array) for one in found)
    with dask.config.set(scheduler="sync"):  # the tasks follow each other, and threads would wait for threads
        close(found, expected)
        close(trained(in_chunks(X), computed), expected)


def test_gradients_that_are_clipped_later() -> None:
    for value, words in ((np.inf, "the norm of the gradients is inf"), (1.0, None)):
        w = ad.Tensor(np.ones(6))
        w.grad = with_one(np.arange(6.0), 3, value)
        with nothing_computed():
            nn.optim.clip_grad_value_([w], 4.0)
            norm: Any = nn.optim.clip_grad_norm_([w], 1.0, error_if_nonfinite=True) if words is None else None
        if words is None:
            assert norm.compute() == pytest.approx(np.linalg.norm([0, 1, 2, 1, 4, 4]))
            assert np.linalg.norm(w.grad.compute()) == pytest.approx(1, rel=1e-5)
            continue
        w.grad = with_one(np.arange(6.0), 3, value)
        with nothing_computed():
            nn.optim.clip_grad_norm_([w], 1.0, error_if_nonfinite=True)
        with pytest.raises(RuntimeError, match=words):
            w.grad.compute()


def test_whole_runs_on_dask_arrays() -> None:
    computed = []

    def noted(block: Any) -> Any:
        computed.append(len(block))
        return block

    rows, labels = drawn((40, 3), 0)[0], drawn(("labels", 40), 1)[0]
    model = nn.Linear(3, 3, rng=0)
    x = da.from_array(rows, chunks=(10, 3)).map_blocks(noted, dtype=rows.dtype, meta=np.empty((0, 0)))
    for given in ((x, labels), (rows, in_chunks(labels)), (x, in_chunks(labels))):
        with nothing_computed(), pytest.raises(TypeError, match=r"fit: (in|tar).*ts are a lazy array, .* compute\(\)"):
            nn.fit(model, *given, loss="cross_entropy", optimizer=nn.optim.SGD(model.parameters()), epochs=1)
        assert nn.evaluate(model, *given) == nn.evaluate(model, rows, labels)
    assert set(computed) == {10}
    with pytest.raises(ValueError, match=r"evaluate: inputs has the unknown shape \(nan, 3\)"):
        nn.evaluate(model, x[x[:, 0] > 0], labels)
