"""Fine-tuning: the worker and its parts, and the providers that start it."""
