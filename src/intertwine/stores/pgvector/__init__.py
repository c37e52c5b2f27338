"""PostgreSQL tables with pgvector columns."""
