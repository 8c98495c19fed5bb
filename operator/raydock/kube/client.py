"""The API calls raydock makes, on plain objects: parsed JSON in and out."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

from raydock.kube.errors import Conflict, NotFound
from raydock.kube.events import Event, Recorder
from raydock.kube.kinds import Kind, kind_of, named
from raydock.kube.login import Login, configuration, login_of
from raydock.kube.tokens import Caller, caller_of
from raydock.kube.transport import APPLY, MERGE, Request, Transport

FIELD_MANAGER: Final = "raydock"
PAGE: Final = 500
"""Objects a page, as kubectl asks for."""
METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

Object = Mapping[str, Any]


class Kube:
    """One API server. `kind` is a name of raydock.kube.kinds; every call may raise ApiError.

    Cluster-scoped kinds take an empty namespace.
    """

    def __init__(self, transport: Transport, *, instance: str = "raydock") -> None:
        self._transport = transport
        self._recorder = Recorder(transport, instance)
        self.listeners = transport.listeners
        """Called with each finished transport.Call."""

    async def login(self) -> Login:
        """For the watches, which are another client's."""
        return await login_of(self._transport.configuration)

    async def get(self, kind: str | Kind, namespace: str, name: str) -> dict[str, Any]:
        """The live object. Raises NotFound."""
        return await self._transport.send(Request("get", "GET", named(kind), namespace, name))

    async def find(self, kind: str | Kind, namespace: str, name: str) -> dict[str, Any] | None:
        """The live object, or None when there is none."""
        try:
            return await self.get(kind, namespace, name)
        except NotFound:
            return None

    async def find_metadata(self, kind: str | Kind, namespace: str, name: str) -> dict[str, Any] | None:
        """Its `metadata` alone, below that key: how a Secret is looked up without reading it."""
        try:
            return await self._transport.send(
                Request("get", "GET", named(kind), namespace, name, accept=METADATA)
            )
        except NotFound:
            return None

    async def apply(self, manifest: Object) -> dict[str, Any]:
        """Make the fields of `manifest` so, and own them; returns the live object.

        `force`: a field that somebody else changed becomes ours again. Strict: an unknown field is Invalid.
        """
        return await self._apply(manifest, None)

    async def apply_status(self, manifest: Object) -> dict[str, Any]:
        """As `apply`, for the `status` of an object that exists; everything else in `manifest` is ignored."""
        return await self._apply(manifest, "status")

    async def _apply(self, manifest: Object, subresource: str | None) -> dict[str, Any]:
        meta = manifest["metadata"]
        query = {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
        return await self._transport.send(
            Request(
                verb="apply",
                method="PATCH",
                kind=kind_of(manifest),
                namespace=meta.get("namespace"),
                name=meta["name"],
                subresource=subresource,
                query=query,
                body=manifest,
                content=APPLY,
            )
        )

    async def create(self, manifest: Object) -> dict[str, Any]:
        """A new object, `generateName` included; returns it. Raises AlreadyExists."""
        meta = manifest["metadata"]
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        request = Request(
            "create", "POST", kind_of(manifest), meta.get("namespace"), query=query, body=manifest
        )
        return await self._transport.send(request)

    async def patch(self, kind: str | Kind, namespace: str, name: str, merge_patch: Object) -> dict[str, Any]:
        """JSON merge patch; with `metadata.resourceVersion` in it, Conflict when the object changed since."""
        request = Request(
            verb="patch",
            method="PATCH",
            kind=named(kind),
            namespace=namespace,
            name=name,
            query={"fieldManager": FIELD_MANAGER},
            body=merge_patch,
            content=MERGE,
        )
        return await self._transport.send(request)

    async def patch_status(
        self, kind: str | Kind, namespace: str, name: str, fields: Object
    ) -> dict[str, Any]:
        """JSON merge patch of the status that another controller writes; None removes a field."""
        request = Request(
            verb="patch/status",
            method="PATCH",
            kind=named(kind),
            namespace=namespace,
            name=name,
            subresource="status",
            query={"fieldManager": FIELD_MANAGER},
            body={"status": fields},
            content=MERGE,
        )
        return await self._transport.send(request)

    async def annotate(
        self, kind: str | Kind, namespace: str, name: str, annotations: Mapping[str, str | None]
    ) -> None:
        """Set annotations of an object that another controller owns, as a pod's; None removes one."""
        await self.patch(kind, namespace, name, {"metadata": {"annotations": dict(annotations)}})

    async def delete(self, obj: Object, *, propagation: str = "Background", unchanged: bool = False) -> None:
        """Delete this very object, never a successor of its name; already gone is fine.

        `unchanged`: only as it was read; raises Conflict when somebody changed it since.
        """
        meta, kind = obj["metadata"], kind_of(obj)
        preconditions = {"uid": meta["uid"]}
        if unchanged:
            preconditions["resourceVersion"] = meta["resourceVersion"]
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": preconditions,
            "propagationPolicy": propagation,
        }
        namespace, name = meta.get("namespace", ""), meta["name"]
        try:
            await self._transport.send(Request("delete", "DELETE", kind, namespace, name, body=body))
        except NotFound:
            return
        except Conflict:
            left = await self.find_metadata(kind, namespace, name)
            if left is not None and left["metadata"]["uid"] == meta["uid"]:
                raise

    async def pages(
        self,
        kind: str | Kind,
        *,
        namespace: str | None = None,
        label_selector: str | None = None,
        metadata_only: bool = False,
        limit: int = PAGE,
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """All objects of a kind, `limit` at a time; of all namespaces when none is given.

        One consistent snapshot; Expired when reading took longer than the API server keeps it (5 minutes).
        """
        query: dict[str, str | int] = {"limit": limit}
        if label_selector:
            query["labelSelector"] = label_selector
        accept = METADATA_LIST if metadata_only else "application/json"
        while True:
            request = Request("list", "GET", named(kind), namespace, query=query, accept=accept)
            page = await self._transport.send(request)
            yield page.get("items") or []
            token = page.get("metadata", {}).get("continue")
            if not token:
                return
            query["continue"] = token

    async def log_end(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        lines: int,
        limit_bytes: int,
        since: datetime | None = None,
    ) -> str:
        """The end of a container's log: at most so many lines and bytes of UTF-8, said not before `since`."""
        query: dict[str, str | int] = {"container": container, "tailLines": lines}
        if since is not None:
            query["sinceTime"] = since.strftime("%Y-%m-%dT%H:%M:%SZ")
        request = Request("get", "GET", named("Pod"), namespace, pod, "log", query, accept="*/*")
        return (await self._transport.end_of(request, limit_bytes)).decode(errors="replace")

    async def review_token(self, token: str, audience: str) -> Caller | None:
        """Whose projected token this is; None when the API server doesn't vouch for it for `audience`."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [audience]},
        }
        review = await self._transport.send(Request("create", "POST", named("TokenReview"), body=body))
        return caller_of(review, audience)

    async def record(self, event: Event) -> None:
        """Tell people: a line in `kubectl describe`. Repetitions are counted up, floods are dropped."""
        await self._recorder.record(event)


@asynccontextmanager
async def connect(kubeconfig: str | None = None, *, instance: str = "raydock") -> AsyncIterator[Kube]:
    """The cluster of `kubeconfig`, else the one whose pod we are. Raises NoCluster.

    `instance`: who reports in events, a pod's name.
    """
    transport = Transport(await configuration(kubeconfig))
    try:
        yield Kube(transport, instance=instance)
    finally:
        await transport.close()
