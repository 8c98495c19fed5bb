"""What the API server says: each manifest of tests/invalid is refused, every field of a kind is accepted.

A file of tests/invalid states a part of the message in its first line. With a second document in it, the
first is a good object and the second an edit of it.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.aio.client import ApiClient, ApiException, CustomObjectsApi

from raydock.api import GROUP, KINDS, VERSION

pytestmark = pytest.mark.integration

TESTS = Path(__file__).parents[1]
INVALID = [
    pytest.param(path.read_text(), id=f"{path.parent.name}/{path.stem}")
    for path in sorted((TESTS / "invalid").glob("*/*.yaml"))
]
FULL = [
    pytest.param(yaml.safe_load(path.read_text()), id=path.stem)
    for path in sorted((TESTS / "unit/api/full").glob("*.yaml"))
]
WANT = "# want: "
PLURALS = {kind.names.kind: kind.names.plural for kind in KINDS}

Manifest = dict[str, Any]


@pytest.fixture
async def objects(api_client: ApiClient, namespace: str) -> AsyncIterator[CustomObjectsApi]:
    """The API of our kinds; what a test leaves in `namespace` is removed."""
    objects = CustomObjectsApi(api_client)
    yield objects
    for plural in PLURALS.values():
        await objects.delete_collection_namespaced_custom_object(GROUP, VERSION, namespace, plural)


async def try_one(objects: CustomObjectsApi, at: tuple[str, str, str, str], new: Manifest) -> None:
    """Create `new` for the looks of it. Raises ApiException."""
    await objects.create_namespaced_custom_object(*at, new, dry_run="All", field_validation="Strict")


async def try_edit(
    objects: CustomObjectsApi, at: tuple[str, str, str, str], old: Manifest, new: Manifest
) -> None:
    """Create `old` and replace it by `new` for the looks of it. Raises ApiException."""
    there: Any = await objects.create_namespaced_custom_object(*at, old)
    new["metadata"] = there["metadata"]
    name = new["metadata"]["name"]
    await objects.replace_namespaced_custom_object(*at, name, new, dry_run="All", field_validation="Strict")


@pytest.mark.parametrize("text", INVALID)
async def test_a_bad_manifest_is_refused_with_what_to_write(
    objects: CustomObjectsApi, namespace: str, text: str
) -> None:
    want = text.splitlines()[0].removeprefix(WANT)
    *before, last = yaml.safe_load_all(text)
    at = (GROUP, VERSION, namespace, PLURALS[last["kind"]])
    with pytest.raises(ApiException) as refused:
        await (try_edit(objects, at, before[0], last) if before else try_one(objects, at, last))
    assert want in json.loads(refused.value.body or "")["message"]


@pytest.mark.parametrize("written", FULL)
async def test_every_field_is_stored_as_written(
    objects: CustomObjectsApi, namespace: str, written: Manifest
) -> None:
    at = (GROUP, VERSION, namespace, PLURALS[written["kind"]])
    stored: Any = await objects.create_namespaced_custom_object(*at, written, field_validation="Strict")
    assert stored["spec"] == written["spec"]
    assert stored["status"] == {"observedGeneration": -1}
    stored["status"] = written["status"]
    stored = await objects.replace_namespaced_custom_object_status(
        *at, written["metadata"]["name"], stored, field_validation="Strict"
    )
    assert stored["status"] == written["status"]
