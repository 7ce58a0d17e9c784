"""Tests: independent definitions in ``brute_force``, drawn patterns in ``strategies``."""
