"""Maps between two spaces: applied, checked, composed, saved and exported."""
