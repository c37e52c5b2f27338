"""How well templates of one network find the same person among those of another."""
