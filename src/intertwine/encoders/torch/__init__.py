"""Encoders that are torch modules: timm, torchvision, checkpoints and your own functions."""
