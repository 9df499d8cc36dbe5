"""Benchmarks of tapegrad, run by asv (airspeed velocity)."""
