"""This machine: child processes, waiting, files, digests."""
