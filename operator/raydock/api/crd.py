"""The CRDs, and what is made from them: `python -m raydock.api.crd OUT [--chart DIR] [--reference DIR]`.

The same models give the same bytes. A stale file of a kind that is gone is removed.
"""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from typing_extensions import override

from raydock.api import KINDS
from raydock.api.base import CATEGORY, GROUP, VERSION, Column, Resource
from raydock.api.reference import page
from raydock.api.schema import Json, openapi_schema

LINE_WIDTH: Final = 110
NOTE: Final = "# Generated from raydock.api by `make crds`. Do not edit.\n"
KEEP: Final = """metadata:
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""


def crd(kind: type[Resource]) -> Json:
    """The CustomResourceDefinition of `kind`."""
    names = kind.names
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.kind,
                "listKind": f"{names.kind}List",
                "plural": names.plural,
                "singular": names.kind.lower(),
                "shortNames": [names.short],
                "categories": [CATEGORY],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [printer_column(column) for column in kind.columns],
                    "schema": {"openAPIV3Schema": openapi_schema(kind)},
                }
            ],
        },
    }


def printer_column(column: Column) -> Json:
    """One entry of `additionalPrinterColumns`."""
    wide = {"priority": 1} if column.wide else {}
    return {"name": column.name, "type": column.type, "jsonPath": column.path} | wide


class Dumper(yaml.SafeDumper):
    """Writes a schema that two fields share twice: many readers of CRDs know no anchors."""

    @override
    def ignore_aliases(self, data: Any) -> bool:
        return True


def dump(obj: Json) -> str:
    """`obj` as YAML, keys in alphabetical order."""
    return NOTE + yaml.dump(obj, Dumper=Dumper, sort_keys=True, width=LINE_WIDTH, allow_unicode=True)


def chart_template(text: str) -> str:
    """A CRD's YAML as a chart template that obeys `crds.enabled` and `crds.keep`."""
    if "{{" in text:
        raise ValueError("a CRD that holds {{ is no chart template: reword the rule or description")
    return "{{- if .Values.crds.enabled }}\n" + text.replace("metadata:\n", KEEP, 1) + "{{- end }}\n"


def files(kind: type[Resource]) -> tuple[str, str, str]:
    """YAML, chart template and reference page of `kind`."""
    definition = crd(kind)
    text = dump(definition)
    return text, chart_template(text), page(kind, definition)


def write(folder: Path, contents: dict[str, str], pattern: str) -> None:
    """`contents` by file name into `folder`; other files that match `pattern` go."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in {path.name for path in folder.glob(pattern)} - contents.keys():
        (folder / stale).unlink()
    for name, content in contents.items():
        (folder / name).write_text(content, encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    """Writes what the arguments ask for."""
    parser = ArgumentParser(prog="python -m raydock.api.crd", description="Write the CRDs.")
    parser.add_argument("out", type=Path, help="folder of the CRDs")
    parser.add_argument("--chart", type=Path, help="folder of chart templates")
    parser.add_argument("--reference", type=Path, help="folder of reference pages")
    args = parser.parse_args(argv)
    made = {kind: files(kind) for kind in KINDS}
    name = {kind: f"{GROUP}_{kind.names.plural}.yaml" for kind in KINDS}
    write(args.out, {name[kind]: text for kind, (text, _, _) in made.items()}, f"{GROUP}_*.yaml")
    if args.chart:
        write(args.chart, {name[kind]: text for kind, (_, text, _) in made.items()}, f"{GROUP}_*.yaml")
    if args.reference:
        pages = {f"{kind.names.kind.lower()}.md": text for kind, (_, _, text) in made.items()}
        write(args.reference, pages, "none-goes")


if __name__ == "__main__":
    main()
