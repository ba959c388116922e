# Everything a newcomer needs is `make run` and `make test`; `make help` lists the rest.
.DEFAULT_GOAL := help
SHELL := /bin/sh
.DELETE_ON_ERROR:

# The Python that .venv is made of: the first one that is new enough. `make PYTHON=python3.12 …` chooses another.
# Its real path, because `python3` may be the one in .venv itself.
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3 python3.13 python3.12 python3.11 python3.14)
REAL_PATH := import os, sys; sys.exit(1) if sys.version_info < (3, 11) else print(os.path.realpath(sys.executable))
BASE_PYTHON := $(shell for one in $(CANDIDATES); do "$$one" -c '$(REAL_PATH)' 2>/dev/null && break; done)

# Which cluster `make run` uses: its own, or `current` for your kubeconfig's current context (it asks first).
CLUSTER ?= own
# How many processes run tests.
WORKERS ?= logical
# Further arguments for pytest, for example PYTEST_ARGS='-k workqueue'.
PYTEST_ARGS ?=
# Further arguments for the benchmarks: BENCH_ARGS='--quick', BENCH_ARGS='--peer /path/to/ansible-operator'.
BENCH_ARGS ?=
# What `make image` makes, of what, and with what; empty: the image that config/operator names, the Dockerfile's base, and
# the first of docker, podman and buildah that works. BASE_IMAGE=mmdebstrap:trixie makes the base here, where none can be
# pulled.
IMAGE ?=
BASE_IMAGE ?=
# The ansible-core of the image, for example 2.18; empty: the newest. The image's tag says it.
CORE ?=
BUILDER ?=
# Where the image is saved as a docker-archive, too.
IMAGE_ARCHIVE ?=
FRESH ?=

BIN := .venv/bin
# ansible-lint and molecule start other programs of the environment by name.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
# A cluster that happens to be configured must never be used by accident.
ISOLATED := env -u KUBECONFIG -u K8S_AUTH_KUBECONFIG -u K8S_AUTH_CONTEXT -u K8S_AUTH_HOST -u K8S_AUTH_API_KEY
# COVERAGE=1 counts what the unit and integration tests reach, branches, too; `make coverage` tells it. Not what the
# tests of the engines do: each of their many processes would take twice as long, and runs of the integration tests
# reach the same code.
COVERAGE ?=
DISTRIBUTED = -n $(WORKERS) --maxprocesses=4 --dist worksteal
UNCOUNTED_PYTEST = $(BIN)/python -m pytest $(DISTRIBUTED)
PYTEST = $(BIN)/python $(if $(COVERAGE),-m coverage run) -m pytest $(DISTRIBUTED)
# A file's tests share namespaces and operators on their worker's control plane: one worker runs them all, in a row.
BY_FILE = --dist loadfile

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: python
python: ## Say whether a Python is there that is new enough
	@if [ -z "$(BASE_PYTHON)" ]; then \
		echo "setup: error: Python 3.11 or newer is needed; found:" >&2; \
		for one in $(CANDIDATES); do echo "  $$one: $$("$$one" --version 2>&1 | head -n 1)" >&2; done; \
		echo "Install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; fi

.PHONY: setup
setup: python ## Make .venv and get the Ansible collections (quick when all is there)
	@"$(BASE_PYTHON)" -m tools.setup_venv
	@$(BIN)/python -m tools.get_collections

# Packages and programs at the same time: each takes minutes the first time.
.PHONY: control-plane
control-plane: python ## Make .venv, and get etcd and kube-apiserver
	@"$(BASE_PYTHON)" -m tools.prepare etcd,kube-apiserver

.PHONY: binaries
binaries: python ## Make .venv, and get all programs that the tests need but those of a node
	@"$(BASE_PYTHON)" -m tools.prepare etcd,kube-apiserver kube-controller-manager kubectl
	@$(BIN)/python -m tests.checkers

.PHONY: run
run: $(if $(filter current,$(CLUSTER)),setup,control-plane) ## Start control plane and operator in the foreground; Ctrl-C stops everything (CLUSTER=current: your own cluster)
	@ANSIBLE_GATHERING=$${ANSIBLE_GATHERING:-explicit} exec $(BIN)/python -m reconcile_devcluster run --die-with-parent --cluster $(CLUSTER)

# The tiers of the tests, each with what it needs. `exhaustive` marks what `make test-all` adds.
.PHONY: test
test: check unit engine integration ## Run the static checks and the tests, against a real API server (10 minutes)

.PHONY: unit
unit: setup ## Run the unit tests: no Ansible, no API server, nothing of this machine (half a minute)
	@$(ISOLATED) $(PYTEST) tests/unit $(PYTEST_ARGS)

.PHONY: engine
engine: setup ## Run the tests of both engines: real Ansible, no API server
	@$(ISOLATED) $(UNCOUNTED_PYTEST) tests/engine -m "not exhaustive and not matrix" $(PYTEST_ARGS)

.PHONY: integration
integration: binaries ## Run the tests against a real API server, a control plane for each worker
	@$(ISOLATED) $(PYTEST) $(BY_FILE) tests/integration -m "not exhaustive and not matrix" $(PYTEST_ARGS)

.PHONY: exhaustive
exhaustive: binaries ## Run what make test leaves out: the cores of the images, the benchmarks, and what takes long
	@$(ISOLATED) $(PYTEST) $(BY_FILE) tests/engine tests/integration -m "exhaustive and not matrix" $(PYTEST_ARGS)

.PHONY: coverage
coverage: setup ## Tell what the tests run with COVERAGE=1 reached, and fail where it is less than it was
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage report

.PHONY: unit-as-stranger
unit-as-stranger: setup ## Run the unit tests in a copy, as another user, in an empty environment (root)
	@$(BIN)/python -m tools.unit_as_stranger -n $(WORKERS) $(PYTEST_ARGS)

.PHONY: test-all
test-all: ## Run make test with coverage, and what takes longer: other cores, molecule, benchmarks, a node (45 minutes)
	@rm -f .coverage .coverage.*
	@$(MAKE) --no-print-directory test COVERAGE=1
	@$(MAKE) --no-print-directory coverage
	@$(MAKE) --no-print-directory exhaustive collection-check molecule molecule-cluster
	@$(MAKE) --no-print-directory e2e

.PHONY: node
node: setup ## Get what a cluster with a real node needs: packages (root), programs, the image
	@$(BIN)/python -m tools.system_packages node image
	@$(BIN)/python -m reconcile_devcluster fetch --controllers --node --kubectl
	@$(MAKE) --no-print-directory image BASE_IMAGE=$(or $(BASE_IMAGE),mmdebstrap:trixie)

.PHONY: e2e
e2e: $(if $(E2E_KUBECONFIG),setup,node) ## Test the operator in a cluster with a real node, made here (E2E_KUBECONFIG=FILE: in that cluster, see docs/testing.md)
	@$(ISOLATED) $(BIN)/python -m pytest tests/e2e --durations=15 $(PYTEST_ARGS)

.PHONY: molecule-cluster
molecule-cluster: $(if $(MOLECULE_KUBECONFIG),setup,node) ## Install, upgrade, roll back and remove the operator in a cluster, by a molecule scenario
	@$(ISOLATED) molecule test --scenario-name cluster

.PHONY: test-matrix
test-matrix: setup ## Run the tests of both engines on every supported pair of Python and ansible-core (PAIRS='3.13-2.20': that one)
	@$(ISOLATED) $(BIN)/python -m tools.matrix $(PAIRS)

.PHONY: check
check: setup ## Run the static checks alone: format, lint, types, layers, Ansible
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/yamllint --strict .
	$(ISOLATED) $(BIN)/ansible-lint --offline

.PHONY: reliability
reliability: binaries ## Run the tests of what is promised under faults, load and attack, and print what peers promise beside it
	@$(ISOLATED) $(BIN)/python -m tools.reliability -n $(WORKERS) $(PYTEST_ARGS)

.PHONY: collection-check
collection-check: setup ## Check the collection reconcile_runner.util as Ansible Galaxy does when it is published
	@$(BIN)/python -m tools.collection

.PHONY: molecule
molecule: binaries ## Run the molecule scenarios alone, those of the examples among them
	@export ANSIBLE_COLLECTIONS_PATH="$(CURDIR)/.collections:$(CURDIR)/collections"; \
	for project in . examples/*/; do (cd "$$project" && $(ISOLATED) molecule test) || exit 1; done

.PHONY: bench
bench: binaries ## Measure the engines side by side (BENCH_ARGS='--peer PATH': another operator, too)
	@$(ISOLATED) $(BIN)/python -m tools.bench compare $(BENCH_ARGS)

.PHONY: bench-scale
bench-scale: binaries ## Measure how costs grow, up to 10,000 objects of each kind
	@$(ISOLATED) $(BIN)/python -m tools.bench scale $(BENCH_ARGS)

.PHONY: manifests
manifests: setup ## Make the operator's rights from watches.yaml, and dist/install.yaml and the OLM bundle from config/
	@$(BIN)/python -m reconcile_runner rbac --watches-file watches.yaml >config/rbac/role.yaml.new
	@mv config/rbac/role.yaml.new config/rbac/role.yaml
	@$(BIN)/python -m reconcile_runner rbac --leader-election-id "$$($(BIN)/python -m tools.operatorname)" >config/rbac/leader_election_role.yaml.new
	@mv config/rbac/leader_election_role.yaml.new config/rbac/leader_election_role.yaml
	@$(BIN)/python -m tools.manifests

.PHONY: pictures
pictures: setup ## Draw the packages and their imports from the code, and the figures of docs/benchmarks/benchmark.json
	@$(BIN)/python -m tools.structure
	@$(BIN)/python -m tools.bench show docs/benchmarks/benchmark.json --picture docs/benchmarks/benchmark.svg >/dev/null

.PHONY: changed-matrix
changed-matrix: binaries ## Make the table of docs/reference/second-run.md: what second runs call changed
	@$(ISOLATED) WRITE_CHANGED_MATRIX=1 $(PYTEST) -n 0 tests/integration/test_changed_matrix.py $(PYTEST_ARGS)

.PHONY: log-lines
log-lines: setup ## Make the tables of log lines in docs/reference/logs.md from the code
	@$(BIN)/python -m tools.loglines

.PHONY: status-table
status-table: binaries ## Make the table in docs/reference/status.md of what kstatus and kubectl wait conclude, from an operator at work
	@WRITE_STATUS_TABLE=1 $(ISOLATED) $(BIN)/python -m pytest -q tests/integration/test_kstatus.py

.PHONY: image
image: python ## Build the image with docker, podman or buildah (IMAGE=, BASE_IMAGE=, CORE=2.18, BUILDER=, IMAGE_ARCHIVE=FILE, FRESH=1)
	@"$(BASE_PYTHON)" -m tools.image build $(if $(IMAGE),--image "$(IMAGE)") --base-image "$(BASE_IMAGE)" --builder "$(BUILDER)" \
		--core "$(CORE)" --archive "$(IMAGE_ARCHIVE)" $(if $(FRESH),--fresh)

.PHONY: image-report
image-report: python ## Print what is in the image: packages (CycloneDX), and what is known against them
	@"$(BASE_PYTHON)" -m tools.image report $(if $(IMAGE),--image "$(IMAGE)") --builder "$(BUILDER)"

.PHONY: release
release: setup ## Build what a release publishes, twice, and write digests and provenance to dist/release
	@$(BIN)/python -m tools.release

.PHONY: audit
audit: python ## Ask for known vulnerabilities of what is installed, and fail if there are any or it could not look (AUDIT_ARGS=--unreachable=warn)
	@"$(BASE_PYTHON)" -m tools.audit $(AUDIT_ARGS)

.PHONY: lock
lock: python ## Renew the hashed requirement files from requirements/*.in (LOCK_ARGS=--no-upgrade: only what has to change)
	@"$(BASE_PYTHON)" -m tools.lock $(LOCK_ARGS)

.PHONY: down
down: ## Stop the control plane in .devcluster, if one runs
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m reconcile_devcluster down; fi

.PHONY: clean
clean: down ## Remove everything that was made here (the cache of binaries in ~/.cache stays)
	rm -rf .coverage .coverage.* .venv .venvs .collections .devcluster .ansible .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
