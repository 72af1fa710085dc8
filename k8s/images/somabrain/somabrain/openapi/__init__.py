"""What the OpenAPI document shows: bodies, responses, operations, and its page."""
