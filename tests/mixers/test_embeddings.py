"""Every catalogue entry is the architecture it is named after: its mixing matrix equals a reference."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

from glmix_theory.mixers import catalogue
from tests.mixers.references import REFERENCES, VARIANTS

LENGTHS = (1, 2, 3, 7, 8, 9, 16, 17)


def test_every_entry_has_a_reference_and_every_reference_an_entry():
    assert set(REFERENCES) == set(catalogue)
    assert set(VARIANTS) <= set(catalogue)


def test_every_entry_with_parameters_is_tested_with_others_than_its_defaults():
    with_parameters = {name for name in catalogue if catalogue.entry(name).parameters}
    assert with_parameters == set(VARIANTS)


def _settings() -> list[Any]:
    settings = [(name, {}) for name in catalogue]
    settings += [(name, variant) for name, variants in VARIANTS.items() for variant in variants]
    return [
        pytest.param(name, changed, id="-".join([name, *map(str, changed.values())]).replace(" ", ""))
        for name, changed in settings
    ]


@pytest.mark.parametrize(("name", "changed"), _settings())
def test_mixing_matrix_equals_the_reference(name: str, changed: dict[str, Any]):
    assert name in REFERENCES, f"catalogue entry {name!r} has no reference in tests/mixers/references"
    entry = catalogue.entry(name)
    parameters = {**entry.parameters, **changed}
    mixer = entry.build(**parameters)
    for n in LENGTHS:
        rng = np.random.default_rng(zlib.crc32(f"{name}/{n}".encode()))
        case = REFERENCES[name](mixer, n, rng, **parameters)
        matrix = mixer.matrix(case.alpha, case.beta, case.gamma)
        assert matrix.shape == case.expected.shape == (n, n)
        scale = max(1.0, np.abs(case.expected).max())
        np.testing.assert_allclose(matrix, case.expected, rtol=0, atol=1e-11 * scale, err_msg=f"n = {n}")
        assert np.abs(case.expected).max() > 1e-6, "the reference is zero, so the comparison says nothing"


def test_references_notice_a_wrong_pattern():
    """A reference that read its pattern off the mixer would pass anything; these must not."""
    rng = np.random.default_rng(0)
    for name, wrong in {
        "local_attention": {"window": 4},
        "kth_order_recurrence": {"order": 3},
        "strided": {"stride": 5},
        "block_chacal": {"block": 5},
    }.items():
        entry = catalogue.entry(name)
        right = {parameter: value + 1 for parameter, value in wrong.items()}
        mixer = entry.build(**wrong)
        case = REFERENCES[name](mixer, 17, rng, **right)
        matrix = mixer.matrix(case.alpha, case.beta, case.gamma)
        assert np.abs(matrix - case.expected).max() > 1e-3, name


def test_chacal_rows_sum_to_one_and_the_two_variants_differ():
    mixer, strict = catalogue["chacal"], catalogue["chacal_strict"]
    case = REFERENCES["chacal"](mixer, 12, np.random.default_rng(5))
    assert case.beta is not None
    np.testing.assert_allclose(case.alpha.sum(axis=1) + case.beta.sum(axis=1), 1, atol=1e-14)
    other = REFERENCES["chacal_strict"](strict, 12, np.random.default_rng(5))
    assert np.abs(case.expected - other.expected).max() > 1e-2


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("state", [2, 5])
def test_ut_transform_is_the_delta_rule(n: int, state: int):
    from tests.mixers.references.delta_rules import delta_net, delta_net_ut

    recurrent, unrolled = catalogue.entry("delta_net").build(state=state), catalogue["delta_net_ut"]
    by_state = delta_net(recurrent, n, np.random.default_rng(n), state)
    by_transform = delta_net_ut(unrolled, n, np.random.default_rng(n), state)
    first = recurrent.matrix(by_state.alpha, by_state.beta, by_state.gamma)
    second = unrolled.matrix(by_transform.alpha, by_transform.beta, by_transform.gamma)
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-12)


def test_log_linear_attention_merges_only_where_weights_agree():
    from tests.mixers.references.linear_attention import log_linear, log_linear_inputs

    queries, keys, decays, weights = log_linear_inputs(17, np.random.default_rng(3), 4)
    apart = log_linear(queries, keys, decays, weights)
    merged = log_linear(queries, keys, decays, weights, merged=True)
    assert np.abs(apart - merged).max() > 1e-2
    equal = np.broadcast_to(weights[:, :1], weights.shape)
    np.testing.assert_allclose(
        log_linear(queries, keys, decays, equal),
        log_linear(queries, keys, decays, equal, merged=True),
        atol=1e-12,
    )
