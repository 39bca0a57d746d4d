"""Training formats, one module each: a writer, a reader, and where the format is described."""
