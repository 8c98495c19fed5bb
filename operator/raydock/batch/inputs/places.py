"""The one door to what a job reads: a URI's scheme says which place lists, stats and opens it."""

import os
from functools import cached_property
from typing import Final

import pyarrow as pa

from raydock.batch.inputs.place import Listing, Place, Stat, Unreadable
from raydock.batch.inputs.volumes import Volumes
from raydock.batch.inputs.web import Web

STORES: Final = ("s3", "gs", "az")
"""Schemes of object stores."""
HUB: Final = "hf"
"""That of the Hugging Face Hub."""


class Places:
    """All places of a job. The operations are those of Place, for any URI."""

    def __init__(self, claims_dir: str) -> None:
        """`claims_dir`: the folder that PersistentVolumeClaims are mounted in, by name."""
        web = Web()
        self._by_scheme: dict[str, Place] = {"pvc": Volumes(claims_dir), "http": web, "https": web}

    @cached_property
    def _stores(self) -> Place:
        from raydock.batch.inputs.stores import Stores  # noqa: PLC0415 - a volume needs no client of stores

        return Stores.from_environment()

    @cached_property
    def _hub(self) -> Place:
        from raydock.batch.inputs.hub import Hub  # noqa: PLC0415 - a volume needs no client of the Hub

        return Hub(os.getenv("HF_ENDPOINT"), os.getenv("HF_TOKEN"))  # the Secret comes as environment

    def of(self, uri: str) -> Place:
        """The place of `uri`. Raises Unreadable for a scheme that has none."""
        scheme, separator, _ = uri.partition("://")
        if separator and scheme in STORES:
            return self._stores
        if separator and scheme == HUB:
            return self._hub
        place = self._by_scheme.get(scheme.lower()) if separator else None
        if place is None:
            known = ", ".join(f"{scheme}://" for scheme in (*self._by_scheme, *STORES, HUB))
            raise Unreadable(f"raydock reads {known}: write the whole URI")
        return place

    def find(self, uri: str, *, recursive: bool = True) -> Listing:
        """As Place.find."""
        return self.of(uri).find(uri, recursive=recursive)

    def stat(self, uri: str) -> Stat:
        """As Place.stat."""
        return self.of(uri).stat(uri)

    def open(self, uri: str) -> pa.NativeFile:
        """As Place.open."""
        return self.of(uri).open(uri)

    def read(self, uri: str, most: int) -> bytes:
        """As Place.read."""
        return self.of(uri).read(uri, most)

    def told(self, uri: str) -> str:
        """`uri` as a message may show it; for one without a place nothing of it but its scheme."""
        try:
            return self.of(uri).told(uri)
        except Unreadable:
            scheme, separator, _ = uri.partition("://")
            return f"{scheme}://…" if separator and scheme.isalnum() else "a text that is no URI"
