"""Encoders from TensorFlow Lite files."""
