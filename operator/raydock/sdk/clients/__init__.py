"""Clients of the services that a plugin talks to."""
