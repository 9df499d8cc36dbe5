"""The tape: specs, signatures, rows, buffers, and how operations are recorded."""
