"""The long passes over rows: read, work, write."""
