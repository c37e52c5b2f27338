"""Encoders from ONNX files."""
