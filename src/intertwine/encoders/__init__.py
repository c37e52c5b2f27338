"""Networks as functions from images to features, one file an ecosystem."""
