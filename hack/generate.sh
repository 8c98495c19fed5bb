#!/usr/bin/env bash
# Everything that is generated and committed (`make crds`): CRDs, their chart templates, values schemas, reference pages.
set -euo pipefail

cd "$(dirname "$0")/.."
export PATH=${RAYDOCK_CACHE:-$HOME/.cache/raydock}/venv/bin:$PATH PYTHONPATH=operator:.

for chart in raydock raydock-crds; do
  python -m raydock.api.crd crds --chart "charts/$chart/templates/crds" --reference docs/reference
done
python hack/values_schema.py charts/raydock charts/raydock-crds
python hack/reference.py docs/reference
