"""The kind cluster: its node, and the images that the node is made of."""
