# Needs only make and Python 3.11 or newer; everything else comes into .venv, pinned by the locks.
.POSIX:

PYTHON ?= python3
KEEP ?=
LOCK ?=
RELEASE ?= release
BASE ?=
BUILD ?=
SOURCE ?=
REGISTRY ?= dev.local
TAG ?= local
TARGET ?= intake render render-demo minio
STORY ?=

ENV = .venv
BIN = $(ENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check
INSTALL = $(PIP) install --no-deps --require-hashes --requirement
COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --universal --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock" $(LOCK)

help:
	@echo "make demo     draw three prompts, from a bucket to completion events, into demo/"
	@echo "              KEEP=1 leaves the servers running for prompts of your own"
	@echo "make test     run every test (CI=true: a missing test server is a failure, no skip)"
	@echo "make chaos    run the crash, fault, delivery and fuzz harnesses at full size (up to 100 minutes)"
	@echo "make check    lint, formatting, types, import rules, module sizes"
	@echo "make image    build the images; docs/images.md says how else"
	@echo "make e2e      the stories on the cluster in KUBECONFIG, then figures; STORY=drain tells one, KEEP=1 leaves Darkroom there"
	@echo "make manifests  render every overlay, validate it strictly, and check that its numbers fit"
	@echo "make release  render each overlay into release/<overlay>.yaml"
	@echo "make format   put the code into shape"
	@echo "make docs     write the schemas and the tables of README.md and docs/events.md again from the code"
	@echo "make lock     pin again what pyproject.toml asks for; LOCK=--upgrade takes what is new"
	@echo "make clean    remove what these commands made"
	@echo "All of them take PYTHON=..., the Python to build $(ENV) with."

demo: environment-demo
	@keep='$(KEEP)'; $(BIN)/darkroom demo $${keep:+--keep}

test: check servers kustomize
	$(BIN)/python -m pytest --numprocesses=logical --maxprocesses=4 --dist=loadfile --no-loadscope-reorder \
		--ignore=tests/checks --ignore=tests/e2e

chaos: environment-test servers
	DARKROOM_CHAOS=full $(BIN)/python -m pytest -s -v -m chaos --ignore=tests/e2e

servers:
	@if command -v go >/dev/null; then bash tests/servers/install_minio.sh; fi
	@if command -v java >/dev/null && command -v mvn >/dev/null; then bash tests/servers/install_kafka.sh; fi

manifests: environment-test kustomize-there
	$(BIN)/python -m pytest tests/manifests

# One file for each overlay, for `kubectl apply --filename`.
release: kustomize-there
	@mkdir -p $(RELEASE)
	@for overlay in knative/overlays/*/; do \
		file=$(RELEASE)/$$(basename $$overlay).yaml && \
		.cache/bin/kustomize build --output $$file $$overlay && echo $$file || exit 1; \
	done

# Without Go, the one in kubectl.
kustomize:
	@if command -v go >/dev/null; then \
		! grep -qsx 'exec kubectl .*' .cache/bin/kustomize || rm .cache/bin/kustomize; \
		bash tests/manifests/install_kustomize.sh; \
	elif ! test -x .cache/bin/kustomize && command -v kubectl >/dev/null; then \
		mkdir -p .cache/bin && \
		printf '%s\n' '#!/bin/sh' '# kustomize build, by kubectl' 'shift' 'exec kubectl kustomize "$$@"' >.cache/bin/kustomize && \
		chmod 755 .cache/bin/kustomize; \
	fi

kustomize-there: kustomize
	@test -x .cache/bin/kustomize || { echo "Manifests are rendered by kustomize: put Go or kubectl on the PATH." >&2; exit 1; }

# docs/images.md says what BASE, BUILD, SOURCE and BUILDER are for.
image:
	@case ' $(TARGET) ' in *' minio '*) bash tests/servers/install_minio.sh;; esac
	@builder=$$(sh tests/images/builder.sh) && for target in $(TARGET); do \
		BUILDAH_LAYERS=true $$builder build --target $$target --tag $(REGISTRY)/darkroom-$$target:$(TAG) \
			$(BASE:%=--build-arg BASE=%) --build-arg SOURCE=$(SOURCE) \
			--build-arg VERSION=$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' function/__init__.py) \
			--build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null) $(BUILD) . || exit; \
	done

e2e: environment-test kustomize-there
	@$(MAKE) image TARGET="intake render-demo minio"
	KEEP='$(KEEP)' $(BIN)/python -m pytest -s -v -m e2e -o faulthandler_timeout=1800 tests/e2e $(STORY:%=-k %)

check: environment-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest --quiet tests/checks

format: environment-test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: environment-test
	$(BIN)/python -m events.contract
	$(BIN)/python -m tests.docs.tables
	$(BIN)/python -m tests.contract.page
	$(BIN)/python -m tests.doctor.table

lock: environment-test
	$(COMPILE) --group build --extra render --extra demo --output-file requirements/demo.lock
	$(COMPILE) --extra doctor --constraint requirements/demo.lock --output-file requirements/intake.lock
	$(COMPILE) --group test --extra render --extra demo --extra doctor --constraint requirements/demo.lock \
		--output-file requirements/test.lock

clean:
	rm -rf $(ENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis demo release

# The environment keeps a copy of what it was built from, so that content decides and no file date.
environment-demo: python
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(ENV)
	@cmp -s requirements/demo.lock $(ENV)/demo.lock || { \
		echo "Building $(ENV); the first time on Linux 3.1 GB come down and take 6 GB: torch brings CUDA's libraries." && \
		$(INSTALL) requirements/demo.lock && \
		cp requirements/demo.lock $(ENV)/demo.lock; }
	@cmp -s pyproject.toml $(ENV)/pyproject.toml || { \
		$(PIP) install --quiet --no-deps --no-build-isolation --editable . && \
		cp pyproject.toml $(ENV)/pyproject.toml; }

environment-test: environment-demo
	@cmp -s requirements/test.lock $(ENV)/test.lock || { \
		$(INSTALL) requirements/test.lock && \
		$(PIP) check && \
		cp requirements/test.lock $(ENV)/test.lock; }

python:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { \
		echo "Darkroom needs Python 3.11 or newer, and '$(PYTHON)' is none: name one, as in 'make demo PYTHON=python3.12'." >&2; \
		exit 1; }

.PHONY: help demo test chaos check servers manifests release kustomize kustomize-there image e2e format docs lock clean environment-demo environment-test python
