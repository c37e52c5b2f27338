"""Encoders from folders of Hugging Face models and of sentence-transformers."""
