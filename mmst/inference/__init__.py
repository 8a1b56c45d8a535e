"""Completions of a model: decoding, and who provides them."""
