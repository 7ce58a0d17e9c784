"""A self-contained HTML page of tables and reports, readable offline."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from glmix_theory.analysis import Report
from glmix_theory.rendering import Table

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { border-bottom: 1px solid #ddd; padding: 0.3em 0.9em 0.3em 0; text-align: left; vertical-align: top; }
code { background: #f4f4f4; padding: 0.1em 0.3em; }
details { margin: 0.5em 0 1.5em; }
"""


def page(title: str, sections: Sequence[tuple[str, str | Table | Report]]) -> str:
    """An HTML page: for each section a heading and a paragraph, a table or a report with derivations.

    Parameters
    ----------
    title : str
        Title and main heading.
    sections : sequence of (heading, content)
        Content is plain text, a Table or a Report.
    """
    blocks = [f"<h2>{html.escape(heading)}</h2>{_block(content)}" for heading, content in sections]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1>{''.join(blocks)}</body></html>\n"
    )


def write_page(path: Path | str, title: str, sections: Sequence[tuple[str, str | Table | Report]]) -> Path:
    """Write :func:`page` to a file, making its folder; returns the path."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page(title, sections), encoding="utf-8")
    return target


def _block(content: str | Table | Report) -> str:
    if isinstance(content, Table):
        return content.to_html()
    if isinstance(content, Report):
        steps = "".join(
            f"<h4>{html.escape(str(quantity))}</h4><ol>"
            + "".join(f"<li>{html.escape(step)}</li>" for step in quantity.evidence)
            + "</ol>"
            for quantity in content
        )
        return f"{content.table().to_html()}<details><summary>derivations</summary>{steps}</details>"
    return f"<p>{html.escape(content)}</p>"
