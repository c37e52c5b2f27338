"""Joint moments of any number of spaces, and how blocks of rows are added to them."""
