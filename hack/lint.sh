#!/usr/bin/env bash
# Every check of `make lint`, or those that are named: hack/lint.sh [format ruff types layers dead yaml shell typos chart generated]
# Tools come from requirements/dev.txt; helm is the embedded node's, or the one on PATH.
set -uo pipefail

cd "$(dirname "$0")/.." || exit 1
cache=${RAYDOCK_CACHE:-$HOME/.cache/raydock}
export PATH=$cache/venv/bin:$PATH:$cache/bin PYTHONPATH=operator:.

format() { ruff format --check .; }
ruff_check() { ruff check .; }
types() { mypy; }
layers() { lint-imports --no-cache; }
# the ignored names are parameters that pydantic-settings passes by name
dead() { vulture operator/raydock hack --min-confidence 80 --ignore-names dotenv_settings,file_secret_settings,model_info; }
yaml() { git ls-files -z '*.yaml' '*.yml' ':!charts/*/templates/*' ':!charts/*/files/*' | xargs -0 yamllint --strict; }
shell() { git ls-files -z '*.sh' '.ci/run' | xargs -0 shellcheck; }
spelling() { git ls-files -z | xargs -0 typos --force-exclude; }
chart() { helm lint --strict --quiet charts/raydock charts/raydock-crds; }

generated() { # `make crds` changes nothing: what is generated is committed
  local before after
  before=$(generated_files | xargs -0 sha256sum)
  hack/generate.sh || return 1
  after=$(generated_files | xargs -0 sha256sum)
  diff <(printf '%s' "$before") <(printf '%s' "$after") || {
    echo "generated files were stale: look at the diff and commit it"
    return 1
  }
}

generated_files() { find crds docs/reference charts -type f -print0 | sort -z; }

declare -A checks=(
  [format]=format [ruff]=ruff_check [types]=types [layers]=layers [dead]=dead [yaml]=yaml [shell]=shell
  [typos]=spelling [chart]=chart [generated]=generated
)
wanted=("$@")
((${#wanted[@]})) || wanted=(format ruff layers dead yaml shell typos chart generated types)

broken=()
for name in "${wanted[@]}"; do
  check=${checks[$name]:-}
  if [[ -z $check ]]; then
    echo "no such check: $name (there are: ${!checks[*]})" >&2
    exit 2
  fi
  if said=$("$check" 2>&1); then
    echo "ok    $name"
  else
    printf 'FAIL  %s\n%s\n' "$name" "$said"
    broken+=("$name")
  fi
done
((${#broken[@]} == 0))
