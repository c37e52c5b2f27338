"""The feature set on disk: readers, writers and the identity of rows."""
