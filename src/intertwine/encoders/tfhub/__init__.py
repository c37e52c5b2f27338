"""Encoders from TensorFlow SavedModels, as TensorFlow Hub has them."""
