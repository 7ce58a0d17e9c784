"""Compiled loops over the edges of a structure, for CPUs. numba is needed to import the modules in here."""
