"""What an installation says of its end."""

from pathlib import Path

import pytest

from tests.unit.chart.helm import notes


@pytest.mark.parametrize("keep", ["true", "false"])
def test_finalizers_are_told_before_what_waits_for_them(tmp_path: Path, keep: str) -> None:
    """With `crds.keep: false` an uninstall hangs on Deployments that are registered."""
    text = notes(tmp_path, sets=[f"crds.keep={keep}"])
    assert 0 < text.index("raydock.io/registration") < text.index("`helm uninstall`")
    assert ("kubectl delete crd" in text) is (keep == "true")
    assert "\n\n\n" not in text
