"""The SomaBrain service: memory, context and learning. State lives in Postgres and Redis, and nowhere else."""
