#!/bin/sh
# In the build of both images: locked packages, less what never runs here. Arguments of pip may follow the file's name.
# One call is one layer: what is removed must go in the layer that brought it.
set -eu
requirements=$1
shift

# KubeRay's probes call wget, people call ps; the python image has neither
if ! command -v wget >/dev/null || ! command -v ps >/dev/null; then
  apt-get update -q
  apt-get install -y -q --no-install-recommends procps wget
  rm -rf /var/lib/apt/lists/*
fi

pip install --quiet --no-cache-dir --no-compile --disable-pip-version-check --root-user-action ignore \
  --require-hashes "$@" --requirement "$requirements"

site=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cd "$site"
# Java, reinforcement learning, tests, sources, source maps; Arrow Flight (32 MB) is a server that nobody starts
rm -rf ray/jars ray/rllib ray/tests ray/*/tests pyarrow/include pyarrow/src pyarrow/tests pandas/tests \
  numpy/tests numpy/*/tests numpy/_core/include sklearn/tests sklearn/*/tests scipy/*/tests \
  pyarrow/libarrow_flight.so.* pyarrow/libarrow_flight_sql* pyarrow/libarrow_python_flight.so.* pyarrow/_flight*.so
find . \( -name '*.js.map' -o -name '*.css.map' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.a' \) -delete

# raydock's own code lies outside of PYTHONPATH, which belongs to users' code; .pth files that lie there count, too
echo 'import site; site.addsitedir("/opt/raydock")' >raydock.pth

# without them `import ray.serve, ray.data` takes 3.7 s instead of 0.9; not by time: builds may reset times.
# A few files of packages are for other Pythons and do not compile: that is theirs to be.
python -m compileall -q -j 0 --invalidation-mode unchecked-hash . >/dev/null || true
