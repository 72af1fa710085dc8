"""devenv: from a bare machine to a proven, production-like stack."""

__version__ = "0.1.0"
