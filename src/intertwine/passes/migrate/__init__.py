"""A vector store moved to another space."""
