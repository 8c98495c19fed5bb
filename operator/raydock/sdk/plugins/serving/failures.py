"""Why a request gets no model: what its caller is answered (contracts/actions.md 9)."""

from enum import Enum
from typing import Any, Final

from raydock.sdk.plugins.errors import ModelLoadError

ID_MAX: Final = 128
"""Characters of a model's id that are told."""


class Failure(Enum):
    """Code and HTTP status."""

    TOKEN_MISSING = "ModelTokenMissing", 400
    TOKEN_MALFORMED = "ModelTokenMalformed", 400
    TOKEN_INVALID = "ModelTokenInvalid", 401
    TOKEN_EXPIRED = "ModelTokenExpired", 401
    FORBIDDEN = "ModelForbidden", 403
    NOT_FOUND = "ModelNotFound", 404
    FILE_MISSING = "ModelFileMissing", 424
    STORE_UNAVAILABLE = "ModelStoreUnavailable", 503
    CACHE_BUSY = "ModelCacheBusy", 503
    LOAD_FAILED = "ModelLoadFailed", 500

    def __init__(self, code: str, status: int) -> None:
        self.code = code
        self.status = status

    def error(self, why: str, model: str | None = None, details: Any = None) -> ModelLoadError:
        """The error to raise. `model`: the id, once it is known; `why` holds no token, URL or key."""
        return failed(why, model, self.status, self.code, details)


INFERENCE_BUSY: Final = "InferenceBusy"
"""Code for work that is not begun, which is no failure of a model."""
RETRY_AFTER_S: Final = {Failure.STORE_UNAVAILABLE.code: 5, Failure.CACHE_BUSY.code: 1, INFERENCE_BUSY: 5}
"""By code: seconds after which it is worth another try; others are not before something was changed."""


def failed(why: str, model: str | None, status: int, code: str, details: Any = None) -> ModelLoadError:
    """The error for `model`, whose id is told if it is known."""
    of = "" if model is None else f" (id={model[:ID_MAX]})"
    return ModelLoadError(f"Failed to load model{of}: {why}", details, status_code=status, code=code)
