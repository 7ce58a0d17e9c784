"""The mixers with state expansion, forward: outputs are matrices ``S_t`` of ``r`` rows.

Decays are exponentials of differences of running sums of ``log a_t``, which are kept in fp64, so that any
lag costs one exponential and none overflows.
"""

from __future__ import annotations

import math

import numpy as np

from glmix_theory.export.kernels.matrices import add_outer, add_scaled, contract
from glmix_theory.export.kernels.mixing import bias_of
from glmix_theory.export.kernels.rows import (
    clear,
    compiled,
    copy_back,
    copy_rows,
    of_group,
    padded,
    read_row,
    rows_at,
    side_by_side,
    table_at,
    write_row,
)
from glmix_theory.export.kernels.vectors import behind, cast, exponential, lanes_at, load, pointer_to, store
from glmix_theory.export.kernels.weights import DELTA, log_sigmoid, sigmoid, softmax

STATE_TENSORS = ("q", "k", "v", "gate", "write", "bias", "y", "z", "kept")
"""Rows of the table of tensors; strides of ``y`` are of whole matrices, and "kept" is fp64."""


@compiled
def decay_sums(gates, stride, gate_width, known, kept, kept_stride, length, sums):  # type: ignore[no-untyped-def]
    """Running sums of ``log a`` over the computed rows; for known rows, minus what is kept of them."""
    for t in range(length):
        for i in range(gate_width):
            if t < known:
                sums[t * gate_width + i] = -kept[t * kept_stride + i]
            else:
                before = sums[(t - 1) * gate_width + i] if t > known else 0.0
                sums[t * gate_width + i] = before + log_sigmoid(gates[t * stride + i])


@compiled
def load_decay(sums, gate_width, t, s, r, decay):  # type: ignore[no-untyped-def]
    """``Π_{s<j≤t} a_j``, one number per state row."""
    if gate_width == 1:
        factor = cast(decay, math.exp(sums[t] - sums[s]))
        for i in range(r):
            decay[i] = factor
    elif gate_width > 1:
        for i in range(r):
            decay[i] = sums[t * gate_width + i] - sums[s * gate_width + i]
        for i in range(0, r, lanes_at(decay)):
            store(decay, i, exponential(load(decay, i)))
    else:
        for i in range(r):
            decay[i] = 1


@compiled
def load_shares(table, t, has_bias, bias, all_one, shares):  # type: ignore[no-untyped-def]
    """The softmax of the biases of a row's edges, or ones; returns the first and the end of the edges."""
    first, last = table.ends[t], table.ends[t + 1]
    for e in range(first, last):
        if all_one:
            shares[e - first] = 1
        else:
            shares[e - first] = bias[table.classes[e]] if has_bias else cast(shares, 0)
    if not all_one:
        softmax(shares, 0, last - first)
    return first, last


@compiled
def decayed_sum(  # type: ignore[no-untyped-def]
    recurrent, first, last, t, shares, sums, gate_width, outputs, r, width, decay, matrix
):
    """``matrix += Σ_R share decay(t, s) ⊙ S_s``."""
    for e in range(first, last):
        s = recurrent.sources[e]
        load_decay(sums, gate_width, t, s, r, decay)
        add_scaled(matrix, behind(outputs, s * r * width), decay, shares[e - first], r, width)


@compiled
def mix_states(  # type: ignore[no-untyped-def]
    like, kind, known, r, width, gate_width, read_once, heads, classes, groups, tables, tensors, scratch
):
    """Matrices ``y`` and outputs ``z`` of the groups; arguments as for the mixers with one row per position.

    ``scratch``: addresses of room for the keys, inputs and matrices of a group, for 4 padded rows, for the
    numbers of the edges of a row, and in fp64 for the running sums.
    """
    direct, recurrent, readout = table_at(tables, 0), table_at(tables, 1), table_at(tables, 2)
    q, k, v = rows_at(tensors, 0, like), rows_at(tensors, 1, like), rows_at(tensors, 2, like)
    gate, write = rows_at(tensors, 3, like), rows_at(tensors, 4, like)
    y, z, kept = rows_at(tensors, 6, like), rows_at(tensors, 7, like), rows_at(tensors, 8, np.float64(0))
    bias, has_bias = pointer_to(tensors[5, 0], like), tensors[5, 0] != 0
    lanes = lanes_at(v.numbers)
    wide, deep = padded(width, lanes), padded(r, lanes)
    line = max(wide, deep)
    out = pointer_to(scratch[3], like)
    decay, query, gathered = behind(out, line), behind(out, 2 * line), behind(out, 3 * line)
    clear(out, 4 * line)
    shares, sums = pointer_to(scratch[4], like), pointer_to(scratch[5], np.float64(0))
    one = cast(out, 1)
    for g in range(len(groups)):
        group = groups[g]
        length, head = group[3], group[1]
        direct_bias, recurrent_bias = bias_of(bias, 0, head, heads, classes), bias_of(bias, 1, head, heads, classes)
        readout_bias = bias_of(bias, 2, head, heads, classes)
        queries, gates, writes = of_group(q, group), of_group(gate, group), of_group(write, group)
        group_y, group_z = of_group(y, group), of_group(z, group)
        keys = side_by_side(of_group(k, group), k.position, length, r, pointer_to(scratch[0], like))
        values = side_by_side(of_group(v, group), v.position, length, width, pointer_to(scratch[1], like))
        outputs = group_y if wide == width else pointer_to(scratch[2], like)
        if wide != width:
            copy_rows(group_y, 0, width, known * r, width, outputs, wide)
        decay_sums(gates, gate.position, gate_width, known, of_group(kept, group), kept.position, length, sums)
        for t in range(known, length):
            matrix, key = behind(outputs, t * r * wide), behind(keys, t * deep)
            clear(matrix, r * wide)
            first, last = load_shares(recurrent, t, has_bias, recurrent_bias, read_once, shares)
            decayed_sum(recurrent, first, last, t, shares, sums, gate_width, outputs, r, wide, decay, matrix)
            if kind == DELTA:
                clear(gathered, wide)
                contract(key, one, matrix, r, wide, gathered)
                add_outer(matrix, key, cast(out, -sigmoid(writes[t * write.position])), gathered, r, wide)
            first, last = load_shares(direct, t, has_bias, direct_bias, False, shares)
            for e in range(first, last):
                s = direct.sources[e]
                share = shares[e - first]
                if kind == DELTA:
                    share *= cast(out, sigmoid(writes[s * write.position]))
                add_outer(matrix, behind(keys, s * deep), share, behind(values, s * wide), r, wide)
            read_row(queries, t * q.position, r, query)
            clear(out, wide)
            for e in range(readout.ends[t], readout.ends[t + 1]):
                s = readout.sources[e]
                load_decay(sums, gate_width, t, s, r, decay)
                for i in range(r):
                    decay[i] *= query[i]
                factor = math.exp(readout_bias[readout.classes[e]]) if has_bias else 1.0
                contract(decay, cast(out, factor), behind(outputs, s * r * wide), r, wide, out)
            write_row(out, width, group_z, t * z.position)
        if wide != width:
            copy_back(outputs, wide, length * r, width, group_y, width)
