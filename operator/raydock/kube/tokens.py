"""Whose token it is, from a TokenReview's answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

PREFIX: Final = "system:serviceaccount:"
POD_NAME: Final = "authentication.kubernetes.io/pod-name"
POD_UID: Final = "authentication.kubernetes.io/pod-uid"


@dataclass(frozen=True)
class Caller:
    """A pod that shows its projected service-account token."""

    namespace: str
    service_account: str
    pod_name: str
    """Empty for a token that is bound to no pod."""
    pod_uid: str


def caller_of(review: Mapping[str, Any], audience: str) -> Caller | None:
    """Who the reviewed token belongs to; None unless it is a valid service-account token for `audience`.

    An API server that knows no audiences answers without any: that is a no (TokenReview API, "audiences").
    """
    status = review.get("status") or {}
    if not status.get("authenticated") or audience not in (status.get("audiences") or ()):
        return None
    user = status.get("user") or {}
    words = str(user.get("username", "")).removeprefix(PREFIX).split(":")
    if not str(user.get("username", "")).startswith(PREFIX) or len(words) != 2:
        return None
    extra = user.get("extra") or {}
    return Caller(words[0], words[1], _first(extra.get(POD_NAME)), _first(extra.get(POD_UID)))


def _first(values: Any) -> str:
    return str(values[0]) if values else ""
