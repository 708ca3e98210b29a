"""Deterministic simulation: real workers on one thread, in a time and a world that a seed decides."""
