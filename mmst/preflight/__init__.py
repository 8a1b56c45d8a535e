"""Checks before anything expensive is done: machine, recipe, cluster."""
