"""Images: which there are, and their pixels."""
