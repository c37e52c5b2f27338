"""The networks of the paper and other named choices."""
