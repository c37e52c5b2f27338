"""Each network's features, mapped, in every other network's classifier."""
