"""What another package can add to MMST: one module each."""
