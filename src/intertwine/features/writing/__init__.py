"""Writing feature sets in parts that a kill cannot spoil."""
