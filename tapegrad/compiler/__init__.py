"""Compiled tapes: recorded once, replayed without Python."""
