"""A Kubernetes API server: requests, objects, pods, and what of a run is there."""
