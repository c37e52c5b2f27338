"""Encoders from Keras files and Keras Applications."""
