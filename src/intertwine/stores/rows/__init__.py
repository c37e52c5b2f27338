"""What stores of rows in files share: FAISS and vector files."""
