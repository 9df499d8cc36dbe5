"""Other libraries' names for what tapegrad does."""
