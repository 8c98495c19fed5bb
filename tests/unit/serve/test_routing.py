"""Which path of the app a request goes to."""

import pytest

from raydock.serve.answer import Refused
from raydock.serve.routing import Routing
from raydock.wire.host import HostConfig


def goes_to(path: str, *, raw: str | None = None, **config: object) -> tuple[str, bytes] | None:
    """Path and raw path in the app; None: nowhere."""
    scope = {"path": path, "raw_path": (path if raw is None else raw).encode()}
    try:
        found = Routing(HostConfig(revision="r1", **config)).route(scope)  # type: ignore[arg-type]
    except Refused:
        return None
    return found.path, found.raw_path


@pytest.mark.parametrize("path", ["/", ""])
def test_the_root_leads_to_predictions(path: str) -> None:
    assert goes_to(path, predict_path="/v2/predict") == ("/v2/predict", b"/v2/predict")


@pytest.mark.parametrize("path", ["/predict", "/invoke/foo", "/docs", "/swagger.jso"])
def test_no_other_path_does(path: str) -> None:
    assert goes_to(path, predict_path="/predict") is None


@pytest.mark.parametrize(
    ("path", "raw", "app"),
    [
        pytest.param("/invoke/foo/bar", None, ("/foo/bar", b"/foo/bar"), id="any path"),
        pytest.param("/invoke/a b", "/invoke/a%20b", ("/a b", b"/a%20b"), id="as it was written"),
        pytest.param("/invoke/a", "/%69nvoke/a", ("/a", b"/a"), id="written otherwise"),
        pytest.param("/invoke/a/", None, ("/a/", b"/a/"), id="a slash at the end"),
        pytest.param("/invoke", None, None, id="no path"),
        pytest.param("/invoke/", None, None, id="the root"),
        pytest.param("/", None, None, id="the endpoint's root"),
        pytest.param("/invoked/a", None, None, id="another word"),
    ],
)
def test_each_path_but_the_root_is_lent_out(
    path: str, raw: str | None, app: tuple[str, bytes] | None
) -> None:
    assert goes_to(path, raw=raw, invoke=True) == app


@pytest.mark.parametrize(
    ("path", "is_open"),
    [
        ("/admin", False),
        ("/admin/users", False),
        ("//admin", False),
        ("/x/../admin", False),
        ("/./admin/", False),
        ("/%61dmin", False),
        ("/%2561dmin", False),
        ("/x/%2e%2e/admin", False),
        ("/administrator", True),
        ("/x/admin", True),
    ],
)
def test_what_is_excluded_is_so_however_it_is_written(path: str, is_open: bool) -> None:
    assert (goes_to(f"/invoke{path}", invoke=True, exclude=("/admin/",)) is not None) == is_open
