"""What a project without a table is given: the table, and manifests, from what its folder has."""
