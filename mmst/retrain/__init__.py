"""One pipeline run for each content, for use from Git."""
