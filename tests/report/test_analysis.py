"""Reports: what they hold, how they print, what they refuse."""

import json

import pytest
import sympy

import glmix_theory as glm
from glmix_theory import k, n
from glmix_theory.analysis import QUANTITIES
from glmix_theory.complexity import STATUSES, plain
from glmix_theory.errors import LengthError, PatternError, UnknownNameError
from glmix_theory.expressivity.congestion_laws import congestion_law

MIXER = glm.Mixer(recurrent=glm.CacheEfficient(2**k))


@pytest.mark.parametrize("name", glm.catalogue.names())
def test_every_catalogue_entry_is_analysed(name: str) -> None:
    report = glm.analyze(glm.catalogue[name])
    assert [quantity.name for quantity in report] == list(QUANTITIES)
    for quantity in report:
        assert quantity.status in STATUSES
        assert quantity.evidence
        for length in (1, 2, 3, 7, 8, 9, 40):
            value = quantity.at(length)
            if quantity.expr is not None:
                assert sympy.sympify(value) == quantity.expr.subs(n, length), (quantity, length)
        if quantity.expr is None and quantity.theta is None and quantity.status != "checked":
            # a rule for the value or its bounds at every n, which is no formula of sympy's
            assert quantity.name == "congestion"
            law = congestion_law(report.mixer)
            assert law is not None
            assert law.status == quantity.status
    text = str(report)
    assert all(title in text for title in ("step cost", "cache size", "distance"))
    assert report.to_markdown().count("\n") >= len(QUANTITIES) + 1
    assert json.loads(report.to_json())["mixer"] == repr(report.mixer)


def test_table1_theory_columns() -> None:
    """THEORY's table: Θ classes of step cost and cache, row by row; distance where it is known."""
    log, root = sympy.log(n), sympy.sqrt(n)
    expected = {
        "attention": (n, n, 1),
        "local_attention": (1, 1, sympy.oo),
        "diagonal_ssm": (1, 1, n),
        "kth_order_recurrence": (1, 1, n),
        "dense_recurrence": (n, n, 1),
        "exponential_recurrence": (log, n, log),
        "exponential_cache_efficient": (log, log, None),
        "quadratic_recurrence": (root, n, 1),
        "quadratic_cache_efficient": (root, root, None),
    }
    assert [entry.name for entry in glm.catalogue.table1()] == list(expected)
    for name, (step, cache, distance) in expected.items():
        report = glm.analyze(glm.catalogue[name])
        assert (report.step_cost.theta, report.cache_size.theta) == (step, cache), name
        assert report.step_cost.status == report.cache_size.status == "proved", name
        if distance is not None:
            assert report.distance.theta == distance, name


def test_the_status_of_a_cited_theorem_is_cited() -> None:
    distance = glm.analyze(glm.Mixer(recurrent=glm.Offsets(k**2 + 1))).distance
    assert distance.status == "cited"
    assert "Lagrange" in distance.evidence[0]


def test_a_checked_index_function_never_gives_a_proved_cost() -> None:
    report = glm.analyze(glm.Mixer(recurrent=glm.Offsets(lambda index: 2**index)))
    assert report.step_cost.status == "checked"
    assert report.step_cost.at(2**40 + 1) == 42


def test_attributes_and_errors() -> None:
    report = glm.analyze(MIXER)
    assert report.cache_size is report["cache_size"]
    assert "cache_size" in dir(report)
    with pytest.raises(AttributeError, match="a report has no 'cash_size'; did you mean 'cache_size'"):
        report.cash_size  # noqa: B018
    with pytest.raises(UnknownNameError, match="did you mean 'depth'"):
        report["dept"]
    with pytest.raises(PatternError, match=r"analyze needs a Mixer, got Offsets; .*glm\.Mixer\(recurrent=Offsets"):
        glm.analyze(glm.Offsets(2**k))  # type: ignore[arg-type]
    for wrong in (0, -1, 2.5, True, "8"):
        with pytest.raises(LengthError):
            report.cache_size.at(wrong)  # type: ignore[arg-type]


def test_explain_lists_the_evidence() -> None:
    report = glm.analyze(MIXER)
    text = report.explain("cache_size")
    assert "proposition 7" in text
    assert all(step in text for step in report.cache_size.evidence)
    assert "total_cost" in report.explain()


def test_html_is_self_contained() -> None:
    for thing in (glm.analyze(MIXER), MIXER, glm.Offsets(2**k), glm.analyze(MIXER).cache_size, glm.catalogue):
        markup = thing._repr_html_()
        assert "<table" in markup or "<p>" in markup
        assert "http://" not in markup
        assert "<script" not in markup


def test_plain_values() -> None:
    assert plain(3) == 3
    assert plain(sympy.oo) == "oo"
    assert plain(glm.Bounds(1, sympy.oo)) == {"lower": 1, "upper": "oo"}
    assert glm.analyze(glm.Mixer(direct=glm.Window(2))).to_dict()["quantities"]["distance"]["values"]["64"] == "oo"
