"""Ways to run an action."""
