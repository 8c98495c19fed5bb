"""Requests per second of one small app: plain Ray Serve, with its HAProxy front, and behind raydock."""
