"""What can be known to be wrong before anything expensive is done: machine, recipe, cluster."""
