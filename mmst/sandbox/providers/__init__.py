"""What runs programs: gVisor, Kubernetes Jobs of it, plain processes."""
