"""The same programs in tapegrad and in other libraries: contenders, measuring, reporting."""
