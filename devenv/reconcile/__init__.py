"""From what is wanted and what is there to what is left to do, and doing it."""
