"""What the documents say is so: links lead somewhere, commands exist, manifests are accepted."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from hack.node.layout import REPOSITORY
from raydock.api import API_VERSION
from raydock.cli.validate import problems

PAGES: Final = sorted(
    path for folder in (".", "docs/**", "examples/**") for path in REPOSITORY.glob(f"{folder}/*.md")
)
DECISIONS: Final = sorted((REPOSITORY / "docs" / "adr").glob("[0-9]*.md"))
LINK: Final = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)")
FENCED_YAML: Final = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
MAKE: Final = re.compile(r"(?:^|[`(])make (?:-s )?([a-z][a-z-]*)", re.MULTILINE)
TARGET: Final = re.compile(r"^([a-z][a-z-]*(?: [a-z][a-z-]*)*):(?!=)", re.MULTILINE)


def relative(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def manifests() -> Iterator[Any]:
    """Every manifest of a kind of ours in examples and pages, with a name that tells where it stands."""
    files = sorted(REPOSITORY.glob("examples/**/*.yaml"))
    texts = [(relative(path), path.read_text()) for path in files]
    texts += [(relative(path), block) for path in PAGES for block in FENCED_YAML.findall(path.read_text())]
    for place, text in texts:
        for one in (found for value in yaml.safe_load_all(text) for found in ours(value)):
            name = one["metadata"].get("name") or one["metadata"]["generateName"]
            yield pytest.param(one, id=f"{place} {one['kind']} {name}")


def ours(value: Any) -> Iterator[dict[str, Any]]:
    """Objects of our kinds in `value`, also those in a text, as ConfigMaps and workflows hold them."""
    if isinstance(value, str) and API_VERSION in value:
        value = yaml.safe_load(value)
    if isinstance(value, dict) and value.get("apiVersion") == API_VERSION:
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from ours(inner)


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page: Path) -> None:
    assert not [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]


@pytest.mark.parametrize("manifest", list(manifests()))
def test_manifests_are_accepted(manifest: dict[str, Any]) -> None:
    assert problems(manifest) == []


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_make_targets_exist(page: Path) -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = {name for names in TARGET.findall(makefile) for name in names.split()}
    assert set(MAKE.findall(page.read_text())) <= targets


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_says_why_and_how_to_undo_it(decision: Path) -> None:
    text = decision.read_text()
    assert re.match(r"# \d{4} · ", text)
    assert re.search(r"^State: (proposed|accepted|replaced by \d{4})$", text, re.MULTILINE)
    headings = set(re.findall(r"^## (.+)$", text, re.MULTILINE))
    assert headings >= {"Context", "Decision", "Alternatives", "How to undo"}
    assert decision.name in (decision.parent / "README.md").read_text()


def test_fragments_of_the_change_log_have_a_known_type() -> None:
    fragments = {path.name for path in (REPOSITORY / "changelog.d").iterdir()} - {
        "README.md",
        "template.md.jinja",
    }
    assert not [
        name for name in fragments if not re.fullmatch(r"[a-z0-9-]+\.(action|breaking|feature|fix)\.md", name)
    ]
