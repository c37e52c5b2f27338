"""Qdrant collections, in a folder or on a server."""
