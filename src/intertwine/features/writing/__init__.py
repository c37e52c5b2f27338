"""Writing feature sets in parts, so that a kill cannot spoil them."""
