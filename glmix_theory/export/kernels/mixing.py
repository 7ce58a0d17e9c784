"""The mixers with one row per position, forward: scores, coefficients and outputs of one group after another.

A group is one head of one sequence. Tensors come as addresses of their first numbers with strides over
batch elements, heads and positions; numbers of a row lie side by side.
"""

from __future__ import annotations

import numpy as np

from glmix_theory.export.kernels.rows import (
    add_rows,
    clear,
    compiled,
    copy_rows,
    in_place,
    multiply,
    of_group,
    padded,
    read_row,
    rows_at,
    scaled,
    side_by_side,
    stream_row,
    table_at,
    write_row,
)
from glmix_theory.export.kernels.vectors import add_product, behind, cast, lanes_at, load, pointer_to, product, store
from glmix_theory.export.kernels.weights import CHACAL, DELTA, FIXED, GATED, readout_weights, row_weights, sigmoid

TENSORS = ("q", "k", "v", "gate", "write", "bias", "y", "z")
"""Rows of the table of tensors."""


@compiled
def load_query(kind, query, key, width, scale, row):  # type: ignore[no-untyped-def]
    """What keys are compared with: the scaled query, or under "delta" the row's own key."""
    if kind == DELTA:
        read_row(key, 0, width, row)
    elif kind != FIXED:
        read_row(query, 0, width, row)
        scaled(row, scale, width)


@compiled
def load_gate(gate, gate_width, width, kept, new):  # type: ignore[no-untyped-def]
    """``a_t`` and ``1 - a_t``, one number per channel."""
    if gate_width == 1:
        past, fresh = sigmoid(gate[0]), sigmoid(-gate[0])
        for c in range(width):
            kept[c], new[c] = past, fresh
    else:
        for c in range(width):
            kept[c], new[c] = sigmoid(gate[c]), sigmoid(-gate[c])


@compiled
def blend(row, new, kept, part, width):  # type: ignore[no-untyped-def]
    """``row = new · row + kept · part`` by element."""
    for c in range(0, width, lanes_at(row)):
        fresh = product(load(new, c), load(row, c))
        store(row, c, add_product(load(kept, c), load(part, c), fresh))


@compiled
def bias_of(bias, part, head, heads, classes):  # type: ignore[no-untyped-def]
    """A head's biases of one part."""
    return behind(bias, (part * heads + head) * classes)


@compiled
def scale_of(numbers, d):  # type: ignore[no-untyped-def]
    """``1 / √d``."""
    return cast(numbers, 1.0 / np.sqrt(np.float64(max(d, 1))))


@compiled
def mix_groups(  # type: ignore[no-untyped-def]
    like, kind, known, d, width, gate_width, heads, classes, groups, tables, tensors, scratch
):
    """Outputs ``y`` and, with a readout, ``z`` of the groups; rows before ``known`` are read from ``y``.

    ``like`` is a number of the tensors' type. ``tables`` (3, 3) and ``tensors`` (row of :data:`TENSORS`: address,
    strides) are int64; the address of what is absent is 0. ``scratch`` holds addresses of room for the keys,
    inputs and outputs of a group, for 5 padded rows and for the numbers of the edges of a row, twice.
    """
    direct, recurrent, readout = table_at(tables, 0), table_at(tables, 1), table_at(tables, 2)
    q, k, v = rows_at(tensors, 0, like), rows_at(tensors, 1, like), rows_at(tensors, 2, like)
    gate, write = rows_at(tensors, 3, like), rows_at(tensors, 4, like)
    y, z = rows_at(tensors, 6, like), rows_at(tensors, 7, like)
    bias, has_bias = pointer_to(tensors[5, 0], like), tensors[5, 0] != 0
    has_readout = tables[2, 0] != 0
    lanes = lanes_at(v.numbers)
    wide, deep = padded(width, lanes), padded(d, lanes)
    line = max(wide, deep)
    query = pointer_to(scratch[3], like)
    out, part = behind(query, line), behind(query, 2 * line)
    kept, new = behind(query, 3 * line), behind(query, 4 * line)
    weights, shares = pointer_to(scratch[4], like), pointer_to(scratch[5], like)
    clear(query, 5 * line)
    scale = scale_of(query, d)
    split = kind == GATED or (kind == CHACAL and has_readout)
    whole = in_place(y.position, width, lanes_at(y.numbers))
    for g in range(len(groups)):
        group = groups[g]
        length, head = group[3], group[1]
        biases = (bias_of(bias, 0, head, heads, classes), bias_of(bias, 1, head, heads, classes))
        readout_bias = bias_of(bias, 2, head, heads, classes)
        queries, own_keys = of_group(q, group), of_group(k, group)
        gates, writes = of_group(gate, group), of_group(write, group)
        group_y, group_z = of_group(y, group), of_group(z, group)
        keys = side_by_side(own_keys, k.position, length, d, pointer_to(scratch[0], like))
        values = side_by_side(of_group(v, group), v.position, length, width, pointer_to(scratch[1], like))
        outputs = group_y if whole else pointer_to(scratch[2], like)
        if not whole:
            copy_rows(group_y, 0, y.position, known, width, outputs, wide)
        for t in range(known, length):
            load_query(kind, behind(queries, t * q.position), behind(own_keys, t * k.position), d, scale, query)
            logit = gates[t * gate.position] if gate_width == 1 else cast(query, 0)
            strength = writes[t * write.position] if kind == DELTA else cast(query, 0)
            count, place, number = row_weights(
                kind, has_readout, direct, recurrent, t, query, keys, deep, has_bias, biases, logit, strength,
                weights, shares,
            )  # fmt: skip
            clear(out, wide)
            first = direct.ends[t]
            add_rows(direct.sources, first, first + count, weights, 0, values, wide, out)
            first = recurrent.ends[t]
            if split:
                load_gate(behind(gates, t * gate.position), gate_width, width, kept, new)
                clear(part, wide)
                add_rows(recurrent.sources, first, first + number, weights, place, outputs, wide, part)
                if kind == GATED:
                    blend(out, new, kept, part, wide)
                else:
                    multiply(part, kept, wide)
                    for c in range(width):
                        out[c] += part[c]
            else:
                add_rows(recurrent.sources, first, first + number, weights, place, outputs, wide, out)
            write_row(out, wide, outputs, t * wide)
            if not whole:
                stream_row(out, width, group_y, t * y.position)
            if has_readout:
                if kind == DELTA:
                    read_row(queries, t * q.position, d, query)
                number = readout_weights(
                    kind, readout, t, query, keys, deep, has_bias, readout_bias, weights, shares
                )  # fmt: skip
                clear(out, wide)
                first = readout.ends[t]
                add_rows(readout.sources, first, first + number, weights, 0, outputs, wide, out)
                if kind == CHACAL:
                    multiply(out, new, wide)
                stream_row(out, width, group_z, t * z.position)
