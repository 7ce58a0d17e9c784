"""Tests of glmix_theory.design."""
