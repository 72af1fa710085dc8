"""What is wanted: the project's own table, its files, its manifests."""
