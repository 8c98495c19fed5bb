"""Types of fields."""

from raydock.sdk.plugins.serving.request_files import FileField

__all__ = ["FileField"]
