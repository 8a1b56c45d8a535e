"""Multi-Method Self-Training: a language model that teaches itself by several methods."""

__version__ = "0.1.0"
