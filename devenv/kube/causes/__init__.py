"""Why a part of the environment is not ready: the facts of it, rules that find the cause, the chain that leads there.

All of it is pure: reconcile/explaining.py reads the facts.
"""
