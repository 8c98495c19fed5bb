#!/usr/bin/env bash
# Everything that is generated and committed (`make crds`): CRDs, values schemas, dashboard, reference pages.
set -euo pipefail

cd "$(dirname "$0")/.."
export PATH=${RAYDOCK_CACHE:-$HOME/.cache/raydock}/venv/bin:$PATH PYTHONPATH=operator:.

python -m raydock.api.crd crds charts/raydock/files/crds charts/raydock-crds/files/crds --reference docs/reference
python hack/values_schema.py charts/raydock charts/raydock-crds
python hack/dashboard.py charts/raydock/files/dashboard.json
python hack/reference.py docs/reference
