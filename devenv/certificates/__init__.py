"""The ingress's certificate: when one is due, who signs it, whether it is served."""
