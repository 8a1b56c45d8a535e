"""Runs one stage in a process of its own."""
