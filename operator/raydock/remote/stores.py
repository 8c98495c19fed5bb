"""Opening an object store: an address and the variables of its clients become a store of obstore's.

Whatever goes wrong is told without an address or a key: the clients' own words have both in them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from obstore.exceptions import PermissionDeniedError, UnauthenticatedError, UnknownConfigurationKeyError
from obstore.store import from_url

PREFIXES: Final = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
"""What the variables of each scheme begin with; there may be others beside them."""
CONNECT: Final = "5s"


class StoreError(Exception):
    """The store did not do what it was asked to; the message names no address and no key."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        """`final`: the same will come of another try."""
        super().__init__(message)
        self.final = final


class Opener:
    """Opens the store at `uri`, as often as different times are needed.

    `variables`: of the store's clients, such as AWS_ACCESS_KEY_ID; those that they do not know are left out.
    Raises StoreError.
    """

    def __init__(self, uri: str, variables: Mapping[str, str]) -> None:
        self._uri = uri.rstrip("/")
        prefix = PREFIXES.get(uri.partition("://")[0])
        if prefix is None:
            raise StoreError("an address begins with s3://, gs:// or az://", final=True)
        self._config = {name: value for name, value in variables.items() if name.upper().startswith(prefix)}

    def open(self, timeout: str, *, max_retries: int, retry_s: float) -> Any:
        """A store whose calls end after `timeout`, and are tried again for `retry_s` seconds."""
        retries = {"max_retries": max_retries, "retry_timeout": timedelta(seconds=retry_s)}
        with telling():
            try:
                return self._opened(self._config, timeout, retries)
            except UnknownConfigurationKeyError:
                self._config = {
                    name: value for name, value in self._config.items() if self._knows(name, value)
                }
            return self._opened(self._config, timeout, retries)

    def _knows(self, name: str, value: str) -> bool:
        try:
            self._opened({name: value}, CONNECT, {})
        except UnknownConfigurationKeyError:
            return False
        except Exception:  # noqa: BLE001 - it is known, and lacks the others
            return True
        return True

    def _opened(self, config: Mapping[str, str], timeout: str, retries: Mapping[str, Any]) -> Any:
        opened: Any = from_url  # its overloads are by store, and which one it is says the address
        plain = any(value.startswith("http://") for value in config.values())
        client = {"connect_timeout": CONNECT, "timeout": timeout, "allow_http": plain}
        more = {"retry_config": dict(retries)} if retries else {}
        return opened(self._uri, config=dict(config), client_options=client, **more)


@contextmanager
def telling() -> Iterator[None]:
    """Whatever goes wrong in the context is a StoreError."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the clients raise anything, with addresses in it
        raise told(error) from None


def told(error: Exception) -> StoreError:
    """`error` in words that may be shown."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return StoreError("the object store refused the credentials", final=True)
    return StoreError(
        f"the object store failed ({type(error).__name__})", final=isinstance(error, ValueError)
    )
