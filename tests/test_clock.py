"""The log of modules at work: which Tensors were made by which."""

from __future__ import annotations

import gc
import threading

import numpy as np

import nn
from autodiff.core import clock


def owners_of(tensor: object) -> list[object]:
    order = tensor._age  # type: ignore[attr-defined]
    return [span.owner() for span in clock.latest() if span.start > order > span.end]


def test_a_tensor_lies_in_the_spans_of_the_modules_that_made_it() -> None:
    model = nn.MLP([3, 2], rng=0)
    hidden = model.layers[0](np.ones((1, 3), np.float32))
    assert owners_of(hidden) == [model.layers[0]]
    out = model(np.ones((1, 3), np.float32))
    assert owners_of(out) == [model.layers[0], model]
    assert owners_of(out * 2) == []


def test_a_module_is_not_kept_alive() -> None:
    model = nn.Linear(2, 1, rng=0)
    out = model(np.ones((1, 2), np.float32))
    del model
    gc.collect()
    assert owners_of(out) == [None]


def test_a_span_says_its_thread() -> None:
    layer = nn.Identity()
    thread = threading.Thread(target=layer, args=(1.0,))
    thread.start()
    thread.join()
    assert clock.latest()[-1].owner() is layer
    assert clock.latest()[-1].thread == thread.ident
