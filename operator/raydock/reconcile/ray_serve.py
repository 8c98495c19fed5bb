"""What Ray Serve itself says about a Deployment's replicas: KubeRay passes on no numbers."""

import binascii
from base64 import b64decode
from collections import OrderedDict
from typing import Any, Final, Protocol

from raydock.facts import lenient
from raydock.facts.serve import ServeState, serve_state
from raydock.reconcile.deps import Kube
from raydock.remote.dashboard import Denied
from raydock.wire.host import INGRESS

DASHBOARD_PORT: Final = 8265
TIMEOUT_S: Final = 3.0
TOKEN_KEY: Final = "auth_token"  # noqa: S105 - the name of an entry
"""In the Secret that KubeRay makes for a cluster with `authOptions.mode: token`, under the cluster's name."""
TOKENS_KEPT: Final = 4096


class Dashboard(Protocol):
    """raydock.remote.dashboard.Dashboard."""

    async def serve(self, host: str, port: int, token: str, timeout_s: float) -> Any:
        """As there."""


class RayServe:
    """One for the whole operator: it keeps the clusters' tokens, which never change."""

    def __init__(self, kube: Kube, dashboard: Dashboard) -> None:
        self._kube = kube
        self._dashboard = dashboard
        self._tokens: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def state(self, namespace: str, cluster: str, host: str, application: str) -> ServeState | None:
        """The replicas of `application` in the Ray cluster whose head is `host`; None when nobody tells."""
        token = await self._token(namespace, cluster)
        if not token:
            return None
        try:
            said = await self._dashboard.serve(host, DASHBOARD_PORT, token, TIMEOUT_S)
        except Denied:
            self._tokens.pop((namespace, cluster), None)  # another cluster of that name, by now
            return None
        return serve_state(said, application, INGRESS)

    async def _token(self, namespace: str, cluster: str) -> str:
        place = (namespace, cluster)
        if place not in self._tokens:
            found = await self._kube.find("Secret", namespace, cluster)
            try:
                token = b64decode(lenient.text(lenient.at(found, "data", TOKEN_KEY)), validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                return ""
            if not token:
                return ""
            self._tokens[place] = token
            if len(self._tokens) > TOKENS_KEPT:
                self._tokens.popitem(last=False)
        self._tokens.move_to_end(place)
        return self._tokens[place]
