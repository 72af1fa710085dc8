"""The machine may be busy: how long one example takes says nothing about the rule it checks."""

from hypothesis import settings

settings.register_profile("service", deadline=None, max_examples=50)
settings.load_profile("service")
