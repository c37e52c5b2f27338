"""Face networks built in torch, one file an architecture; only encoders import them."""
