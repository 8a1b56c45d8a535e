"""A Kubernetes API server: requests, objects, pods, and the objects of a run."""
