"""Each simplification on programs of a few lines: what it gives, what it leaves, and that numbers stay the same."""

from __future__ import annotations

from textwrap import dedent

import numpy as np
import pytest

from autodiff.compiler.program import Program
from autodiff.compiler.simplify.passes import INEXACT, PASSES
from tests.compiler.notation import read, run, samples

BECOMES = {
    "variances: sums that others may need too": (
        """
        x: float32 (3, 4) = input
        spread: float32 (3,) = np.std(x, axis=-1, ddof=1)
        y: float32 (1, 4) = np.var(x, axis=0, keepdims=True)
        return spread, y
        """,
        """
        x: float32 (3, 4) = input
        v1: float32 (3, 1) = np.mean(x, axis=-1, keepdims=True)
        v2: float32 (3, 4) = np.subtract(x, v1)
        v3: float32 (3, 4) = np.multiply(v2, v2)
        v4: float32 (3,) = np.sum(v3, axis=-1, keepdims=False)
        v5: float32 (3,) = np.divide(v4, 3)
        spread: float32 (3,) = np.sqrt(v5)
        v6: float32 (1, 4) = np.mean(x, axis=0, keepdims=True)
        v7: float32 (3, 4) = np.subtract(x, v6)
        v8: float32 (3, 4) = np.multiply(v7, v7)
        v9: float32 (1, 4) = np.sum(v8, axis=0, keepdims=True)
        y: float32 (1, 4) = np.divide(v9, 3)
        return spread, y
        """,
    ),
    "products: of matrices and vectors": (
        """
        x: float32 (3, 4) = input
        y: float32 (4, 5) = input
        v: float32 (4,) = input
        a: float32 (3, 5) = np.dot(x, y)
        b: float32 (3,) = np.inner(v, x)
        c: float32 (5,) = np.tensordot(v, y, 1)
        d: float32 (5, 3) = np.einsum('ij,jk->ki', x, y)
        e: float32 (4, 5) = np.einsum('i,ij->ij', v, y)
        f: float32 (4, 4) = np.outer(v, v)
        return a, b, c, d, e, f
        """,
        """
        x: float32 (3, 4) = input
        y: float32 (4, 5) = input
        v: float32 (4,) = input
        a: float32 (3, 5) = np.matmul(x, y)
        v1: float32 (4, 3) = np.transpose(x, (1, 0))
        b: float32 (3,) = np.matmul(v, v1)
        c: float32 (5,) = np.matmul(v, y)
        v2: float32 (5, 4) = np.transpose(y, (1, 0))
        v3: float32 (4, 3) = np.transpose(x, (1, 0))
        d: float32 (5, 3) = np.matmul(v2, v3)
        v4: float32 (4, 1) = np.reshape(v, (4, 1))
        e: float32 (4, 5) = np.multiply(v4, y)
        v5: float32 (4, 1) = np.reshape(v, (4, 1))
        v6: float32 (1, 4) = np.reshape(v, (1, 4))
        f: float32 (4, 4) = np.multiply(v5, v6)
        return a, b, c, d, e, f
        """,
    ),
    "products: of stacks, and sums over several axes": (
        """
        x: float32 (2, 3, 4) = input
        y: float32 (2, 4, 5) = input
        a: float32 (2, 3, 5) = np.einsum('nij,njk->nik', x, y)
        every: float32 = np.tensordot(x, x, 3)
        g: float32 (4, 4) = np.einsum(x, [0, 1, 2], x, [0, 1, 3], [2, 3])
        h: float32 (3, 4, 4, 5) = np.tensordot(x, y, ([0], [0]))
        return a, every, g, h
        """,
        """
        x: float32 (2, 3, 4) = input
        y: float32 (2, 4, 5) = input
        a: float32 (2, 3, 5) = np.matmul(x, y)
        every: float32 = np.vdot(x, x)
        v1: float32 (4, 2, 3) = np.transpose(x, (2, 0, 1))
        v2: float32 (4, 6) = np.reshape(v1, (4, 6))
        v3: float32 (6, 4) = np.reshape(x, (6, 4))
        g: float32 (4, 4) = np.matmul(v2, v3)
        v4: float32 (3, 4, 2) = np.transpose(x, (1, 2, 0))
        v5: float32 (12, 2) = np.reshape(v4, (12, 2))
        v6: float32 (2, 20) = np.reshape(y, (2, 20))
        v7: float32 (12, 20) = np.matmul(v5, v6)
        h: float32 (3, 4, 4, 5) = np.reshape(v7, (3, 4, 4, 5))
        return a, every, g, h
        """,
    ),
    "products: the transpose of one": (
        """
        x: float32 (3, 4) = input
        y: float32 (4, 5) = input
        product: float32 (3, 5) = np.matmul(x, y)
        z: float32 (5, 3) = np.moveaxis(product, 0, -1)
        return z
        """,
        """
        x: float32 (3, 4) = input
        y: float32 (4, 5) = input
        product: float32 (3, 5) = np.matmul(x, y)
        v1: float32 (5, 4) = np.transpose(y, (1, 0))
        v2: float32 (4, 3) = np.transpose(x, (1, 0))
        z: float32 (5, 3) = np.matmul(v1, v2)
        return z
        """,
    ),
    "products: of each of a stack with one matrix": (
        """
        x: float32 (4, 1, 3) = input
        y: float32 (3, 2) = input
        w: float32 (2, 3) = input
        g: float32 (5, 4, 3, 1) = input
        a: float32 (4, 1, 2) = np.matmul(x, y)
        b: float32 (5, 4, 2, 1) = np.matmul(w, g)
        return a, b
        """,
        """
        x: float32 (4, 1, 3) = input
        y: float32 (3, 2) = input
        w: float32 (2, 3) = input
        g: float32 (5, 4, 3, 1) = input
        v1: float32 (4, 3) = np.reshape(x, (4, 3))
        v2: float32 (3, 2) = np.reshape(y, (3, 2))
        v3: float32 (4, 2) = np.matmul(v1, v2)
        a: float32 (4, 1, 2) = np.reshape(v3, (4, 1, 2))
        v4: float32 (2, 3) = np.reshape(w, (2, 3))
        v5: float32 (5, 4, 3) = np.reshape(g, (5, 4, 3))
        v6: float32 (20, 3) = np.reshape(v5, (20, 3))
        v7: float32 (3, 2) = np.transpose(v4, (1, 0))
        v8: float32 (20, 2) = np.matmul(v6, v7)
        v9: float32 (5, 4, 2) = np.reshape(v8, (5, 4, 2))
        b: float32 (5, 4, 2, 1) = np.reshape(v9, (5, 4, 2, 1))
        return a, b
        """,
    ),
    "products: a sum of outer products": (
        """
        x: float32 (4, 3, 1) = input
        g: float32 (4, 1, 2) = input
        outer: float32 (4, 3, 2) = np.multiply(x, g)
        total: float32 (3, 2) = np.add.reduce(outer, axis=0)
        return total
        """,
        """
        x: float32 (4, 3, 1) = input
        g: float32 (4, 1, 2) = input
        outer: float32 (4, 3, 2) = np.multiply(x, g)
        v1: float32 (4, 3) = np.reshape(x, (4, 3))
        v2: float32 (4, 2) = np.reshape(g, (4, 2))
        v3: float32 (3, 4) = np.transpose(v1, (1, 0))
        total: float32 (3, 2) = np.matmul(v3, v2)
        return total
        """,
    ),
    "lower: parts": (
        """
        x: float32 (5, 3) = input
        a: float32 (2, 3), b: float32 (3, 3) = np.split(x, [2])
        c: float32 (5, 2), d: float32 (5, 1) = np.array_split(x, 2, axis=-1)
        return a, b, c, d
        """,
        """
        x: float32 (5, 3) = input
        a: float32 (2, 3) = operator.getitem(x, slice(None, 2, None))
        b: float32 (3, 3) = operator.getitem(x, slice(2, None, None))
        c: float32 (5, 2) = operator.getitem(x, (slice(None, None, None), slice(None, 2, None)))
        d: float32 (5, 1) = operator.getitem(x, (slice(None, None, None), slice(2, None, None)))
        return a, b, c, d
        """,
    ),
    "lower: reductions by ufuncs": (
        """
        x: float32 (3, 4) = input
        total: float32 (3, 1) = np.sum(x, axis=-1, keepdims=True)
        mean: float32 (4,) = np.mean(x, axis=0)
        largest: float32 (1, 4) = np.max(x, 0, None, True)
        all_: float32 = np.sum(x, axis=(1, 0))
        return total, mean, largest, all_
        """,
        """
        x: float32 (3, 4) = input
        v1: float32 (3,) = np.add.reduce(x, axis=1)
        total: float32 (3, 1) = np.expand_dims(v1, (1,))
        v2: float32 (4,) = np.add.reduce(x, axis=0)
        mean: float32 (4,) = np.divide(v2, 3)
        v3: float32 (4,) = np.maximum.reduce(x, axis=0)
        largest: float32 (1, 4) = np.expand_dims(v3, (0,))
        all_: float32 = np.add.reduce(x, axis=None)
        return total, mean, largest, all_
        """,
    ),
    "lower: powers as NumPy computes them": (
        """
        x: float32 (3, 4) = input
        y: float32 (3, 4) = np.power(x, 2)
        root: float32 (3, 4) = np.power(x, 0.5)
        inverse: float32 (3, 4) = np.power(x, -1)
        square: float32 (3, 4) = np.square(x)
        return y, root, inverse, square
        """,
        """
        x: float32 (3, 4) = input
        y: float32 (3, 4) = np.multiply(x, x)
        root: float32 (3, 4) = np.sqrt(x)
        inverse: float32 (3, 4) = np.divide(1, x)
        square: float32 (3, 4) = np.multiply(x, x)
        return y, root, inverse, square
        """,
    ),
    "lower: gradients of views": (
        """
        x: float32 (3,) = input
        y: float32 = input
        row: float32 (2, 3) = scatter_add(x, 1, (2, 3))
        one: float32 (4,) = scatter_add(y, slice(1, 2, None), (4,))
        return row, one
        """,
        """
        x: float32 (3,) = input
        y: float32 = input
        v1: float32 (2, 3) = np.zeros((2, 3), np.dtype('float32'))
        row: float32 (2, 3) = updated(v1, 1, x)
        v2: float32 (4,) = np.zeros((4,), np.dtype('float32'))
        one: float32 (4,) = updated(v2, slice(1, 2, None), y)
        return row, one
        """,
    ),
    "lower: transposes and ones": (
        """
        x: float32 (3, 4) = input
        y: float32 (4, 3) = np.swapaxes(x, -1, -2)
        ones: float32 (3, 4) = np.ones_like(x)
        zeros: float32 (5,) = np.zeros_like(x, shape=(5,))
        return y, ones, zeros
        """,
        """
        x: float32 (3, 4) = input
        y: float32 (4, 3) = np.transpose(x)
        ones: float32 (3, 4) = np.ones((3, 4), np.dtype('float32'))
        zeros: float32 (5,) = np.zeros((5,), np.dtype('float32'))
        return y, ones, zeros
        """,
    ),
    "constant: numbers where they are used": (
        """
        w: float32 (3,) = state
        n: float64 = state
        one: float64 = np.multiply(0.5, 2.0)
        two: float64 = np.add(one, np.float64(1.0))
        y: float32 (3,) = np.multiply(w, 1.5)
        return two, y
        n becomes two
        """,
        """
        w: float32 (3,) = state
        n: float64 = state
        y: float32 (3,) = np.multiply(w, 1.5)
        return np.float64(2.0), y
        n becomes np.float64(2.0)
        """,
    ),
    "filled: one number in all places": (
        """
        x: float32 (2, 3) = input
        half: float32 (2, 3) = np.broadcast_to(np.float32(0.5), (2, 3))
        scaled: float32 (2, 3) = np.multiply(half, x)
        ones: float32 (2, 3) = np.ones((2, 3), np.dtype('float32'))
        minus: float32 (2, 3) = np.negative(ones)
        y: float32 (2, 3) = np.add(scaled, minus)
        return y
        """,
        """
        x: float32 (2, 3) = input
        half: float32 (2, 3) = np.broadcast_to(np.float32(0.5), (2, 3))
        scaled: float32 (2, 3) = np.multiply(np.float32(0.5), x)
        ones: float32 (2, 3) = np.ones((2, 3), np.dtype('float32'))
        minus: float32 (2, 3) = np.negative(ones)
        y: float32 (2, 3) = np.add(scaled, np.float32(-1.0))
        return y
        """,
    ),
    "filled: what NumPy broadcasts itself": (
        """
        x: float32 (2, 3) = input
        y: float32 (2, 1) = input
        v: float32 (3,) = input
        wide: float32 (2, 3) = np.broadcast_to(y, (2, 3))
        row: float32 (1, 3) = operator.getitem(v, None)
        half: float32 (3,) = np.broadcast_to(np.float32(0.5), (3,))
        column: float32 (3, 1) = operator.getitem(half, (slice(None, None, None), None))
        a: float32 (2, 3) = np.multiply(wide, x)
        b: float32 (2, 3) = np.add(row, x)
        c: float32 (3, 3) = np.multiply(v, column)
        d: float32 (3,) = np.multiply(half, v)
        return a, b, c, d
        """,
        """
        x: float32 (2, 3) = input
        y: float32 (2, 1) = input
        v: float32 (3,) = input
        wide: float32 (2, 3) = np.broadcast_to(y, (2, 3))
        row: float32 (1, 3) = operator.getitem(v, None)
        half: float32 (3,) = np.broadcast_to(np.float32(0.5), (3,))
        column: float32 (3, 1) = operator.getitem(half, (slice(None, None, None), None))
        a: float32 (2, 3) = np.multiply(y, x)
        b: float32 (2, 3) = np.add(v, x)
        c: float32 (3, 3) = np.multiply(v, column)
        d: float32 (3,) = np.multiply(np.float32(0.5), v)
        return a, b, c, d
        """,
    ),
    "views: views that undo each other": (
        """
        x: float32 (2, 3) = input
        total: float32 = input
        row: float32 (1, 2, 3) = np.expand_dims(x, 0)
        y: float32 (2, 3) = np.reshape(row, (2, 3))
        same: float32 (2, 3) = np.reshape(x, (2, 3))
        there: float32 (3, 2) = np.moveaxis(same, 0, -1)
        back: float32 (2, 3) = np.transpose(there, (1, 0))
        one: float32 (1,) = np.reshape(total, (1,))
        number: float32 = np.reshape(one, ())
        part: float32 (3,) = operator.getitem(x, 0)
        again: float32 (3,) = np.reshape(part, (3,))
        wide: float32 (2, 3) = np.broadcast_to(x, (2, 3))
        return y, back, number, again, wide
        """,
        """
        x: float32 (2, 3) = input
        total: float32 = input
        row: float32 (1, 2, 3) = operator.getitem(x, None)
        there: float32 (3, 2) = np.transpose(x)
        one: float32 (1,) = np.reshape(total, (1,))
        part: float32 (3,) = operator.getitem(x, 0)
        return x, x, total, part, x
        """,
    ),
    "views: one for several": (
        """
        x: float32 (2, 3, 4) = input
        e: float32 (2, 3, 4) = np.exp(x)
        flat: float32 (24,) = np.ravel(e)
        rows: float32 (6, 4) = np.reshape(flat, (6, 4))
        moved: float32 (4, 2, 3) = np.moveaxis(x, -1, 0)
        swapped: float32 (4, 3, 2) = np.swapaxes(moved, 1, 2)
        column: float32 (4, 3, 1, 2) = np.expand_dims(swapped, 2)
        squeezed: float32 (4, 3, 2) = np.squeeze(column, 2)
        wide: float32 (2, 3, 1, 4) = np.expand_dims(x, 2)
        four: float32 (2, 1, 3, 4) = np.reshape(wide, (2, 1, 3, 4))
        return rows, squeezed, four
        """,
        """
        x: float32 (2, 3, 4) = input
        e: float32 (2, 3, 4) = np.exp(x)
        flat: float32 (24,) = np.ravel(e)
        rows: float32 (6, 4) = np.reshape(e, (6, 4))
        moved: float32 (4, 2, 3) = np.transpose(x, (2, 0, 1))
        swapped: float32 (4, 3, 2) = np.transpose(x)
        column: float32 (4, 3, 1, 2) = np.expand_dims(swapped, 2)
        squeezed: float32 (4, 3, 2) = np.transpose(x)
        wide: float32 (2, 3, 1, 4) = operator.getitem(x, (slice(None, None, None), slice(None, None, None), None))
        four: float32 (2, 1, 3, 4) = operator.getitem(x, (slice(None, None, None), None))
        return rows, squeezed, four
        """,
    ),
    "neutral: copies, products with one and two signs": (
        """
        x: float32 (2, 3) = input
        y: float32 (2, 3) = np.tanh(x)
        copy: float32 (2, 3) = np.copy(y)
        same: float32 (2, 3) = np.multiply(copy, 1)
        minus: float32 (2, 3) = np.negative(same)
        plus: float32 (2, 3) = np.negative(minus)
        return plus
        """,
        """
        x: float32 (2, 3) = input
        y: float32 (2, 3) = np.tanh(x)
        minus: float32 (2, 3) = np.negative(y)
        return y
        """,
    ),
    "neutral: numbers": (
        """
        x: float32 (2, 3) = input
        rate: float = input
        once: float = operator.mul(rate, 1)
        return once, x
        """,
        """
        x: float32 (2, 3) = input
        rate: float = input
        return rate, x
        """,
    ),
    "neutral: what is all written over": (
        """
        x: float32 (2, 3) = input
        y: float32 (2, 3) = np.tanh(x)
        new: float32 (2, 3) = updated(x, Ellipsis, y)
        return new
        """,
        """
        x: float32 (2, 3) = input
        y: float32 (2, 3) = np.tanh(x)
        return y
        """,
    ),
    "copies: copies of arrays of the user": (
        """
        x: float32 (2, 3) = input
        w: float32 (2, 3) = state
        copy: float32 (2, 3) = np.copy(x)
        y: float32 (2, 3) = np.divide(copy, 1.0)
        minus: float32 (2, 3) = np.negative(y)
        plus: float32 (2, 3) = np.negative(minus)
        new: float32 (2, 3) = updated(w, Ellipsis, plus)
        return plus
        w becomes new
        """,
        """
        x: float32 (2, 3) = input
        w: float32 (2, 3) = state
        minus: float32 (2, 3) = np.negative(x)
        return x
        w becomes x
        """,
    ),
    "powers: products for third and fourth powers": (
        """
        x: float32 (3,) = input
        cube: float32 (3,) = np.power(x, 3)
        fourth: float32 (3,) = np.power(x, 4.0)
        return cube, fourth
        """,
        """
        x: float32 (3,) = input
        v1: float32 (3,) = np.multiply(x, x)
        cube: float32 (3,) = np.multiply(v1, x)
        v2: float32 (3,) = np.multiply(x, x)
        fourth: float32 (3,) = np.multiply(v2, v2)
        return cube, fourth
        """,
    ),
    "factors: one product by a number": (
        """
        x: float32 (3,) = input
        twice: float32 (3,) = np.multiply(x, 2)
        minus: float32 (3,) = np.negative(twice)
        third: float32 (3,) = np.divide(minus, 3.0)
        return third
        """,
        """
        x: float32 (3,) = input
        third: float32 (3,) = np.multiply(-0.6666666666666666, x)
        return third
        """,
    ),
    "factors: no product, and a sign": (
        """
        x: float32 (3,) = input
        twice: float32 (3,) = np.multiply(x, 2)
        same: float32 (3,) = np.multiply(0.5, twice)
        half: float32 (3,) = np.divide(x, 2)
        minus: float32 (3,) = np.multiply(half, -2)
        return same, minus
        """,
        """
        x: float32 (3,) = input
        minus: float32 (3,) = np.negative(x)
        return x, minus
        """,
    ),
    "increments: sums with parts among zeros": (
        """
        x: float32 (3,) = input
        y: float32 (3,) = input
        v: float32 (2,) = input
        zeros: float32 (3,) = np.zeros((3,), np.dtype('float32'))
        first: float32 (3,) = updated(zeros, slice(None, -1, None), v)
        second: float32 (3,) = updated(zeros, slice(1, None, None), v)
        third: float32 (3,) = updated(zeros, slice(1, None, None), v)
        both: float32 (3,) = np.add(first, second)
        less: float32 (3,) = np.subtract(x, third)
        return both, less
        """,
        """
        x: float32 (3,) = input
        y: float32 (3,) = input
        v: float32 (2,) = input
        zeros: float32 (3,) = np.zeros((3,), np.dtype('float32'))
        first: float32 (3,) = updated(zeros, slice(None, -1, None), v)
        both: float32 (3,) = increased(first, slice(1, None, None), np.add, v)
        less: float32 (3,) = increased(x, slice(1, None, None), np.subtract, v)
        return both, less
        """,
    ),
    "signs: differences for sums with a negative": (
        """
        x: float32 (3,) = input
        y: float32 (3,) = input
        minus: float32 (3,) = np.negative(y)
        a: float32 (3,) = np.add(x, minus)
        b: float32 (3,) = np.add(minus, x)
        c: float32 (3,) = np.subtract(x, minus)
        difference: float32 (3,) = np.subtract(x, 2.0)
        d: float32 (3,) = np.negative(difference)
        return a, b, c, d
        """,
        """
        x: float32 (3,) = input
        y: float32 (3,) = input
        a: float32 (3,) = np.subtract(x, y)
        b: float32 (3,) = np.subtract(x, y)
        c: float32 (3,) = np.add(x, y)
        d: float32 (3,) = np.subtract(2.0, x)
        return a, b, c, d
        """,
    ),
    "signs: through products and quotients": (
        """
        x: float32 (3,) = input
        y: float32 (3,) = input
        minus: float32 (3,) = np.negative(x)
        product: float32 (3,) = np.multiply(y, minus)
        quotient: float32 (3,) = np.divide(product, y)
        total: float32 (3,) = np.add(y, quotient)
        return total
        """,
        """
        x: float32 (3,) = input
        y: float32 (3,) = input
        v1: float32 (3,) = np.multiply(y, x)
        v2: float32 (3,) = np.divide(v1, y)
        total: float32 (3,) = np.subtract(y, v2)
        return total
        """,
    ),
    "sums_as_products: sums by BLAS": (
        """
        x: float32 (3, 4) = input
        g: float32 (3, 4) = input
        product: float32 (3, 4) = np.multiply(x, g)
        every: float32 = np.add.reduce(product, axis=None)
        rows: float32 (3,) = np.add.reduce(x, axis=1)
        columns: float32 (4,) = np.add.reduce(x, axis=0)
        return every, rows, columns
        """,
        """
        x: float32 (3, 4) = input
        g: float32 (3, 4) = input
        every: float32 = np.vdot(x, g)
        v1: float32 (4,) = np.ones(4, np.dtype('float32'))
        rows: float32 (3,) = np.matmul(x, v1)
        v2: float32 (3,) = np.ones(3, np.dtype('float32'))
        columns: float32 (4,) = np.matmul(v2, x)
        return every, rows, columns
        """,
    ),
    "sums_as_products: a product that is used otherwise": (
        """
        x: float32 (3,) = input
        g: float32 (3,) = input
        product: float32 (3,) = np.multiply(x, g)
        total: float32 = np.add.reduce(product, axis=0)
        return total, product
        """,
        """
        x: float32 (3,) = input
        g: float32 (3,) = input
        product: float32 (3,) = np.multiply(x, g)
        v1: float32 (3,) = np.ones(3, np.dtype('float32'))
        total: float32 = np.dot(v1, product)
        return total, product
        """,
    ),
    "repeated: one call of those that are the same": (
        """
        x: float32 (3,) = input
        a: float32 (3,) = np.multiply(x, 2)
        b: float32 (3,) = np.multiply(x, 2)
        c: float32 (3,) = np.tanh(a)
        d: float32 (3,) = np.tanh(b)
        return c, d
        """,
        """
        x: float32 (3,) = input
        a: float32 (3,) = np.multiply(x, 2)
        c: float32 (3,) = np.tanh(a)
        return c, c
        """,
    ),
    "dead: what is used, and effects": (
        """
        x: float32 (3,) = input
        rng: Generator = state
        unused: float32 (3,) = np.exp(x)
        more: float32 (3,) = np.sin(unused)
        noise: float64 = random(rng)  # effect
        y: float32 (3,) = np.tanh(x)
        return y
        """,
        """
        x: float32 (3,) = input
        rng: Generator = state
        noise: float64 = random(rng)  # effect
        y: float32 (3,) = np.tanh(x)
        return y
        """,
    ),
    "rates_first: gradients that come out multiplied": (
        """
        x: float32 (4, 3) = input
        y: float32 (4, 2) = input
        w: float32 (3, 2) = state
        b: float32 (2,) = state
        g: float32 (4, 2) = np.multiply(0.25, y)
        x_T: float32 (3, 4) = np.transpose(x)
        d_w: float32 (3, 2) = np.matmul(x_T, g)
        step: float32 (3, 2) = np.multiply(0.5, d_w)
        w2: float32 (3, 2) = np.subtract(w, step)
        d_b: float32 (2,) = np.add.reduce(g, axis=0)
        step_b: float32 (2,) = np.multiply(0.5, d_b)
        b2: float32 (2,) = np.subtract(b, step_b)
        w becomes w2
        b becomes b2
        """,
        """
        x: float32 (4, 3) = input
        y: float32 (4, 2) = input
        w: float32 (3, 2) = state
        b: float32 (2,) = state
        scaled_g: float32 (4, 2) = np.multiply(0.125, y)
        x_T: float32 (3, 4) = np.transpose(x)
        scaled_d_w: float32 (3, 2) = np.matmul(x_T, scaled_g)
        w2: float32 (3, 2) = np.subtract(w, scaled_d_w)
        scaled_d_b: float32 (2,) = np.add.reduce(scaled_g, axis=0)
        b2: float32 (2,) = np.subtract(b, scaled_d_b)
        w becomes w2
        b becomes b2
        """,
    ),
    "rates_first: a rate that is given": (
        """
        x: float32 (3,) = input
        rate: float = input
        w: float32 (3,) = state
        g: float32 (3,) = np.multiply(0.25, x)
        minus: float32 (3,) = np.negative(g)
        step: float32 (3,) = np.multiply(rate, minus)
        new: float32 (3,) = np.subtract(w, step)
        w becomes new
        """,
        """
        x: float32 (3,) = input
        rate: float = input
        w: float32 (3,) = state
        v1: float = operator.mul(rate, 0.25)
        scaled_g: float32 (3,) = np.multiply(v1, x)
        scaled_minus: float32 (3,) = np.negative(scaled_g)
        new: float32 (3,) = np.subtract(w, scaled_minus)
        w becomes new
        """,
    ),
    "updates_as_products: updates by one call": (
        """
        x_T: float32 (3, 4) = input
        g: float32 (4, 2) = input
        rate: float = input
        w: float32 (3, 2) = state
        product: float32 (3, 2) = np.matmul(x_T, g)
        step: float32 (3, 2) = np.multiply(rate, product)
        new: float32 (3, 2) = np.subtract(w, step)
        w becomes new
        """,
        """
        x_T: float32 (3, 4) = input
        g: float32 (4, 2) = input
        rate: float = input
        w: float32 (3, 2) = state
        negative_rate: float = operator.neg(rate)
        new: float32 (3, 2) = add_product(w, negative_rate, x_T, g)
        w becomes new
        """,
    ),
}

STAYS = {
    "variances: other dtypes, rare options and too few numbers": """
        x: int64 (3, 4) = input
        y: float32 (3, 4) = input
        d: float = input
        a: float64 (4,) = np.var(x, axis=0)
        b: float64 (4,) = np.var(y, axis=0, dtype=np.float64)
        c: float32 (4,) = np.var(y, axis=0, ddof=d)
        e: float32 (4,) = np.var(y, axis=0, ddof=3)
        return a, b, c, e
    """,
    "products: other dtypes, sums of one array, diagonals, stacks of vectors and three factors": """
        x: float32 (3, 3) = input
        n: int64 (3, 3) = input
        w: float64 (3, 3) = input
        u: float32 (1, 3) = input
        a: int64 (3, 3) = np.dot(n, n)
        b: float64 (3, 3) = np.dot(x, w)
        c: float32 (3,) = np.einsum('ij,kk->i', x, x)
        d: float32 (3,) = np.einsum('ij,ij->i', x, x)
        e: float32 (3, 3) = np.einsum('ij,jk->ik', x, u)
        f: float32 (3,) = np.einsum('ij,jk->i', x, x)
        g: float32 (3, 3) = np.einsum('ij,jk,->ik', x, x, np.float32(2.0))
        y: float32 (3, 3) = np.matmul(x, x)
        z: float32 (9,) = np.ravel(y)
        return a, b, c, d, e, f, g, z
    """,
    "products: the transpose of one of a matrix and a stack": """
        x: float32 (3, 3) = input
        y: float32 (4, 3, 2) = input
        product: float32 (4, 3, 2) = np.matmul(x, y)
        z: float32 (4, 2, 3) = np.swapaxes(product, -1, -2)
        return z
    """,
    "products: of stacks, of which each has its own, or by elements": """
        x: float32 (4, 1, 3) = input
        y: float32 (4, 3, 2) = input
        v: float32 (3,) = input
        w: float32 (4, 3, 1) = input
        n: int64 (4, 3, 3) = input
        a: float32 (4, 1, 2) = np.matmul(x, y)
        b: int64 (4, 3, 3) = np.matmul(n, n)
        scaled: float32 (4, 1, 3) = np.multiply(x, v)
        c: float32 (1, 3) = np.add.reduce(scaled, axis=0)
        outer: float32 (4, 3, 3) = np.multiply(x, w)
        d: float32 (3, 3) = np.add.reduce(outer, axis=0)
        return a, b, c, d, outer
    """,
    "lower: other dtypes": """
        x: float16 (3, 4) = input
        flags: bool (3, 4) = np.greater(x, 0)
        squares: int8 (3, 4) = np.square(flags)
        mean: float16 (3,) = np.mean(x, axis=1)
        cube: float16 (3, 4) = np.power(x, 2)
        return squares, mean, cube
    """,
    "lower: parts that overlap": """
        x: float32 (5, 3) = input
        a: float32 (3, 3), b: float32 (0, 3), c: float32 (4, 3) = np.split(x, [3, 1])
        return a, b, c
    """,
    "lower: gradients of elements at computed places, or of numbers": """
        x: float32 (3,) = input
        y: float32 = input
        places: int64 (3,) = input
        sums: float32 (4,) = scatter_add(x, places, (4,))
        same: float32 = scatter_add(y, Ellipsis, ())
        return sums, same
    """,
    "lower: options and other orders in memory": """
        x: float32 (3, 4) by axes (1, 0) = input
        y: float32 (3, 4) = np.power(x, 2, dtype=np.float32)
        ones: float32 (3, 4) by axes (1, 0) = np.ones_like(x)
        mean: float64 (3,) = np.mean(x, axis=1, dtype=np.float64)
        z: float32 (3, 4) by axes (1, 0) = np.swapaxes(x, 0, 0)
        return y, ones, mean, z
    """,
    "constant: arrays, effects and several results": """
        x: float32 (3,) = input
        rng: Generator = state
        ones: float32 (3,) = np.ones((3,), np.dtype('float32'))
        noise: float64 = random(rng)  # effect
        a: float64, b: float64 = np.divmod(7.5, 2.0)
        return x, ones, noise, a, b
    """,
    "filled: what broadcasts, exponents and options": """
        x: float32 (2, 1) = input
        ones: float32 (2, 3) = np.ones((2, 3), np.dtype('float32'))
        y: float32 (2, 3) = np.multiply(x, ones)
        z: float32 (2, 3) = np.power(y, ones)
        total: float32 (2, 3) = np.add(y, ones, dtype=np.float32)
        return y, z, total
    """,
    "views: elements in another order": """
        x: float32 (2, 3) = input
        y: float32 (2, 3) = np.exp(x)
        flat: float32 (6,) = np.ravel(y, 'F')
        back: float32 (2, 3) = np.reshape(flat, (2, 3))
        tall: float32 (3, 2) = np.reshape(y, (3, 2), order='F')
        there: float32 (2, 3) = np.reshape(tall, (2, 3))
        return back, there
    """,
    "views: what may have gaps in memory, parts and copies": """
        x: float32 (2, 6) = input
        c: float32 (2, 6) by axes (1, 0) = np.exp(x)
        flat: float32 (12,) = np.ravel(x)
        y: float32 (2, 6) = np.reshape(flat, (2, 6))
        turned: float32 (6, 2) = np.transpose(x)
        mixed: float32 (12,) = np.ravel(turned)
        z: float32 (6, 2) = np.reshape(mixed, (6, 2))
        line: float32 (12,) = np.ravel(c)
        square: float32 (2, 6) = np.reshape(line, (2, 6))
        part: float32 (2, 3) = operator.getitem(x, (slice(None, None, None), slice(None, 3, None)))
        column: float32 (2, 1, 3) = np.expand_dims(part, 1)
        row: float32 (6,) = operator.getitem(x, 0)
        dense: float32 (6,) = np.ravel(row)
        return y, z, square, column, dense
    """,
    "neutral: what may have gaps in memory": """
        x: float32 (2, 3) = input
        copy: float32 (2, 3) = np.copy(x)
        minus: float32 (2, 3) = np.negative(copy)
        plus: float32 (2, 3) = np.negative(minus)
        return plus
    """,
    "neutral: other orders in memory, dtypes and numbers": """
        x: float32 (2, 3) = input
        rate: float = input
        y: float32 (2, 3) = np.tanh(x)
        columns: float32 (2, 3) by axes (1, 0) = np.copy(y, 'F')
        wide: float64 (2, 3) = astype(y, np.dtype('float64'))
        number: float64 = operator.mul(rate, np.float64(1.0))
        z: float32 (2, 3) = np.multiply(y, 2)
        return columns, wide, number, z
    """,
    "neutral: products of complex numbers, whose other part may be infinite": """
        x: complex64 (2, 3) = input
        rate: complex128 = input
        y: complex64 (2, 3) = np.tanh(x)
        once: complex64 (2, 3) = np.multiply(y, 1)
        twice: complex64 (2, 3) = np.divide(once, 1.0)
        power: complex64 (2, 3) = np.power(twice, 1)
        number: complex128 = operator.mul(1, rate)
        return power, number
    """,
    "copies: other dtypes, parts and options": """
        x: float32 (2, 3) = input
        y: float32 (3,) = input
        w: float32 (2, 3) = state
        wide: float64 (2, 3) = np.multiply(x, np.float64(1.0))
        inverse: float32 (2, 3) = np.divide(1.0, x)
        row: float32 (2, 3) = updated(w, 0, y)
        columns: float32 (2, 3) by axes (1, 0) = np.copy(x, order='F')
        return wide, inverse, columns
        w becomes row
    """,
    "powers: other dtypes, exponents and options": """
        x: float32 (3,) = input
        n: int64 (3,) = input
        p: float = input
        a: int64 (3,) = np.power(n, 3)
        b: float32 (3,) = np.power(x, p)
        c: float64 (3,) = np.power(x, np.float64(3.0))
        d: float32 (3,) = np.power(x, 3, dtype=np.float32)
        e: float32 (3,) = np.power(x, 5)
        return a, b, c, d, e
    """,
    "factors: what is used twice, and numbers that are not known": """
        x: float32 (3,) = input
        s: float = input
        twice: float32 (3,) = np.multiply(x, 2)
        minus: float32 (3,) = np.negative(twice)
        some: float32 (3,) = np.multiply(s, x)
        more: float32 (3,) = np.multiply(some, 3)
        return twice, minus, more
    """,
    "factors: what is too small, integers and other quotients": """
        x: float32 (3,) = input
        n: int64 (3,) = input
        small: float32 (3,) = np.multiply(x, 1e-30)
        smaller: float32 (3,) = np.multiply(small, 1e-30)
        half: float64 (3,) = np.multiply(n, 0.5)
        wide: float64 (3,) = np.multiply(half, 2.0)
        over: float32 (3,) = np.divide(2.0, x)
        twice: float32 (3,) = np.multiply(over, 2.0)
        return smaller, wide, twice
    """,
    "increments: what is used twice, taken from, or broadcast, and no zeros": """
        x: float32 (3,) = input
        n: int64 (3,) = input
        v: float32 (2,) = input
        zeros: float32 (3,) = np.zeros((3,), np.dtype('float32'))
        twice: float32 (3,) = updated(zeros, slice(1, None, None), v)
        a: float32 (3,) = np.add(x, twice)
        from_part: float32 (3,) = updated(zeros, slice(None, -1, None), v)
        b: float32 (3,) = np.subtract(from_part, x)
        among: float32 (3,) = updated(x, slice(1, None, None), v)
        c: float32 (3,) = np.add(x, among)
        wide: float32 (3, 1) = operator.getitem(x, (slice(None, None, None), None))
        part: float32 (3,) = updated(zeros, slice(None, -1, None), v)
        d: float32 (3, 3) = np.add(wide, part)
        places: int64 (3,) = np.zeros((3,), np.dtype('int64'))
        whole: int64 (3,) = updated(places, slice(1, None, None), 2)
        e: int64 (3,) = np.add(n, whole)
        return twice, a, b, c, d, e
    """,
    "signs: integers, what is used twice, and both": """
        x: float32 (3,) = input
        n: int64 (3,) = input
        minus: float32 (3,) = np.negative(x)
        opposite: int64 (3,) = np.negative(n)
        a: int64 (3,) = np.subtract(n, opposite)
        b: float32 (3,) = np.multiply(minus, 2.0)
        c: float32 (3,) = np.subtract(minus, x)
        d: float32 (3,) = np.multiply(minus, minus)
        half: float32 (3,) = np.multiply(x, 0.5)
        opposite_half: float32 (3,) = np.negative(half)
        wide: float32 (3, 1) = operator.getitem(x, (slice(None, None, None), None))
        e: float32 (3, 3) = np.multiply(opposite_half, wide)
        return a, b, c, d, e
    """,
    "sums_as_products: many numbers, other dtypes, options and axes": """
        x: float32 (3, 2000) = input
        n: int64 (3, 4) = input
        c: float32 (2, 3, 4) = input
        long: float32 (3,) = np.add.reduce(x, axis=1)
        whole: int64 (3,) = np.add.reduce(n, axis=1)
        wide: float64 (2000,) = np.add.reduce(x, axis=0, dtype=np.float64)
        some: float32 (2000,) = np.add.reduce(x, 0)
        cube: float32 (2, 4) = np.add.reduce(c, axis=1)
        return long, whole, wide, some, cube
    """,
    "repeated: other numbers, and effects": """
        x: float32 (3,) = input
        rng: Generator = state
        a: float32 (3,) = np.multiply(x, 2)
        b: float32 (3,) = np.multiply(x, 2.0)
        c: float32 (3,) = np.multiply(x, 0.0)
        d: float32 (3,) = np.multiply(x, -0.0)
        e: float64 = random(rng)  # effect
        f: float64 = random(rng)  # effect
        return a, b, c, d, e, f
    """,
    "dead: what the state becomes": """
        x: float32 (3,) = input
        w: float32 (3,) = state
        y: float32 (3,) = np.tanh(x)
        new: float32 (3,) = np.subtract(w, y)
        w becomes new
    """,
    "rates_first: what is used otherwise": """
        x: float32 (3,) = input
        g: float32 (3,) = np.multiply(0.25, x)
        step: float32 (3,) = np.multiply(0.5, g)
        return g, step
    """,
    "rates_first: two rates": """
        x: float32 (3,) = input
        g: float32 (3,) = np.multiply(0.25, x)
        one: float32 (3,) = np.multiply(0.5, g)
        two: float32 (3,) = np.multiply(0.125, g)
        return one, two
    """,
    "rates_first: a term that begins elsewhere": """
        x: float32 (3,) = input
        y: float32 (3,) = input
        g: float32 (3,) = np.multiply(0.25, x)
        total: float32 (3,) = np.add(g, y)
        step: float32 (3,) = np.multiply(0.5, total)
        return step
    """,
    "rates_first: other dtypes, and what is not linear": """
        x: float32 (3,) = input
        g: float64 (3,) = np.multiply(np.float64(0.25), x)
        step: float64 (3,) = np.multiply(0.5, g)
        h: float32 (3,) = np.multiply(0.25, x)
        e: float32 (3,) = np.exp(h)
        other: float32 (3,) = np.multiply(0.5, e)
        i: float32 (3,) = np.multiply(0.25, x)
        total: float32 = np.add.reduce(i, axis=0, initial=1.0)
        third: float32 = operator.mul(0.5, total)
        square: float32 (3,) = np.multiply(i, i)
        fourth: float32 (3,) = np.multiply(0.5, square)
        return step, other, third, fourth
    """,
    "updates_as_products: rows that are broadcast, and what is used otherwise": """
        x: float32 (1, 4) = input
        g: float32 (4, 2) = input
        y: float32 (3, 4) = input
        rate: float = input
        w: float32 (3, 2) = state
        v: float32 (3, 2) = state
        row: float32 (1, 2) = np.matmul(x, g)
        some: float32 (1, 2) = np.multiply(rate, row)
        new: float32 (3, 2) = np.subtract(w, some)
        product: float32 (3, 2) = np.matmul(y, g)
        step: float32 (3, 2) = np.multiply(rate, product)
        changed: float32 (3, 2) = np.subtract(v, step)
        return step
        w becomes new
        v becomes changed
    """,
}


def tidy(text: str) -> str:
    return dedent(text).strip()


def simplified(name: str, text: str) -> Program:
    """Simplify a program that is one, and see that what comes out is one too."""
    program = read(text)
    assert str(program) == text
    program.check()
    after = PASSES[name](program)
    after.check(program)
    return after


@pytest.mark.parametrize("case", BECOMES)
def test_a_pass_gives(case: str) -> None:
    name, (before, after) = case.partition(":")[0], map(tidy, BECOMES[case])
    program = simplified(name, before)
    assert str(program) == after
    assert_same_numbers(program, read(before), exact=name not in INEXACT)


@pytest.mark.parametrize("case", STAYS)
def test_a_pass_leaves(case: str) -> None:
    text = tidy(STAYS[case])
    assert str(simplified(case.partition(":")[0], text)) == text


def assert_same_numbers(program: Program, other: Program, exact: bool) -> None:
    """Compare what two programs give, to the last bit also for numbers such as -0.0 and nan, or within rounding."""
    for given, same in zip(samples(program, exact), samples(other, exact), strict=True):
        with np.errstate(all="ignore"):
            found, wanted = ([np.asarray(one) for one in run(*pair)] for pair in ((program, given), (other, same)))
        for one, value in zip(found, wanted, strict=True):
            assert one.dtype == value.dtype
            np.testing.assert_allclose(one, value, rtol=0 if exact else 1e-5, atol=0 if exact else 1e-6, strict=True)
            if exact:
                assert one.tobytes() == value.tobytes()


@pytest.mark.parametrize("name", PASSES)
def test_a_pass_says_whether_it_keeps_every_bit(name: str) -> None:
    text = " ".join(str(PASSES[name].__doc__).split())
    assert "Requires " in text
    assert "Gives " in text
    assert ("Keeps every bit." in text, "May change rounding" in text) == (name not in INEXACT, name in INEXACT)


def test_every_pass_has_cases() -> None:
    assert {case.partition(":")[0] for case in BECOMES} == {case.partition(":")[0] for case in STAYS} == {*PASSES}
