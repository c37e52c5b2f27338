"""Verification of pairs across networks."""
