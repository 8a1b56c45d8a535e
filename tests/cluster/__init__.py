"""Tests on a Kubernetes API server: whatever cluster KUBECONFIG names (`make test-cluster` brings one up)."""
