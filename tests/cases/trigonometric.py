"""Cosine and sine transforms of SciPy's, for as long as it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec

from tests.cases.case import Case, Sampler

sampler = Sampler(9)


def fft() -> Iterator[Case]:
    from scipy import fft as sf

    from autodiff.scipy import fft

    options = {
        "dct": {"type": 1, "axis": 0},
        "idct": {"norm": "ortho"},
        "dst": {"type": 2, "n": 4},
        "dctn": {"type": 3, "s": (2, 4)},
        "idstn": {"type": 3, "axes": (0,), "norm": "forward"},
    }
    for name, given in options.items():
        yield Case(
            f"scipy.{name} {given}",
            partial(getattr(fft, name), **given),
            (sampler.normal(2, 3),),
            plain=partial(getattr(sf, name), **given),
        )


CASES = [*fft()] if find_spec("scipy") else []
