"""The command line ``glmix``: the same objects as the Python API, as text or JSON."""

import sys

from glmix_theory.cli import analysis, design, realize, search, study  # noqa: F401
from glmix_theory.cli.application import app
from glmix_theory.cli.targets import parse_lengths, resolve
from glmix_theory.errors import GlmixError

__all__ = ["app", "main", "parse_lengths", "resolve"]


def main() -> None:
    """Run the command line; a toolkit error is printed in one line and exits 2."""
    try:
        app()
    except GlmixError as error:
        print(f"glmix: {error}", file=sys.stderr)
        raise SystemExit(2) from None
