"""Encoders from TensorFlow SavedModels, as TensorFlow Hub publishes them."""
