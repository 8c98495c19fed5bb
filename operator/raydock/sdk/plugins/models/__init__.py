"""Shapes that plugins meet."""
