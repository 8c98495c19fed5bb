#!/usr/bin/env bash
# Every benchmark, one after the other: each compares in one run and prints ratios. Figures, not tests.
# Those that need a cluster run where the embedded node is up with raydock installed, as `make demo` leaves it.
set -euo pipefail

cd "$(dirname "$0")/.."
export PYTHONPATH=operator:.
python=${RAYDOCK_CACHE:-$HOME/.cache/raydock}/venv/bin/python

echo "── serving, local Ray: default proxy, bare HAProxy front, raydock's host"
"$python" -m benchmarks.serving

echo "── batch, local Ray: plain Ray Data, bare processes, raydock"
"$python" -m benchmarks.batch
"$python" -m benchmarks.batch.memory

if [[ $(python3 -m hack.node status 2>/dev/null) != *Ready* ]]; then
  echo "the rest needs the embedded node with raydock: make demo"
  exit
fi
eval "$(python3 -m hack.node env)"
image=$(python3 -m hack.node images 2>/dev/null | sed -n 's/^RUNTIME_IMAGE=//p')
echo "── serving, embedded node: plain Ray Serve, Service, gateway"
"$python" -m benchmarks.serving.cluster --image "$image"
echo "── serving, embedded node: first part of a stream"
"$python" -m benchmarks.streaming --image "$image"
echo "── serving, embedded node: twice what it can answer"
"$python" -m benchmarks.overload
echo "── rollouts, embedded node"
"$python" -m benchmarks.rollouts
echo "── batch, embedded node: from order to first row"
"$python" -m benchmarks.batch.start
