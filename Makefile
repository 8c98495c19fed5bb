# Thin on purpose: each target calls a script or a module. The first use of one brings what it needs, later ones are quick.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test unit integration e2e chaos lint lock venv helm crds chart changelog bench \
	node-up node-down node-status images test-images kubeconfig env kind-up kind-down

CACHE := $(or $(RAYDOCK_CACHE),$(HOME)/.cache/raydock)
NODE := python3 -m hack.node
PYTEST := PYTHONPATH=operator:. PATH="$(CACHE)/venv/bin:$(CACHE)/bin:$$PATH" $(CACHE)/venv/bin/python -m pytest

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: ## a Kubernetes, raydock, a model behind a URL and a batch job: all real, from a bare machine
	@hack/demo.sh

test: unit integration e2e ## every test (ARGS: more for pytest)

unit: venv helm ## tests without a cluster (ARGS: more for pytest)
	@$(PYTEST) -n auto --maxprocesses 4 tests/unit tests/golden tests/house $(ARGS)

integration: venv ## tests against a real API server and etcd, on loopback; they wait more than they work
	@$(PYTEST) -n 4 tests/integration $(ARGS)

e2e: venv ## tests on the embedded node, which they bring up
	@$(PYTEST) tests/e2e $(ARGS)

chaos: venv ## batch jobs, killed and disturbed at random; each row checked (RUNS: 20, SEED: 0)
	@PYTHONPATH=operator:. PATH="$(CACHE)/venv/bin:$(CACHE)/bin:$$PATH" $(CACHE)/venv/bin/python -m tests.chaos \
		--runs $(or $(RUNS),20) --seed $(or $(SEED),0) $(ARGS)

lint: venv helm ## every static check (ARGS: only those named)
	@hack/lint.sh $(ARGS)

crds: venv ## write all that is generated: CRDs, values schemas, reference pages
	@hack/generate.sh

lock: ## resolve requirements/*.txt from pyproject.toml again (ARGS: --upgrade, --upgrade-package NAME)
	@$(NODE) lock $(ARGS)

chart: crds helm ## package the charts into dist/
	@$(CACHE)/bin/helm package --destination dist charts/raydock charts/raydock-crds

changelog: venv ## build CHANGELOG.md from changelog.d/ (ARGS: --version X.Y.Z, or --draft)
	@$(CACHE)/venv/bin/towncrier build $(ARGS)

bench: venv ## every benchmark; each prints ratios taken in one run
	@benchmarks/run.sh

node-up: ## the embedded node: up, or found up
	@$(NODE) up

node-down: ## end the embedded node (ARGS: --clean forgets objects and volumes, --purge images and keys too)
	@$(NODE) down $(ARGS)

node-status: ## is it up, what runs in it
	@$(NODE) status

test-images: ## an S3 server into the node, for tests; print its name
	@$(NODE) test-images

images: ## build the images of the working tree into the node; print their names
	@$(NODE) images

kubeconfig: ## print the path of the node's kubeconfig
	@$(NODE) kubeconfig

env: ## print shell lines for kubectl and helm: eval "$(make -s env)"
	@$(NODE) env

kind-up: ## the same in Docker: a kind cluster with KubeRay, Envoy Gateway and raydock's images
	@hack/kind.sh up

kind-down: ## delete the kind cluster
	@hack/kind.sh down

venv: # the virtual environment of lint and tests
	@$(NODE) venv

helm: # charts are rendered by lint and unit tests
	@$(NODE) build helm
