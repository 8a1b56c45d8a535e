"""The providers that sample from a model: in this process, a server, KServe, a file."""
