"""values.yaml says what the operator does anyway, and its schema says what values.yaml says."""

import json
from typing import Any, Final

import pytest
import yaml
from pydantic.alias_generators import to_camel

from hack.values_schema import FILLED_IN, schema, settings_fields
from raydock.plan.defaults import Defaults
from raydock.runtime.settings import Settings
from tests.unit.chart.helm import CHARTS

VALUES: Final = (CHARTS / "raydock" / "values.yaml").read_text()


def shown_settings() -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load(VALUES)["settings"]
    return settings


@pytest.mark.parametrize("chart", ["raydock", "raydock-crds"])
def test_the_schema_is_the_one_of_the_comments(chart: str) -> None:
    folder = CHARTS / chart
    want = schema((folder / "values.yaml").read_text())
    assert json.loads((folder / "values.schema.json").read_text()) == want, "run `make crds`"


def test_values_show_every_setting() -> None:
    assert shown_settings().keys() == settings_fields().keys() - FILLED_IN


def test_values_show_the_operators_own_defaults() -> None:
    shown = shown_settings()
    own = {to_camel(name): name for name in Settings.model_fields}
    plan = {key: value for key, value in shown.items() if key not in own and key != "runtimeImage"}
    assert Defaults.model_validate(plan) == Defaults()
    rest = {own[key]: value for key, value in shown.items() if key in own}
    untouched = Settings().model_dump()
    assert Settings.model_validate(rest).model_dump() == untouched


def test_the_runtime_image_is_of_the_charts_version() -> None:
    chart = yaml.safe_load((CHARTS / "raydock" / "Chart.yaml").read_text())
    assert Defaults().runtime_image == f"ghcr.io/raydock/raydock-runtime:{chart['appVersion']}"


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param("replicas: 1\n", id="no comment"),
        pytest.param("# Image.\nimage:\n  tag: x\n", id="no comment further in"),
    ],
)
def test_a_value_without_a_comment_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="has no comment"):
        schema(wrong)
