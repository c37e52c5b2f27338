"""The long walks over rows: reader, work, sink."""
