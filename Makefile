# make demo: see it work · make test: lint, types, layers and all tests · both set themselves up
.PHONY: demo setup test test-full test-like-azure test-node-containers lint types layers unit lock format clean
BIN := .venv/bin

demo: setup
	$(BIN)/edgeyard demo

setup: .venv/.ready

.venv/.ready: requirements.lock pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" sh scripts/setup.sh

test: lint types layers unit

# What make test cannot do with Python alone, or would take it too long: the acceptance tests as an unprivileged user,
# without port 443; the tools against a hub as slow as Azure's; Azure's SDKs for Node.js; the modules' images in an engine.
# The slow hub is mostly waited for, so the last two go on beside it; each of both tells what it did once it is over.
test-full: setup
	sh scripts/test-unprivileged.sh
	$(MAKE) --no-print-directory --jobs 2 --output-sync=target test-like-azure test-node-containers

test-like-azure:
	sh scripts/test-like-azure.sh

test-node-containers:
	sh scripts/test-node.sh
	sh scripts/test-containers.sh

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

layers: setup
	$(BIN)/lint-imports

unit: setup
	sh scripts/pytest-again.sh -n auto --maxprocesses 4 --dist loadfile

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Needs uv. The locks name no index, so that they install from whichever one pip or uv is set to.
LOCK := uv pip compile --quiet --generate-hashes --no-header --no-emit-index-url --python-version 3.11
lock:
	$(LOCK) --universal --group dev pyproject.toml -o requirements.lock
	$(LOCK) --universal --constraint requirements.lock --group modules -o modules/requirements.lock
	$(LOCK) --python-platform x86_64-manylinux_2_28 --constraint requirements.lock --group modules-gpu \
		-o modules/requirements-gpu.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis *.egg-info
