"""How similar spaces are, by many measures, with intervals and nulls."""
