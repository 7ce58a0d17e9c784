"""Table 1, formulas for people, pages and pictures."""

from pathlib import Path

import numpy as np
import pytest
import sympy

import glmix_theory as glm
from glmix_theory import k, n
from glmix_theory.rendering import Table, formula_text
from glmix_theory.report import page, plot_mixer, table1, table1_reports, uniform_matrix, write_page


def test_table1_has_nine_full_rows() -> None:
    table = table1()
    assert len(table.rows) == 9
    assert all(cell.strip() for row in table.rows for cell in row)
    assert all(status in table.to_markdown() for status in ("proved", "cited"))
    assert "checked" not in table.to_markdown()


def test_table_of_named_entries() -> None:
    reports = table1_reports(["attention", "delta_net"])
    assert list(reports) == ["attention", "delta_net"]


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (sympy.ceiling(sympy.log(n + 1) / sympy.log(2)), "⌈log2(n + 1)⌉"),
        (sympy.floor(sympy.sqrt(n - 1)) + 1, "⌊√(n - 1)⌋ + 1"),
        (2 * sympy.log(n) / sympy.log(3), "2*log3(n)"),
        (sympy.Piecewise((0, n <= 1), (1, n <= 3), (sympy.oo, True)), "0 if n ≤ 1, 1 if n ≤ 3, else ∞"),
        (n**2 / 2 + n / 2, "n**2/2 + n/2"),
    ],
)
def test_formulas_for_people(formula: sympy.Expr, text: str) -> None:
    assert formula_text(formula) == text


def test_markdown_escapes_bars() -> None:
    assert Table(["a"], [["p | q"]]).to_markdown().endswith(r"| p \| q |")


def test_page_escapes_and_stands_alone(tmp_path: Path) -> None:
    report = glm.analyze(glm.Mixer(recurrent=glm.CacheEfficient(2**k)))
    sections = [("<b>", "a < b"), ("report", report), ("table", report.table())]
    target = write_page(tmp_path / "deep" / "page.html", "A & B", sections)
    markup = target.read_text(encoding="utf-8")
    assert markup == page("A & B", sections)
    assert "<h2>&lt;b&gt;</h2><p>a &lt; b</p>" in markup
    assert "A &amp; B" in markup
    assert "src=" not in markup


def test_uniform_matrix_is_stochastic_and_shows_reach() -> None:
    for name in ("exponential_cache_efficient", "chacal_strict", "linear_attention"):
        M = uniform_matrix(glm.catalogue[name], 17)
        assert np.allclose(M.sum(axis=1), 1)
    assert np.count_nonzero(uniform_matrix(glm.Mixer(recurrent=glm.Lags([1])), 9)) == 45


def test_plot_draws_every_part() -> None:
    figure = plot_mixer(glm.Mixer(recurrent=glm.Fenwick(), readout=glm.FenwickPrefix()), 16)
    assert [axis.get_title().split("\n")[0] for axis in figure.axes][:3] == [
        "A: inputs read",
        "B: outputs read",
        "C: readout",
    ]
    assert np.array_equal(figure.axes[1].images[0].get_array(), glm.Fenwick().to_dense(16))
