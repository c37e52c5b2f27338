"""What commands share: options, progress and output."""
