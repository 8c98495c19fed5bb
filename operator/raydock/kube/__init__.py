"""The Kubernetes API: one client, typed errors, the Lease. Knows no kind but by its address."""
