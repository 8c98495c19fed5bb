"""More requests than there is room for."""
