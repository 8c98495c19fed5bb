"""Requests in the forms of other clouds (contracts/clouds.md 1 to 4).

A form makes a request native on its way in, so that keys, limits and slots are checked in one place, and
turns answer or refusal into the vendor's on its way out.
"""
