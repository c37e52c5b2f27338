"""Faces found in images, cropped and aligned."""
