"""Kubernetes: objects, how ready they are, and the API server."""
