"""One pipeline run per content, as Git asks for it."""
