"""Looking inside: printing, drawing and profiling tapes."""
