"""Images, texts and tables as rows in a fixed order."""
