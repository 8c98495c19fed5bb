"""Helpers that plugins may use."""
