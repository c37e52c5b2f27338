"""Encoders of aligned faces."""
