"""A web application over a store: look at runs, samples and comparisons in a browser. It writes nothing there."""
