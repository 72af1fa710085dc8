"""The forwards' own process. It imports nothing of the rest."""
