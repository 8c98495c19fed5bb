#!/usr/bin/env bash
# What a user does by hand with examples/quickstart, step by step with its time: install the chart, train, serve, ask
# through the stable URL, predict a table. Exits 0 only when the answers are right. Safe to run again.
#
# Wants kubectl and helm on PATH, a cluster with KubeRay and Envoy Gateway behind KUBECONFIG, and in the environment
#   OPERATOR_IMAGE, RUNTIME_IMAGE   NAME:TAG, as the cluster's nodes know them
#   GATEWAY_CLASS                   GatewayClass of the Gateway that the chart makes (default: raydock)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
quickstart=$root/examples/quickstart
: "${OPERATOR_IMAGE:?NAME:TAG of the operator image}" "${RUNTIME_IMAGE:?NAME:TAG of the runtime image}"
system=raydock-system
# Sure flowers of two kinds: both versions of the model agree on them.
request='[{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2},
  {"sepal_length": 6.3, "sepal_width": 3.3, "petal_length": 6.0, "petal_width": 2.5}]'
wanted='setosa virginica'
rows=1000000
current='' watching='' url='' answer='' batch='' used='' times=()

demo() { kubectl --namespace demo "$@"; }

step() { # TITLE COMMAND…: run it, keep its time
  local began=$SECONDS
  current=$1
  printf '\n── %s\n' "$1"
  "${@:2}"
  times+=("$(printf '%4d s  %s' $((SECONDS - began)) "$1")")
}

ended() {
  local status=$?
  unwatch
  ((status == 0)) || failed >&2
}
trap ended EXIT

unwatch() {
  [[ -n $watching ]] || return 0
  kill "$watching"
  wait "$watching" 2>/dev/null || true # its end by our signal is no news
  watching=''
}

failed() { # what a person would look at first
  printf '\nfailed at: %s\n' "$current"
  demo describe raydock 2>/dev/null | tail -n 60 || true
  demo get pods 2>/dev/null || true
  kubectl --namespace "$system" logs deployment/raydock-operator --tail 20 2>/dev/null | cut -c 1-300 || true
}

install() {
  helm upgrade --install raydock "$root/charts/raydock" --namespace "$system" --create-namespace \
    --set image.repository="${OPERATOR_IMAGE%:*}" --set-string image.tag="${OPERATOR_IMAGE##*:}" \
    --set settings.runtimeImage="$RUNTIME_IMAGE" \
    --set gateway.create=true --set gateway.className="${GATEWAY_CLASS:-raydock}" \
    --wait --timeout 3m >/dev/null
  kubectl --namespace "$system" wait --for=condition=Programmed gateway/raydock --timeout 120s
}

train() {
  kubectl apply -f "$quickstart/00-volume.yaml"
  if [[ $(demo get job iris-train --ignore-not-found -o jsonpath='{.status.succeeded}') == 1 ]]; then
    echo "job.batch/iris-train was done before"
    used=1
    return
  fi
  demo delete job iris-train --ignore-not-found # a Job's image cannot change
  sed "s#ghcr.io/raydock/raydock-runtime:.*#$RUNTIME_IMAGE#" "$quickstart/01-train.yaml" | kubectl apply -f -
  demo wait --for=condition=Complete job/iris-train --timeout 300s
  demo logs job/iris-train
}

serve() {
  kubectl apply -f "$quickstart/code.yaml" -f "$quickstart/deployments.yaml" -f "$quickstart/endpoint.yaml"
  demo wait --for=condition=Ready deployments.raydock.io/iris-v1 deployments.raydock.io/iris-v2 --timeout 600s
  demo wait --for=condition=Ready inferenceendpoints.raydock.io/iris --timeout 120s
  demo get deployments.raydock.io,inferenceendpoints.raydock.io
}

ask() {
  local key
  url=$(demo get inferenceendpoints.raydock.io iris -o jsonpath='{.status.url}')
  key=$(demo get secret iris-keys -o jsonpath='{.data.primary}' | base64 --decode)
  printf "curl %s -H 'Authorization: Bearer KEY' -H 'Content-Type: application/json' -d '%s'\n" "$url" "$request"
  answer=$(post "$url" "$key" <<<"$request")
  printf '→ %s\n' "$answer"
  [[ $(grep -o 'setosa\|versicolor\|virginica' <<<"$answer" | paste -sd' ' -) == "$wanted" ]] || {
    echo "want $wanted" >&2
    return 1
  }
}

post() { # URL KEY: send stdin, print the answer. Python, as a bare machine has no curl; the cluster needs no proxy
  python3 -c '
import sys, urllib.request

headers = {"Authorization": f"Bearer {sys.argv[2]}", "Content-Type": "application/json"}
request = urllib.request.Request(sys.argv[1], data=sys.stdin.buffer.read(), headers=headers)
print(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30).read().decode())
' "$@"
}

in_volume() { # NAME: run the Python of stdin in a pod that mounts the volume, show what it prints
  demo delete pod "$1" --ignore-not-found >/dev/null
  demo apply -f - >/dev/null <<MANIFEST
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 1000, fsGroup: 1000, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: python
      image: $RUNTIME_IMAGE
      imagePullPolicy: IfNotPresent
      command:
        - python
        - -c
        - |
$(sed 's/^/          /')
      resources: {requests: {cpu: 50m, memory: 128Mi}}
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
      volumeMounts: [{name: volume, mountPath: /volume}]
  volumes: [{name: volume, persistentVolumeClaim: {claimName: iris}}]
MANIFEST
  demo wait --for=jsonpath='{.status.phase}'=Succeeded "pod/$1" --timeout 60s >/dev/null
  demo logs "$1"
  demo delete pod "$1" --wait=false >/dev/null
}

predict() {
  if [[ -n $used ]]; then # a finished job never runs again, and a new one refuses an output that is full
    demo delete batchjobs.raydock.io iris --ignore-not-found
    in_volume sweep <<<'import shutil; shutil.rmtree("/volume/predictions", ignore_errors=True)'
  fi
  kubectl apply -f "$quickstart/batchjob.yaml"
  kubectl --namespace demo get batchjobs.raydock.io iris --watch &
  watching=$!
  demo wait --for=condition=Ready batchjobs.raydock.io/iris --timeout 600s >/dev/null
  unwatch
  batch=$(demo get batchjobs.raydock.io iris -o jsonpath='{.status.output}')
  echo "status.output: $batch"
  [[ $(demo get batchjobs.raydock.io iris -o jsonpath='{.status.output.rows}') == "$rows" ]] || {
    echo "want $rows rows" >&2
    return 1
  }
}

look() {
  in_volume look <<'PYTHON'
import json, pathlib, pyarrow.parquet

out = pathlib.Path("/volume/predictions")
success = json.loads((out / "_SUCCESS").read_text())
files = success["files"]
print("_SUCCESS:", success["rows"], "rows in", len(files), "files, the first", files[0])
print(pyarrow.parquet.read_table(out / files[0]["path"]).slice(0, 3).to_pandas())
PYTHON
}

step 'install raydock' install
step 'train two versions of a model' train
step 'serve both behind one endpoint' serve
step 'ask through the stable URL' ask
step "predict $rows rows" predict
step 'look at the result' look

printf '\n── done\nURL      %s\nanswer   %s\nbatch    %s\n\n' "$url" "$answer" "$batch"
printf '%s\n' "${times[@]}"
