"""A vector register as a numba type: explicit loads, stores and arithmetic on 64 bytes at a time.

Compilers give up on vectorising loops that update several rows of one array, as the backward pass does,
because they cannot know that the rows differ. Rows are padded to a multiple of :func:`lanes_of` numbers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

_REGISTER_BITS = 512


def lanes_of(dtype: Any) -> int:
    """Numbers in a vector.

    >>> lanes_of(np.float32), lanes_of(np.float64)
    (16, 8)
    """
    return _REGISTER_BITS // (8 * np.dtype(dtype).itemsize)


class Vector(types.Type):
    """The numba type of a vector of ``float32`` or ``float64``."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        self.lanes = _REGISTER_BITS // dtype.bitwidth
        super().__init__(name=f"Vector({dtype})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, ir.VectorType(_llvm(vector.dtype), vector.lanes))


def _llvm(dtype: types.Float) -> ir.Type:
    return ir.FloatType() if dtype.bitwidth == 32 else ir.DoubleType()


def _place(context: Any, builder: Any, pointer_type: Any, pointer: Any, index: Any) -> Any:
    vector = context.get_value_type(Vector(pointer_type.dtype))
    return builder.bitcast(builder.gep(pointer, [index]), vector.as_pointer())


def _everywhere(vector: ir.VectorType, number: float) -> ir.Constant:
    return ir.Constant(vector, [number] * vector.count)


def _picked(builder: Any, value: Any, other: Any, places: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places)
    return builder.shuffle_vector(value, other, mask)


def _folded(builder: Any, value: Any, join: Any, until: int) -> Any:
    """The halves of a vector joined until ``until`` numbers are left."""
    while value.type.count > until:
        half = value.type.count // 2
        low, high = (_picked(builder, value, value, list(range(first, first + half))) for first in (0, half))
        value = join(low, high)
    return value


@intrinsic
def pointer_to(typing: Any, address: Any, like: Any) -> Any:
    """The numbers at an address, of the type of ``like``. Nothing checks bounds or keeps the memory alive.

    Pointers, unlike arrays, cost no reference counts, which two threads would write in turns.
    """
    kind = types.CPointer(like)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], context.get_value_type(kind))

    return kind(types.int64, like), generate


@intrinsic
def behind(typing: Any, pointer: Any, count: Any) -> Any:
    """The pointer to ``pointer[count]``."""
    return pointer(pointer, types.int64), lambda context, builder, signature, values: builder.gep(
        *values[:1], values[1:]
    )


def cast(pointer: Any, value: Any) -> Any:
    """``value`` in the type a pointer points to; for compiled code only."""
    raise NotImplementedError


@overload(cast)
def _cast(pointer, value):  # type: ignore[no-untyped-def]
    kind = pointer.dtype
    return lambda pointer, value: kind(value)


def lanes_at(pointer: Any) -> int:
    """Numbers of a pointer's type in a vector; for compiled code only."""
    raise NotImplementedError


@overload(lanes_at)
def _lanes_at(pointer):  # type: ignore[no-untyped-def]
    lanes = Vector(pointer.dtype).lanes
    return lambda pointer: lanes


@intrinsic
def load(typing: Any, pointer: Any, index: Any) -> Any:
    """The vector of the numbers from ``pointer[index]`` on."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _place(context, builder, pointer, values[0], values[1])
        return builder.load(place, align=pointer.dtype.bitwidth // 8)

    return Vector(pointer.dtype)(pointer, types.int64), generate


@intrinsic
def store(typing: Any, pointer: Any, index: Any, vector: Any) -> Any:
    """Write a vector to the numbers from ``pointer[index]`` on."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _place(context, builder, pointer, values[0], values[1])
        builder.store(values[2], place, align=pointer.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(pointer, types.int64, vector), generate


@intrinsic
def address_of(typing: Any, pointer: Any) -> Any:
    """The address a pointer holds."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.ptrtoint(values[0], ir.IntType(64))

    return types.int64(pointer), generate


@intrinsic
def stream(typing: Any, pointer: Any, index: Any, vector: Any) -> Any:
    """As :func:`store`, past the caches, to an address that is a multiple of the vector's size."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _place(context, builder, pointer, values[0], values[1])
        written = builder.store(values[2], place, align=_REGISTER_BITS // 8)
        written.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return types.void(pointer, types.int64, vector), generate


@intrinsic
def spread(typing: Any, number: Any) -> Any:
    """The vector that holds a number everywhere."""
    vector = Vector(number)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        undefined = ir.Constant(context.get_value_type(vector), ir.Undefined)
        first = builder.insert_element(undefined, values[0], ir.Constant(ir.IntType(32), 0))
        return _picked(builder, first, undefined, [0] * vector.lanes)

    return vector(number), generate


@intrinsic
def add_product(typing: Any, left: Any, right: Any, vector: Any) -> Any:
    """``left · right + vector``, rounded once where the processor can."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        product = builder.fmul(values[0], values[1], flags=("contract",))
        return builder.fadd(product, values[2], flags=("contract",))

    return vector(vector, vector, vector), generate


@intrinsic
def product(typing: Any, left: Any, right: Any) -> Any:
    """``left · right`` by element."""
    return left(left, left), lambda context, builder, signature, values: builder.fmul(*values)


@intrinsic
def larger(typing: Any, left: Any, right: Any) -> Any:
    """The larger of two vectors by element."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *values), *values)

    return left(left, left), generate


@intrinsic
def total(typing: Any, vector: Any) -> Any:
    """The sum of a vector, in a fixed order."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        one = _folded(builder, values[0], builder.fadd, 1)
        return builder.extract_element(one, ir.Constant(ir.IntType(32), 0))

    return vector.dtype(vector), generate


@intrinsic
def greatest(typing: Any, vector: Any) -> Any:
    """The largest element of a vector."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        one = _folded(builder, values[0], lambda a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b), 1)
        return builder.extract_element(one, ir.Constant(ir.IntType(32), 0))

    return vector.dtype(vector), generate


@intrinsic
def store_totals(typing: Any, pointer: Any, index: Any, first: Any, second: Any, third: Any, fourth: Any) -> Any:
    """Write the sums of four vectors to ``pointer[index]`` and the next three: half the work of four single sums."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        quarters = [_folded(builder, value, builder.fadd, 4) for value in values[2:]]
        pairs = [
            builder.fadd(_picked(builder, a, b, [0, 1, 4, 5]), _picked(builder, a, b, [2, 3, 6, 7]))
            for a, b in (quarters[:2], quarters[2:])
        ]
        low, high = pairs
        sums = builder.fadd(_picked(builder, low, high, [0, 2, 4, 6]), _picked(builder, low, high, [1, 3, 5, 7]))
        place = builder.bitcast(builder.gep(values[0], [values[1]]), sums.type.as_pointer())
        builder.store(sums, place, align=pointer.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(pointer, types.int64, first, first, first, first), generate


# ln 2 in two parts: multiples of the first, which has few bits, are exact.
_LN2 = {32: (0.693359375, -2.12194440054690583e-4), 64: (6.93147180369123816490e-1, 1.90821492927058770002e-10)}
_LOWEST = {32: -87.0, 64: -708.0}
_DEGREE = {32: 7, 64: 13}
_FRACTION_BITS = {32: 23, 64: 52}


@intrinsic
def exponential(typing: Any, vector: Any) -> Any:
    """``exp`` by element, for numbers of at most 0 (and a little above); exactly 0 below the normal numbers.

    ``exp(x) = 2^m exp(r)`` with ``|r| ≤ ln 2 / 2`` and a Taylor polynomial for ``exp(r)``; NaN stays NaN.
    """
    bits = vector.dtype.bitwidth

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = context.get_value_type(vector)
        integers = ir.VectorType(ir.IntType(bits), vector.lanes)
        (x,) = values
        low = builder.fcmp_ordered("<", x, _everywhere(kind, _LOWEST[bits]))
        x = builder.select(low, _everywhere(kind, 0.0), x)
        name = f"llvm.rint.v{vector.lanes}f{bits}"
        rounded = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), name)
        power = builder.call(rounded, [builder.fmul(x, _everywhere(kind, 1 / math.log(2)))])
        for part in _LN2[bits]:
            x = builder.fadd(builder.fmul(power, _everywhere(kind, -part), flags=("contract",)), x, flags=("contract",))
        result = _everywhere(kind, 1 / math.factorial(_DEGREE[bits]))
        for degree in reversed(range(_DEGREE[bits])):
            scaled = builder.fmul(result, x, flags=("contract",))
            result = builder.fadd(scaled, _everywhere(kind, 1 / math.factorial(degree)), flags=("contract",))
        shift = _FRACTION_BITS[bits]
        exponent = builder.fptosi(power, integers)
        biased = builder.add(exponent, ir.Constant(integers, [(1 << (bits - 2 - shift)) - 1] * vector.lanes))
        scale = builder.bitcast(builder.shl(biased, ir.Constant(integers, [shift] * vector.lanes)), kind)
        return builder.select(low, _everywhere(kind, 0.0), builder.fmul(result, scale))

    return vector(vector), generate
