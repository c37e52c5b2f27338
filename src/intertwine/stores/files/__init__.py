"""Vector files: Parquet, Arrow and NumPy."""
