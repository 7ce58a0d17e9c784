"""Tests of glmix_theory.expressivity."""
