"""What the verbs do: one function each, which returns values."""
