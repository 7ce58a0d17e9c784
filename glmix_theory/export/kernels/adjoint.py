"""The mixers with one row per position, backward: one pass over the rows of a group from last to first.

Coefficients are made again from the inputs. When row ``t`` is reached, every later row has added its share
to the gradient of ``y_t``, so ``L_t`` is complete: back substitution of the transposed system.
"""

from __future__ import annotations

import numpy as np

from glmix_theory.export.kernels.mixing import TENSORS, bias_of, load_gate, load_query, scale_of
from glmix_theory.export.kernels.rows import (
    add_rows,
    clear,
    compiled,
    copy_back,
    copy_rows,
    in_place,
    multiply,
    of_group,
    padded,
    product_and_spread,
    read_row,
    rows_at,
    scaled,
    side_by_side,
    spread_scores,
    stream_row,
    table_at,
)
from glmix_theory.export.kernels.vectors import behind, cast, lanes_at, pointer_to
from glmix_theory.export.kernels.weights import (
    CHACAL,
    DELTA,
    FIXED,
    GATED,
    add_bias_slopes,
    readout_slopes,
    readout_weights,
    row_slopes,
    row_weights,
)

BACKWARD_TENSORS = (*TENSORS[:-1], "dz", "dq", "dk", "dv", "dgate", "dwrite", "dbias")
"""Rows of the table of tensors; "dbias" is fp64 with ``3 · classes`` numbers for each group."""


@compiled
def mix_groups_backward(  # type: ignore[no-untyped-def]
    like, kind, d, width, gate_width, heads, classes, groups, tables, tensors, scratch
):
    """Gradients of the inputs of the groups; tables and tensors as in the forward pass.

    ``scratch`` holds addresses of room for the keys, inputs and outputs of a group and the gradients of all
    three, for 8 padded rows and for the numbers of the edges of a row, three times.
    """
    direct, recurrent, readout = table_at(tables, 0), table_at(tables, 1), table_at(tables, 2)
    q, k, v = rows_at(tensors, 0, like), rows_at(tensors, 1, like), rows_at(tensors, 2, like)
    gate, write = rows_at(tensors, 3, like), rows_at(tensors, 4, like)
    y, dz = rows_at(tensors, 6, like), rows_at(tensors, 7, like)
    dq, dk, dv = rows_at(tensors, 8, like), rows_at(tensors, 9, like), rows_at(tensors, 10, like)
    dgate, dwrite = rows_at(tensors, 11, like), rows_at(tensors, 12, like)
    bias, has_bias = pointer_to(tensors[5, 0], like), tensors[5, 0] != 0
    has_readout = tables[2, 0] != 0
    lanes = lanes_at(v.numbers)
    wide, deep = padded(width, lanes), padded(d, lanes)
    line = max(wide, deep)
    query = pointer_to(scratch[6], like)
    dquery, asked, dasked = behind(query, line), behind(query, 2 * line), behind(query, 3 * line)
    kept, new, row, other = (
        behind(query, 4 * line), behind(query, 5 * line), behind(query, 6 * line), behind(query, 7 * line)
    )  # fmt: skip
    part, fresh = behind(query, 8 * line), behind(query, 9 * line)
    clear(query, 10 * line)
    weights, shares, slopes = pointer_to(scratch[7], like), pointer_to(scratch[8], like), pointer_to(scratch[9], like)
    adjoint = pointer_to(scratch[3], like)
    whole_keys, whole_values = in_place(dk.position, d, lanes), in_place(dv.position, width, lanes)
    scale = scale_of(query, d)
    split = kind == GATED or (kind == CHACAL and has_readout)
    scored = kind != FIXED
    for g in range(len(groups)):
        group = groups[g]
        length, head = group[3], group[1]
        biases = (bias_of(bias, 0, head, heads, classes), bias_of(bias, 1, head, heads, classes))
        readout_bias = bias_of(bias, 2, head, heads, classes)
        dbias = behind(pointer_to(tensors[13, 0], np.float64(0)), group[4] * 3 * classes)
        queries, own_keys, own_dz = of_group(q, group), of_group(k, group), of_group(dz, group)
        gates, writes = of_group(gate, group), of_group(write, group)
        dqueries, dgates, dwrites = of_group(dq, group), of_group(dgate, group), of_group(dwrite, group)
        keys = side_by_side(own_keys, k.position, length, d, pointer_to(scratch[0], like))
        values = side_by_side(of_group(v, group), v.position, length, width, pointer_to(scratch[1], like))
        outputs = side_by_side(of_group(y, group), y.position, length, width, pointer_to(scratch[2], like))
        group_dk, group_dv = of_group(dk, group), of_group(dv, group)
        dkeys = group_dk if whole_keys else pointer_to(scratch[4], like)
        dvalues = group_dv if whole_values else pointer_to(scratch[5], like)
        clear(dkeys, length * deep)
        clear(dvalues, length * wide)
        if has_readout:
            clear(adjoint, length * wide)
        else:
            copy_rows(own_dz, 0, dz.position, length, width, adjoint, wide)
        for t in range(length - 1, -1, -1):
            load_query(kind, behind(queries, t * q.position), behind(own_keys, t * k.position), d, scale, query)
            clear(dquery, deep)
            if split:
                load_gate(behind(gates, t * gate.position), gate_width, width, kept, new)
                clear(fresh, wide)
            if has_readout:
                # z_t = Σ γ y_s, times 1 - a_t under "chacal".
                read_row(own_dz, t * dz.position, width, row)
                if kind == DELTA:
                    read_row(queries, t * q.position, d, asked)
                else:
                    read_row(query, 0, deep, asked)
                clear(dasked, deep)
                first, last = readout.ends[t], readout.ends[t + 1]
                number = readout_weights(
                    kind, readout, t, asked, keys, deep, has_bias, readout_bias, weights, shares
                )  # fmt: skip
                if kind == CHACAL:
                    add_rows(readout.sources, first, last, weights, 0, outputs, wide, fresh)
                    for c in range(wide):
                        fresh[c] *= -row[c]
                    multiply(row, new, wide)
                product_and_spread(readout.sources, first, last, weights, 0, row, outputs, adjoint, wide, slopes)
                readout_slopes(kind, number, weights, shares, slopes)
                if has_bias:
                    add_bias_slopes(readout.classes, first, last, slopes, 0, behind(dbias, 2 * classes))
                if scored:
                    spread_scores(readout.sources, first, last, slopes, 0, asked, keys, dkeys, deep, dasked)
                    if kind == DELTA:
                        stream_row(dasked, d, dqueries, t * dq.position)
                    else:
                        read_row(dasked, 0, deep, dquery)
            read_row(adjoint, t * wide, wide, row)
            logit = gates[t * gate.position] if gate_width == 1 else cast(query, 0)
            strength = writes[t * write.position] if kind == DELTA else cast(query, 0)
            count, place, number = row_weights(
                kind, has_readout, direct, recurrent, t, query, keys, deep, has_bias, biases, logit, strength,
                weights, shares,
            )  # fmt: skip
            first, first_recurrent = direct.ends[t], recurrent.ends[t]
            last, last_recurrent = first + count, first_recurrent + number
            read_row(row, 0, wide, other)
            gate_slope = 0.0
            if split:
                # The gradient of a_t needs the sums that it multiplies; fresh holds what the readout adds.
                clear(part, wide)
                add_rows(recurrent.sources, first_recurrent, last_recurrent, weights, place, outputs, wide, part)
                for c in range(width):
                    fresh[c] += row[c] * part[c]
                if kind == GATED:
                    clear(part, wide)
                    add_rows(direct.sources, first, last, weights, 0, values, wide, part)
                    for c in range(width):
                        fresh[c] -= row[c] * part[c]
                    multiply(row, new, wide)
                multiply(other, kept, wide)
                for c in range(width):
                    slope = fresh[c] * kept[c] * new[c]
                    gate_slope += slope
                    if gate_width > 1:
                        dgates[t * dgate.position + c] = slope
            product_and_spread(direct.sources, first, last, weights, 0, row, values, dvalues, wide, slopes)
            product_and_spread(
                recurrent.sources, first_recurrent, last_recurrent, weights, place, other, outputs, adjoint, wide,
                slopes,
            )  # fmt: skip
            past_slope, strength_slope = row_slopes(
                kind, has_readout, count, place, number, logit, strength, weights, shares, slopes
            )  # fmt: skip
            if gate_width == 1:
                dgates[t * dgate.position] = gate_slope + past_slope
            if kind == DELTA:
                dwrites[t * dwrite.position] = strength_slope
            if has_bias:
                add_bias_slopes(direct.classes, first, last, slopes, 0, dbias)
                add_bias_slopes(
                    recurrent.classes, first_recurrent, last_recurrent, slopes, place, behind(dbias, classes)
                )
            if scored:
                if kind != DELTA:
                    spread_scores(direct.sources, first, last, slopes, 0, query, keys, dkeys, deep, dquery)
                spread_scores(
                    recurrent.sources, first_recurrent, last_recurrent, slopes, place, query, keys, dkeys, deep, dquery
                )  # fmt: skip
                if kind == CHACAL and has_readout:
                    own = slopes[place + number]
                    for c in range(deep):
                        dquery[c] += own * keys[t * deep + c]
                        dkeys[t * deep + c] += own * query[c]
                if kind == DELTA:
                    for c in range(deep):
                        dkeys[t * deep + c] += dquery[c]
                else:
                    scaled(dquery, scale, deep)
                    stream_row(dquery, d, dqueries, t * dq.position)
        if scored and not whole_keys:
            copy_back(dkeys, deep, length, d, group_dk, dk.position)
        if not whole_values:
            copy_back(dvalues, wide, length, width, group_dv, dv.position)
