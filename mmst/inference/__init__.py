"""Completions of a model: the decode loop, the providers that sample, and `mmst serve`."""
