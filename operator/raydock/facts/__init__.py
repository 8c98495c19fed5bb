"""Frozen views of what was read: the only room that spells keys of foreign JSON. No opinions.

Every reader is total: a missing or odd key gives the field's empty value, never an exception. What was
read here came through an API server that checked it against a schema, so odd means an older or newer one.
"""
