"""Tests of mixers and the catalogue; every architecture a second time in ``references``."""
