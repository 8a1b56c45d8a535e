"""What runs have done, read from the store alone."""
