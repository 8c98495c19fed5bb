"""Kinds of actions: inference here; of the package's others, see out_of_scope."""
