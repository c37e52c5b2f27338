"""LanceDB tables."""
