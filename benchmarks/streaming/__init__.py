"""How soon a stream begins."""
