"""TensorFlow checkpoints as weights for torch."""
