"""The application all commands belong to, and how they print."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

app = typer.Typer(
    help="Design, cost and verify causal linear token mixers Y = (I-B)^{-1} A X.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Target = Annotated[
    str,
    typer.Argument(help='A formula "2**k", a pattern "Window(4) | Offsets(2**k)", a catalogue name or FILE.py:OBJECT.'),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def console() -> Console:
    """Where tables go: as wide as the terminal, and 140 columns into a file or a pipe."""
    return Console() if sys.stdout.isatty() else Console(width=140)


def print_json(data: Any) -> None:
    """Print data as indented JSON."""
    print(json.dumps(data, indent=2, ensure_ascii=False))
