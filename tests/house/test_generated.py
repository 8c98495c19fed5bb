"""What is generated and committed is what the code generates now."""

from collections.abc import Callable

import pytest

from hack.dashboard import dashboard
from hack.node.layout import REPOSITORY
from hack.reference import metrics, reasons, settings
from raydock.api import KINDS
from raydock.api.crd import crd, dump
from raydock.reasons import Reason


@pytest.mark.parametrize(
    ("page", "generate"),
    [("metrics.md", metrics), ("reasons.md", reasons), ("settings.md", settings)],
    ids=["metrics", "reasons", "settings"],
)
def test_the_reference_is_up_to_date(page: str, generate: Callable[[], str]) -> None:
    assert (REPOSITORY / "docs" / "reference" / page).read_text() == generate(), "run `make crds`"


def test_the_dashboard_is_up_to_date() -> None:
    made = (REPOSITORY / "charts" / "raydock" / "files" / "dashboard.json").read_text()
    assert made == dashboard(), "run `make crds`"


@pytest.mark.parametrize("folder", ["crds", "charts/raydock/files/crds", "charts/raydock-crds/files/crds"])
def test_the_definitions_are_up_to_date(folder: str) -> None:
    committed = sorted(path.read_text() for path in (REPOSITORY / folder).iterdir())
    assert committed == sorted(dump(crd(kind)) for kind in KINDS), "run `make crds`"


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.value)
def test_a_reason_has_a_sentence_for_people(reason: Reason) -> None:
    assert reason.text.endswith(".")
    assert reason.value in (REPOSITORY / "docs" / "reference" / "reasons.md").read_text()


def test_the_source_root_is_no_package() -> None:
    # Python has an `operator` of its own: with an __init__.py ours would stand before it.
    assert not (REPOSITORY / "operator" / "__init__.py").exists()
