"""The CRDs and the reference pages: `python -m raydock.api.crd OUT [OUT ...] [--reference DIR]`.

The same models give the same bytes.
"""

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
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
                    "subresources": {"status": {}} | scale(kind),
                    "additionalPrinterColumns": [printer_column(column) for column in kind.columns],
                    "schema": {"openAPIV3Schema": openapi_schema(kind)},
                }
            ],
        },
    }


def scale(kind: type[Resource]) -> Json:
    """The scale subresource of `kind`, if it has one."""
    found = kind.scale
    if found is None:
        return {}
    paths = {
        "specReplicasPath": found.wanted,
        "statusReplicasPath": found.present,
        "labelSelectorPath": found.selector,
    }
    return {"scale": paths}


def printer_column(column: Column) -> Json:
    """One entry of `additionalPrinterColumns`."""
    wide = {"priority": 1} if column.wide else {}
    return {"name": column.name, "type": column.type, "jsonPath": column.path} | wide


class Dumper(yaml.SafeDumper):
    """Writes a schema that two fields share twice: many readers of CRDs know no anchors."""

    @override
    def ignore_aliases(self, _data: Any) -> bool:
        return True


def dump(obj: Json) -> str:
    """`obj` as YAML, keys in alphabetical order."""
    return NOTE + yaml.dump(obj, Dumper=Dumper, sort_keys=True, width=LINE_WIDTH, allow_unicode=True)


def write(folder: Path, contents: Mapping[str, str]) -> None:
    """`contents` by file name into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_text(content, encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    """Writes what the arguments ask for."""
    parser = ArgumentParser(prog="python -m raydock.api.crd", description="Write the CRDs.")
    parser.add_argument("out", type=Path, nargs="+", help="folders that get the CRDs, one file a kind")
    parser.add_argument("--reference", type=Path, help="folder of the reference pages")
    args = parser.parse_args(argv)
    made = {kind: crd(kind) for kind in KINDS}
    manifests = {f"{GROUP}_{kind.names.plural}.yaml": dump(definition) for kind, definition in made.items()}
    for folder in args.out:
        write(folder, manifests)
    if args.reference:
        pages = {f"{kind.names.kind.lower()}.md": page(kind, definition) for kind, definition in made.items()}
        write(args.reference, pages)


if __name__ == "__main__":
    main()
