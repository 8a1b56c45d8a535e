"""The providers of the sandbox: gVisor, Kubernetes Jobs with gVisor, ordinary processes."""
