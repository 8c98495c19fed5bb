#!/usr/bin/env bash
# hack/kind.sh up|down: a cluster in Docker with what the embedded node has. Wants docker and kind on PATH.
set -euo pipefail

cd "$(dirname "$0")/.."
name=raydock
cache=${RAYDOCK_CACHE:-$HOME/.cache/raydock}
for tool in docker kind; do
  command -v "$tool" >/dev/null || {
    echo "$tool is not on PATH; without Docker, the embedded node does the same: make node-up" >&2
    exit 1
  }
done

up() {
  kind get clusters | grep -qx "$name" || kind create cluster --name "$name" --config kind-config.yaml --wait 120s
  mkdir -p "$cache/kind"
  kind get kubeconfig --name "$name" >"$cache/kind/admin.kubeconfig"
  local image
  for image in raydock raydock-runtime; do
    docker build --tag "localhost/$image:dev" --file "images/$image/Dockerfile" .
    kind load docker-image --name "$name" "localhost/$image:dev"
  done
  python3 -m hack.node kind-addons
  cat <<END

export KUBECONFIG=$cache/kind/admin.kubeconfig PATH=$cache/bin:\$PATH
OPERATOR_IMAGE=localhost/raydock:dev RUNTIME_IMAGE=localhost/raydock-runtime:dev hack/demo_steps.sh
The gateway answers at http://localhost:8080
END
}

case ${1:-} in
  up) up ;;
  down) kind delete cluster --name "$name" ;;
  *) echo "usage: hack/kind.sh up|down" >&2 && exit 2 ;;
esac
