"""What files hold and how they survive a kill: atomic writes, locks, row ranges, checkpoints."""
