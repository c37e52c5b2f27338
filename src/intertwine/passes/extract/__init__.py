"""Features of images or texts, extracted with any number of encoders."""
