"""One small table that prints to a terminal, to Markdown and to HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sympy
from sympy.printing.str import StrPrinter

if TYPE_CHECKING:
    import rich.table


@dataclass
class Table:
    """Rows of text under named columns.

    >>> print(Table(["a", "b"], [["1", "x"]]).to_markdown())
    | a | b |
    |---|---|
    | 1 | x |
    """

    columns: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    title: str = ""
    caption: str = ""

    def to_markdown(self) -> str:
        """GitHub-flavoured Markdown."""
        lines = [f"**{self.title}**", ""] if self.title else []
        lines.append("| " + " | ".join(self.columns) + " |")
        lines.append("|" + "---|" * len(self.columns))
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in self.rows]
        if self.caption:
            lines += ["", self.caption]
        return "\n".join(lines)

    def to_html(self) -> str:
        """An HTML table without outside styles or scripts."""
        head = "".join(f"<th style='text-align:left'>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td style='text-align:left'>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.rows
        )
        caption = f"<p>{html.escape(self.caption)}</p>" if self.caption else ""
        title = f"<p><strong>{html.escape(self.title)}</strong></p>" if self.title else ""
        return f"{title}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{caption}"

    def to_rich(self) -> rich.table.Table:
        """A rich table for the terminal."""
        import rich.box
        import rich.table
        from rich.text import Text

        table = rich.table.Table(
            title=self.title or None,
            caption=self.caption or None,
            box=rich.box.SIMPLE_HEAD,
            title_justify="left",
        )
        for name in self.columns:
            table.add_column(name, overflow="fold")
        for row in self.rows:
            table.add_row(*(Text(cell) for cell in row))
        return table

    def to_text(self, width: int = 110) -> str:
        """Plain text, ``width`` characters wide."""
        import io

        from rich.console import Console

        buffer = io.StringIO()
        Console(file=buffer, width=width, color_system=None).print(self.to_rich())
        lines = (line.rstrip() for line in buffer.getvalue().splitlines())
        return "\n".join(line for line in lines if line)


def formula_text(expression: sympy.Expr) -> str:
    """A formula for people: ``⌈…⌉``, ``⌊…⌋``, ``log2(…)``, ``√…`` and cases in words.

    >>> from glmix_theory.notation import n
    >>> formula_text(sympy.ceiling(sympy.log(n) / sympy.log(2)) + 1)
    '⌈log2(n)⌉ + 1'
    >>> formula_text(sympy.Piecewise((0, n <= 3), (sympy.sqrt(n), True)))
    '0 if n ≤ 3, else √n'
    """
    return _FormulaPrinter().doprint(expression)


class _FormulaPrinter(StrPrinter):
    def _print_ceiling(self, expr: Any) -> str:
        return f"⌈{self._print(expr.args[0])}⌉"

    def _print_floor(self, expr: Any) -> str:
        return f"⌊{self._print(expr.args[0])}⌋"

    def _print_Infinity(self, expr: Any) -> str:
        return "∞"

    def _print_Pow(self, expr: Any, rational: bool = False) -> str:
        if expr.exp == sympy.Rational(1, 2):
            inner = self._print(expr.base)
            return f"√{inner}" if expr.base.is_Atom else f"√({inner})"
        return super()._print_Pow(expr, rational)

    def _print_Mul(self, expr: Any) -> str:
        logs = [a for a in expr.args if isinstance(a, sympy.log) and not a.args[0].is_number]
        bases = [a for a in expr.args if a.is_Pow and a.exp == -1 and isinstance(a.base, sympy.log)]
        if len(logs) == 1 and len(bases) == 1 and bases[0].base.args[0].is_Integer:
            name = sympy.Function(f"log{bases[0].base.args[0]}")
            rest = [a for a in expr.args if a not in (logs[0], bases[0])]
            return self._print(sympy.Mul(*rest, name(logs[0].args[0])))
        return super()._print_Mul(expr)

    def _print_Piecewise(self, expr: Any) -> str:
        cases = [f"{self._print(value)} if {self._condition(when)}" for value, when in expr.args[:-1]]
        value, when = expr.args[-1]
        last = (
            f"else {self._print(value)}" if when == sympy.true else f"{self._print(value)} if {self._condition(when)}"
        )
        return ", ".join([*cases, last])

    def _condition(self, when: Any) -> str:
        return str(when).replace("<=", "≤").replace(">=", "≥")
