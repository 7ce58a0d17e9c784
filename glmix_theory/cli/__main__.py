"""``python -m glmix_theory.cli``."""

from glmix_theory.cli import main

main()
