"""The primitives: one file a family, one record a primitive."""
