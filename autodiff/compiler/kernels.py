"""What programs in machine code call: arrays by their address, products of matrices, and functions of numbers.

Numba's own ``exp`` and ``tanh`` call the C library once per element. Those here are polynomials, of which LLVM computes
several elements at a time; they are wrong by at most three units in the last place. Importing this module needs Numba
and SciPy.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, config, get_num_threads, njit, types
from numba.core import cgutils
from numba.extending import get_cython_function_address, intrinsic, overload

_ROUNDING = {"reassoc", "contract"}  # what may change the order of sums, and no more: inf and nan stay what they are


class Memory:
    """The addresses of arrays, in one array that machine code is given in place of them all.

    Attributes:
        address: where the addresses lie; the first two are those of the products of BLAS.
    """

    def __init__(self, *arrays: np.ndarray[Any, Any]) -> None:
        self._arrays = [np.ascontiguousarray(array) for array in arrays]  # a copy only of what is constant
        products = [get_cython_function_address("scipy.linalg.cython_blas", name) for name in ("sgemm", "dgemm")]
        self._addresses = np.array([*products, *(array.ctypes.data for array in self._arrays)], np.uint64)
        self.address = self._addresses.ctypes.data


def in_threads(function: Callable[..., Any], rounds: int, *args: Any) -> None:
    """Call ``function(first, last, *args)`` for shares of the rounds, in as many threads as Numba may use."""
    shares = min(get_num_threads(), rounds)
    bounds = [rounds * share // shares for share in range(shares + 1)]
    mine, *rest = itertools.pairwise(bounds)
    futures = [_pool(os.getpid()).submit(function, *share, *args) for share in rest]
    try:
        function(*mine, *args)
    finally:
        for future in futures:
            future.result()


@functools.cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Make the threads of a process: one that was forked does not have those of the other."""
    return ThreadPoolExecutor(max(1, config.NUMBA_NUM_THREADS - 1), "autodiff")


def on_contiguous(build: Callable[..., Callable[..., Any]]) -> Callable[..., Callable[..., Any]]:
    """Let a function that binds a program to arrays have contiguous ones, by copies there and back if need be."""

    @functools.wraps(build)
    def bind(*arguments: Any) -> Callable[..., Any]:
        arrays = [np.require(x, requirements=["C", "A"]) if isinstance(x, np.ndarray) else x for x in arguments]
        step = build(*arrays)
        pairs = [(x, copy) for x, copy in zip(arguments, arrays) if copy is not x]
        if not pairs:
            return step

        def step_on_copies(*args: Any) -> Any:
            for x, copy in pairs:
                np.copyto(copy, x)
            try:
                return step(*args)
            finally:
                for x, copy in pairs:
                    if x.flags.writeable:
                        np.copyto(x, copy)

        return step_on_copies

    return bind


@intrinsic
def _pointer(typing_context: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.uint64), generate


@njit(inline="always")
def array_at(address: Any, shape: Any, dtype: Any) -> Any:
    """Give the array that lies at an address."""
    return carray(_pointer(np.uint64(address)), shape, dtype)


@intrinsic
def size(typing_context: Any, known: Any) -> Any:
    """Hide a constant from LLVM, in assembly of no instruction: it would unroll short loops and not vectorize them."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(args[0].type, [args[0].type])
        return builder.asm(kind, "", "=r,0", args, side_effect=False)

    return types.int64(types.int64), generate


@intrinsic
def _add_gemm(typing_context: Any, function: Any, letters: Any, sizes: Any, alpha: Any, a: Any, b: Any, c: Any) -> Any:
    """Call ``gemm`` of BLAS at an address; ``sizes`` are m, n, k and the leading dimensions of a, b and c."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function, letters, sizes, alpha, a, b, c = args

        def pointer_to(value: Any, kind: Any = None) -> Any:
            value = value if kind is None else builder.trunc(value, kind)
            slot = cgutils.alloca_once(builder, value.type)
            builder.store(value, slot)
            return slot

        trans_a, trans_b = (pointer_to(x, ir.IntType(8)) for x in cgutils.unpack_tuple(builder, letters))
        m, n, k, lda, ldb, ldc = (pointer_to(x, ir.IntType(32)) for x in cgutils.unpack_tuple(builder, sizes))
        a, b, c = (builder.inttoptr(x, alpha.type.as_pointer()) for x in (a, b, c))
        beta = ir.Constant(alpha.type, 1.0)
        operands = [trans_a, trans_b, m, n, k, pointer_to(alpha), a, lda, b, ldb, pointer_to(beta), c, ldc]
        kind = ir.FunctionType(ir.VoidType(), [x.type for x in operands])
        builder.call(builder.inttoptr(function, kind.as_pointer()), operands)
        return context.get_dummy_value()

    pair, six = types.UniTuple(types.int64, 2), types.UniTuple(types.int64, 6)
    return types.void(types.uint64, pair, six, alpha, types.uintp, types.uintp, types.uintp), generate


@njit
def add_product(gemm: Any, out: Any, scale: Any, a: Any, b: Any) -> None:
    """Compute ``out += scale * a @ b`` by one call of BLAS, whose address is given, for contiguous matrices.

    BLAS has its matrices in columns, so that the transposed product is what it computes.
    """
    item = out.itemsize
    a_rows, b_rows = a.strides[1] == item, b.strides[1] == item
    letters = (78 if b_rows else 84, 78 if a_rows else 84)  # N and T
    lead_a, lead_b = a.shape[1] if a_rows else a.shape[0], b.shape[1] if b_rows else b.shape[0]
    sizes = (out.shape[1], out.shape[0], a.shape[1], lead_b, lead_a, out.shape[1])
    _add_gemm(gemm, letters, sizes, scale, b.ctypes.data, a.ctypes.data, out.ctypes.data)


@njit(fastmath=_ROUNDING)
def plus(total: Any, x: Any) -> Any:
    """Add to a total whose terms may be added in any order."""
    return total + x


@njit
def checked(index: Any, size: Any) -> Any:
    """Give an index from 0 for one that may count from the end.

    Raises:
        IndexError: there is no such element.
    """
    place = np.int64(index)
    place = place + size if place < 0 else place
    if place < 0 or place >= size:
        raise IndexError("index is out of bounds")
    return place


# By the type of a number: that of its bits, how many are behind the point, the offset of its exponent, numbers whose
# exponential is 0 and inf, the bits of log 2 whose product with an exponent is exact, and the terms that the Taylor
# series needs for half of log 2.
_FORMATS: dict[Any, Any] = {
    types.float32: (np.float32, np.int32, 23, 127, -104, 89, 9, 7),
    types.float64: (np.float64, np.int64, 52, 1023, -745.2, 710, 32, 13),
}


def _split_exponential(number_type: Any) -> Any:
    """Make the function that gives ``2**n`` in two factors and ``exp(r) - 1``, for ``x = n log 2 + r``."""
    kind, bits, digits, offset, least, largest, exact, terms = _FORMATS[number_type]
    series = tuple(kind(1 / math.factorial(power)) for power in range(terms - 1, 0, -1))
    first = kind(1 / math.factorial(terms))
    inverse, high = kind(1 / math.log(2)), kind(round(math.log(2) * 2**exact) / 2**exact)
    low = kind(float(Decimal(2).ln() - Decimal(float(high))))
    least, largest, half = kind(least), kind(largest), kind(0.5)

    @njit(fastmath={"contract"})
    def split(x: Any) -> Any:
        x = least if x < least else x
        x = largest if x > largest else x
        n = np.floor(x * inverse + half)
        r = (x - n * high) - n * low
        p = first
        for coefficient in series:
            p = p * r + coefficient
        whole = bits(n)
        part = whole >> 1
        one = bits((part + offset) << digits).view(kind)
        other = bits((whole - part + offset) << digits).view(kind)
        return one, other, p * r

    return split


def exp(x: Any) -> Any:
    """Exponential of a number."""
    return np.exp(x)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent of a number."""
    return np.tanh(x)


@overload(exp)
def _exp(x: Any) -> Any:
    if x not in _FORMATS:
        return None
    split = _split_exponential(x)

    def implementation(x: Any) -> Any:
        one, other, rest = split(x)
        return (one + one * rest) * other

    return implementation


@overload(tanh)
def _tanh(x: Any) -> Any:
    if x not in _FORMATS:
        return None
    kind = _FORMATS[x][0]
    split, two, most = _split_exponential(x), kind(2), kind(20)

    def implementation(x: Any) -> Any:
        y = most if x > most else x
        y = -most if y < -most else y
        one, other, rest = split(two * y)
        scale = one * other
        minus_one = scale * rest + (scale - kind(1))
        return minus_one / (minus_one + two)

    return implementation
