"""Hostile input for every decoder: one table of targets, for `python -m sim.fuzz` and for tests/test_hostile.py."""
