"""Shapes that the operator and the processes in Ray both speak: standard-library dataclasses, no I/O."""
