"""Loops over the edges of one row: scores, weighted sums of rows, and their transposes.

Rows are padded to ``width`` numbers, a multiple of the vector length, with zeros. Edges are taken four at a
time, which shares the loads of the row's own numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from glmix_theory.export.kernels.vectors import (
    add_product,
    address_of,
    behind,
    cast,
    lanes_at,
    load,
    pointer_to,
    product,
    spread,
    store,
    store_totals,
    stream,
    total,
)

compiled: Any = njit(
    # Sums may be reordered when compiled, not when run; infinities and NaN keep their meaning.
    nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"}
)  # fmt: skip


class Table(NamedTuple):
    """Edges of one part: pointers to int32 row ends, sources and lag classes."""

    ends: Any
    sources: Any
    classes: Any


class Rows(NamedTuple):
    """A tensor's numbers and its strides over batch elements, heads and positions."""

    numbers: Any
    batch: Any
    head: Any
    position: Any


@compiled
def table_at(tables, part):  # type: ignore[no-untyped-def]
    """A part's :class:`Table`, from the addresses of all."""
    like = np.int32(0)
    return Table(
        pointer_to(tables[part, 0], like), pointer_to(tables[part, 1], like), pointer_to(tables[part, 2], like)
    )


@compiled
def rows_at(tensors, row, like):  # type: ignore[no-untyped-def]
    """A tensor's :class:`Rows`, from the addresses and strides of all."""
    return Rows(pointer_to(tensors[row, 0], like), tensors[row, 1], tensors[row, 2], tensors[row, 3])


@compiled
def of_group(rows, group):  # type: ignore[no-untyped-def]
    """The first row of a group ``(batch element, head, start, length, number)``."""
    return behind(rows.numbers, group[0] * rows.batch + group[1] * rows.head + group[2] * rows.position)


@compiled
def padded(width, lanes):  # type: ignore[no-untyped-def]
    """The width rounded up to whole vectors."""
    return (width + lanes - 1) // lanes * lanes


@compiled
def side_by_side(first, stride, count, width, scratch):  # type: ignore[no-untyped-def]
    """A group's rows, padded and side by side: where they lie so already, else copied to ``scratch``."""
    lanes = lanes_at(first)
    if in_place(stride, width, lanes):
        return first
    copy_rows(first, 0, stride, count, width, scratch, padded(width, lanes))
    return scratch


@compiled
def in_place(stride, width, lanes):  # type: ignore[no-untyped-def]
    """Whether rows lie side by side and are whole vectors."""
    return stride == width and width % lanes == 0


@compiled
def read_row(source, base, width, row):  # type: ignore[no-untyped-def]
    """A row of ``width`` numbers into a padded one; its padding is left alone."""
    lanes = lanes_at(row)
    whole = width // lanes * lanes
    for c in range(0, whole, lanes):
        store(row, c, load(source, base + c))
    for c in range(whole, width):
        row[c] = source[base + c]


@compiled
def write_row(row, width, target, base):  # type: ignore[no-untyped-def]
    """The first ``width`` numbers of a padded row to a place in ``target``."""
    lanes = lanes_at(row)
    whole = width // lanes * lanes
    for c in range(0, whole, lanes):
        store(target, base + c, load(row, c))
    for c in range(whole, width):
        target[base + c] = row[c]


@compiled
def stream_row(row, width, target, base):  # type: ignore[no-untyped-def]
    """As :func:`write_row`, past the caches where whole aligned vectors are written.

    For results that lie rows of other heads apart and are not read again: such strides fall on few sets of a
    cache and would drive out the rows that are.
    """
    lanes = lanes_at(row)
    if width % lanes == 0 and address_of(behind(target, base)) % 64 == 0:
        for c in range(0, width, lanes):
            stream(target, base + c, load(row, c))
    else:
        write_row(row, width, target, base)


@compiled
def clear(row, width):  # type: ignore[no-untyped-def]
    """Zeros in the first ``width`` numbers, whole vectors."""
    zero = spread(cast(row, 0))
    for c in range(0, width, lanes_at(row)):
        store(row, c, zero)


@compiled
def multiply(row, factors, width):  # type: ignore[no-untyped-def]
    """``row *= factors`` by element."""
    for c in range(0, width, lanes_at(row)):
        store(row, c, product(load(row, c), load(factors, c)))


@compiled
def scaled(row, factor, width):  # type: ignore[no-untyped-def]
    """``row *= factor`` for one number."""
    times = spread(factor)
    for c in range(0, width, lanes_at(row)):
        store(row, c, product(load(row, c), times))


@compiled
def copy_rows(source, base, stride, count, width, target, padded):  # type: ignore[no-untyped-def]
    """``count`` rows of ``width`` numbers, ``stride`` apart, as rows of ``padded`` numbers."""
    lanes = lanes_at(target)
    whole = width // lanes * lanes
    for t in range(count):
        for c in range(0, whole, lanes):
            store(target, t * padded + c, load(source, base + t * stride + c))
        for c in range(whole, width):
            target[t * padded + c] = source[base + t * stride + c]
        for c in range(width, padded):
            target[t * padded + c] = 0


@compiled
def copy_back(source, padded, count, width, target, stride):  # type: ignore[no-untyped-def]
    """The inverse of :func:`copy_rows`, past the caches."""
    for t in range(count):
        stream_row(behind(source, t * padded), width, target, t * stride)


@compiled
def score_rows(sources, first, last, query, keys, width, scores, place):  # type: ignore[no-untyped-def]
    """``scores[place + i] = query · keys[sources[first + i]]``; up to three numbers behind are overwritten."""
    lanes = lanes_at(keys)
    end = last - 1
    for e in range(first, last, 4):
        at0, at1 = sources[e] * width, sources[min(e + 1, end)] * width
        at2, at3 = sources[min(e + 2, end)] * width, sources[min(e + 3, end)] * width
        zero = spread(cast(keys, 0))
        sum0, sum1, sum2, sum3 = zero, zero, zero, zero
        for c in range(0, width, lanes):
            part = load(query, c)
            sum0 = add_product(part, load(keys, at0 + c), sum0)
            sum1 = add_product(part, load(keys, at1 + c), sum1)
            sum2 = add_product(part, load(keys, at2 + c), sum2)
            sum3 = add_product(part, load(keys, at3 + c), sum3)
        store_totals(scores, place + e - first, sum0, sum1, sum2, sum3)


@compiled
def add_rows(sources, first, last, weights, place, rows, width, out):  # type: ignore[no-untyped-def]
    """``out += Σ_i weights[place + i] rows[sources[first + i]]``."""
    lanes = lanes_at(rows)
    c = 0
    while c + 4 * lanes <= width:
        sum0, sum1 = load(out, c), load(out, c + lanes)
        sum2, sum3 = load(out, c + 2 * lanes), load(out, c + 3 * lanes)
        for e in range(first, last):
            weight = spread(weights[place + e - first])
            at = sources[e] * width + c
            sum0 = add_product(weight, load(rows, at), sum0)
            sum1 = add_product(weight, load(rows, at + lanes), sum1)
            sum2 = add_product(weight, load(rows, at + 2 * lanes), sum2)
            sum3 = add_product(weight, load(rows, at + 3 * lanes), sum3)
        store(out, c, sum0)
        store(out, c + lanes, sum1)
        store(out, c + 2 * lanes, sum2)
        store(out, c + 3 * lanes, sum3)
        c += 4 * lanes
    while c < width:
        sum0 = load(out, c)
        for e in range(first, last):
            sum0 = add_product(spread(weights[place + e - first]), load(rows, sources[e] * width + c), sum0)
        store(out, c, sum0)
        c += lanes


@compiled
def product_and_spread(sources, first, last, weights, place, row, rows, gradients, width, products):  # type: ignore[no-untyped-def]
    """For the source ``s`` of each edge: its product ``row · rows[s]``, and ``gradients[s] += weight · row``."""
    lanes = lanes_at(rows)
    zero = spread(cast(rows, 0))
    whole = last - (last - first) % 4
    for e in range(first, whole, 4):
        at0, at1, at2, at3 = sources[e] * width, sources[e + 1] * width, sources[e + 2] * width, sources[e + 3] * width
        i = place + e - first
        weight0, weight1 = spread(weights[i]), spread(weights[i + 1])
        weight2, weight3 = spread(weights[i + 2]), spread(weights[i + 3])
        sum0, sum1, sum2, sum3 = zero, zero, zero, zero
        for c in range(0, width, lanes):
            part = load(row, c)
            sum0 = add_product(part, load(rows, at0 + c), sum0)
            sum1 = add_product(part, load(rows, at1 + c), sum1)
            sum2 = add_product(part, load(rows, at2 + c), sum2)
            sum3 = add_product(part, load(rows, at3 + c), sum3)
            store(gradients, at0 + c, add_product(weight0, part, load(gradients, at0 + c)))
            store(gradients, at1 + c, add_product(weight1, part, load(gradients, at1 + c)))
            store(gradients, at2 + c, add_product(weight2, part, load(gradients, at2 + c)))
            store(gradients, at3 + c, add_product(weight3, part, load(gradients, at3 + c)))
        store_totals(products, i, sum0, sum1, sum2, sum3)
    # One by one: the same row updated four times over would wait for itself.
    for e in range(whole, last):
        at0 = sources[e] * width
        weight0, sum0 = spread(weights[place + e - first]), zero
        for c in range(0, width, lanes):
            part = load(row, c)
            sum0 = add_product(part, load(rows, at0 + c), sum0)
            store(gradients, at0 + c, add_product(weight0, part, load(gradients, at0 + c)))
        products[place + e - first] = total(sum0)


@compiled
def spread_scores(sources, first, last, slopes, place, query, keys, key_gradients, width, query_gradient):  # type: ignore[no-untyped-def]
    """For the source ``s`` of an edge: ``query_gradient += slope · keys[s]``, ``key_gradients[s] += slope · query``."""
    lanes = lanes_at(keys)
    c = 0
    while c + 4 * lanes <= width:
        part0, part1 = load(query, c), load(query, c + lanes)
        part2, part3 = load(query, c + 2 * lanes), load(query, c + 3 * lanes)
        sum0, sum1 = load(query_gradient, c), load(query_gradient, c + lanes)
        sum2, sum3 = load(query_gradient, c + 2 * lanes), load(query_gradient, c + 3 * lanes)
        for e in range(first, last):
            slope = spread(slopes[place + e - first])
            at = sources[e] * width + c
            sum0 = add_product(slope, load(keys, at), sum0)
            sum1 = add_product(slope, load(keys, at + lanes), sum1)
            sum2 = add_product(slope, load(keys, at + 2 * lanes), sum2)
            sum3 = add_product(slope, load(keys, at + 3 * lanes), sum3)
            store(key_gradients, at, add_product(slope, part0, load(key_gradients, at)))
            store(key_gradients, at + lanes, add_product(slope, part1, load(key_gradients, at + lanes)))
            store(key_gradients, at + 2 * lanes, add_product(slope, part2, load(key_gradients, at + 2 * lanes)))
            store(key_gradients, at + 3 * lanes, add_product(slope, part3, load(key_gradients, at + 3 * lanes)))
        store(query_gradient, c, sum0)
        store(query_gradient, c + lanes, sum1)
        store(query_gradient, c + 2 * lanes, sum2)
        store(query_gradient, c + 3 * lanes, sum3)
        c += 4 * lanes
    while c < width:
        part0 = load(query, c)
        sum0 = load(query_gradient, c)
        for e in range(first, last):
            slope = spread(slopes[place + e - first])
            at = sources[e] * width + c
            sum0 = add_product(slope, load(keys, at), sum0)
            store(key_gradients, at, add_product(slope, part0, load(key_gradients, at)))
        store(query_gradient, c, sum0)
        c += lanes
