"""The mixers with state expansion, backward: one pass over the rows of a group from last to first."""

from __future__ import annotations

import math

import numpy as np

from glmix_theory.export.kernels.matrices import add_outer, add_scaled, contract, inner, inner_matrices, inner_rows
from glmix_theory.export.kernels.mixing import bias_of
from glmix_theory.export.kernels.rows import (
    clear,
    compiled,
    copy_back,
    of_group,
    padded,
    read_row,
    rows_at,
    side_by_side,
    table_at,
    write_row,
)
from glmix_theory.export.kernels.states import STATE_TENSORS, decay_sums, decayed_sum, load_decay, load_shares
from glmix_theory.export.kernels.vectors import behind, cast, lanes_at, pointer_to
from glmix_theory.export.kernels.weights import DELTA, add_bias_slopes, sigmoid, softmax_slopes

STATE_BACKWARD_TENSORS = (*STATE_TENSORS[:7], "dz", "dq", "dk", "dv", "dgate", "dwrite", "dbias")
"""Rows of the table of tensors, as in the backward pass with one row per position."""


@compiled
def add_decay_slopes(slopes, share, gate_width, t, s, r, gradients):  # type: ignore[no-untyped-def]
    """Gradients of the logarithm of a decay, to the running sums it is the difference of."""
    if gate_width == 1:
        whole = 0.0
        for i in range(r):
            whole += slopes[i]
        gradients[t] += share * whole
        gradients[s] -= share * whole
    elif gate_width > 1:
        for i in range(r):
            slope = np.float64(share * slopes[i])
            gradients[t * gate_width + i] += slope
            gradients[s * gate_width + i] -= slope


@compiled
def mix_states_backward(  # type: ignore[no-untyped-def]
    like, kind, r, width, gate_width, read_once, ring, heads, classes, groups, tables, tensors, scratch
):
    """Gradients of the inputs of the groups.

    The gradient of ``S_s`` lives in slot ``s mod ring`` until row ``s`` is done; ``ring`` is above every lag of
    recurrent and readout edges. ``scratch``: addresses of room for the keys, inputs and matrices of a group, for
    ``ring + 1`` matrices, the gradients of keys and inputs, 8 padded rows, the numbers of the edges of a row
    twice; and in fp64 for the running sums, their gradients and those of the strengths.
    """
    direct, recurrent, readout = table_at(tables, 0), table_at(tables, 1), table_at(tables, 2)
    q, k, v = rows_at(tensors, 0, like), rows_at(tensors, 1, like), rows_at(tensors, 2, like)
    gate, write = rows_at(tensors, 3, like), rows_at(tensors, 4, like)
    y, dz = rows_at(tensors, 6, like), rows_at(tensors, 7, like)
    dq, dk, dv = rows_at(tensors, 8, like), rows_at(tensors, 9, like), rows_at(tensors, 10, like)
    dgate, dwrite = rows_at(tensors, 11, like), rows_at(tensors, 12, like)
    double = np.float64(0)
    bias, has_bias = pointer_to(tensors[5, 0], like), tensors[5, 0] != 0
    lanes = lanes_at(v.numbers)
    wide, deep = padded(width, lanes), padded(r, lanes)
    line, size = max(wide, deep), r * wide
    adjoint = pointer_to(scratch[3], like)
    past = behind(adjoint, ring * size)
    dkeys, dvalues = pointer_to(scratch[4], like), pointer_to(scratch[5], like)
    row = pointer_to(scratch[6], like)
    query, dquery, decay = behind(row, line), behind(row, 2 * line), behind(row, 3 * line)
    column, factors, gathered, asked = (
        behind(row, 4 * line), behind(row, 5 * line), behind(row, 6 * line), behind(row, 7 * line)
    )  # fmt: skip
    clear(row, 8 * line)
    shares, slopes = pointer_to(scratch[7], like), pointer_to(scratch[8], like)
    sums, dsums = pointer_to(scratch[9], double), pointer_to(scratch[10], double)
    dstrengths = pointer_to(scratch[11], double)
    one = cast(row, 1)
    for g in range(len(groups)):
        group = groups[g]
        length, head = group[3], group[1]
        direct_bias, recurrent_bias = bias_of(bias, 0, head, heads, classes), bias_of(bias, 1, head, heads, classes)
        readout_bias = bias_of(bias, 2, head, heads, classes)
        dbias = behind(pointer_to(tensors[13, 0], double), group[4] * 3 * classes)
        queries, gates, writes = of_group(q, group), of_group(gate, group), of_group(write, group)
        dqueries, dgates, dwrites = of_group(dq, group), of_group(dgate, group), of_group(dwrite, group)
        own_dz = of_group(dz, group)
        keys = side_by_side(of_group(k, group), k.position, length, r, pointer_to(scratch[0], like))
        values = side_by_side(of_group(v, group), v.position, length, width, pointer_to(scratch[1], like))
        outputs = side_by_side(of_group(y, group), width, length * r, width, pointer_to(scratch[2], like))
        decay_sums(gates, gate.position, gate_width, 0, sums, 0, length, sums)
        clear(adjoint, ring * size)
        clear(dkeys, length * deep)
        clear(dvalues, length * wide)
        for t in range(length * gate_width):
            dsums[t] = 0
        for t in range(length):
            dstrengths[t] = 0
        for t in range(length - 1, -1, -1):
            key, dkey = behind(keys, t * deep), behind(dkeys, t * deep)
            ahead = behind(adjoint, t % ring * size)
            # z_t = Σ_C exp(bias) qᵀ (decay ⊙ S_s)
            read_row(queries, t * q.position, r, query)
            read_row(own_dz, t * dz.position, width, row)
            clear(dquery, deep)
            for e in range(readout.ends[t], readout.ends[t + 1]):
                s = readout.sources[e]
                load_decay(sums, gate_width, t, s, r, decay)
                inner_rows(behind(outputs, s * size), row, r, wide, column)
                weight = cast(row, math.exp(readout_bias[readout.classes[e]])) if has_bias else one
                whole = 0.0
                for i in range(r):
                    dquery[i] += weight * decay[i] * column[i]
                    factors[i] = weight * query[i] * decay[i]
                    column[i] *= factors[i]
                    whole += column[i]
                if has_bias:
                    dbias[2 * classes + readout.classes[e]] += whole
                add_decay_slopes(column, one, gate_width, t, s, r, dsums)
                add_outer(behind(adjoint, s % ring * size), factors, one, row, r, wide)
            write_row(dquery, r, dqueries, t * dq.position)
            # S_t = Σ_D share u_s v_sᵀ + …
            first, last = load_shares(direct, t, has_bias, direct_bias, False, shares)
            for e in range(first, last):
                s = direct.sources[e]
                source_key, value = behind(keys, s * deep), behind(values, s * wide)
                strength = sigmoid(writes[s * write.position]) if kind == DELTA else 1.0
                share = shares[e - first] * cast(row, strength)
                inner_rows(ahead, value, r, wide, column)
                whole = inner(source_key, column, deep)
                dstrengths[s] += np.float64(shares[e - first]) * whole
                slopes[e - first] = cast(row, strength) * whole
                for i in range(r):
                    dkeys[s * deep + i] += share * column[i]
                contract(source_key, share, ahead, r, wide, behind(dvalues, s * wide))
            if has_bias:
                softmax_slopes(shares, 0, last - first, slopes)
                add_bias_slopes(direct.classes, first, last, slopes, 0, dbias)
            first, last = load_shares(recurrent, t, has_bias, recurrent_bias, read_once, shares)
            if kind == DELTA:
                # E_t P = P - b k (kᵀ P)
                clear(past, size)
                decayed_sum(recurrent, first, last, t, shares, sums, gate_width, outputs, r, wide, decay, past)
                clear(gathered, wide)
                clear(asked, wide)
                contract(key, one, past, r, wide, gathered)
                contract(key, one, ahead, r, wide, asked)
                strength = cast(row, sigmoid(writes[t * write.position]))
                dstrengths[t] -= np.float64(inner(asked, gathered, wide))
                for i in range(r):
                    slope = inner(behind(ahead, i * wide), gathered, wide) + inner(behind(past, i * wide), asked, wide)
                    dkey[i] -= strength * slope
                add_outer(ahead, key, -strength, asked, r, wide)
            # … + Σ_R share decay ⊙ S_s
            for e in range(first, last):
                s = recurrent.sources[e]
                share = shares[e - first]
                load_decay(sums, gate_width, t, s, r, decay)
                inner_matrices(ahead, behind(outputs, s * size), r, wide, column)
                whole = cast(row, 0)
                for i in range(r):
                    column[i] *= decay[i]
                    whole += column[i]
                slopes[e - first] = whole
                add_decay_slopes(column, share, gate_width, t, s, r, dsums)
                add_scaled(behind(adjoint, s % ring * size), ahead, decay, share, r, wide)
            if has_bias and not read_once:
                softmax_slopes(shares, 0, last - first, slopes)
                add_bias_slopes(recurrent.classes, first, last, slopes, 0, behind(dbias, classes))
            clear(ahead, size)
        for i in range(gate_width):
            whole = 0.0
            for t in range(length - 1, -1, -1):
                whole += dsums[t * gate_width + i]
                dgates[t * dgate.position + i] = whole * sigmoid(-gates[t * gate.position + i])
        if kind == DELTA:
            for t in range(length):
                strength = sigmoid(writes[t * write.position])
                dwrites[t * dwrite.position] = dstrengths[t] * strength * (1.0 - strength)
        copy_back(dkeys, deep, length, r, of_group(dk, group), dk.position)
        copy_back(dvalues, wide, length, width, of_group(dv, group), dv.position)
