#!/usr/bin/env bash
# `make demo`: everything from a bare machine to an answer. Safe to run again; the node stays up afterwards.
set -euo pipefail

cd "$(dirname "$0")/.."
python3 -m hack.node up
set -o allexport # OPERATOR_IMAGE, RUNTIME_IMAGE, KUBECONFIG and PATH are for the steps
images=$(python3 -m hack.node images)
eval "$images"
eval "$(python3 -m hack.node env)"
hack/demo_steps.sh
cat <<'END'

The node is still up:   eval "$(make -s env)"; kubectl get pods --all-namespaces
End it with             make node-down
END
