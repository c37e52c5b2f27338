"""Whether and how a vector store should be migrated, forecast from pairs."""
