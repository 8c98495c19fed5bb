"""The capacity gate: what is asked for, what is free or promised, and whether it fits."""
