"""Joint moments of a feature set in one pass, in parallel, going on after a kill."""
