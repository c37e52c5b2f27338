"""Inception-v2, converted from slim's checkpoint."""
