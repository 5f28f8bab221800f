# Rialto: `make` lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8080
DATA_DIR ?= .rialto
KAFKA_PORT ?= 9092

PACKAGES := libs/common services/gateway services/ledger services/fraud services/compliance services/chain-bridge sdk/python cli
# uv brings its own certificates; behind a proxy with one of its own, the system's are the right ones.
UV_INSTALL = install() { $(BIN)/uv pip install --quiet --python $(BIN)/python "$$@"; }; \
	retry() { install "$$@" 2>/dev/null || install --system-certs "$$@"; }; retry
NODE_FOLDERS := cli/rialto_cli/embedded/node
DEV_NODE_FOLDERS := services/chain-bridge/contracts libs/common/tests/asyncapi

.PHONY: help install install-dev kafka-jars demo up kafka torture test check format sim contracts lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/uv: requirements-install.lock
	@echo "· making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Rialto needs Python 3.11 or newer; name one: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing; on Debian: apt install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-install.lock
	@touch $@

$(VENV)/.installed: $(BIN)/uv requirements.lock $(addsuffix /pyproject.toml,$(PACKAGES)) $(addsuffix /package-lock.json,$(NODE_FOLDERS))
	@echo "· installing the libraries"
	@$(UV_INSTALL) --require-hashes -r requirements.lock
	@echo "· installing Rialto"
	@$(UV_INSTALL) --no-deps --no-build-isolation $(addprefix -e ./,$(PACKAGES))
	@echo "· installing the EVM node"
	@$(BIN)/python -m rialto_cli.embedded.node_tools install
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock $(addsuffix /package-lock.json,$(DEV_NODE_FOLDERS)) \
		deploy/kafka/pom.xml deploy/kafka/SHA256SUMS
	@echo "· installing the test tools"
	@$(UV_INSTALL) --require-hashes -r requirements-dev.lock
	@echo "· installing the Solidity compiler and AsyncAPI's schemas"
	@$(BIN)/python -m rialto_cli.embedded.node_tools install $(DEV_NODE_FOLDERS)
	@if reason=$$($(BIN)/python -m rialto_cli.embedded.kafka_jars check); then \
		echo "· installing Apache Kafka"; $(BIN)/python -m rialto_cli.embedded.kafka_jars install; \
	else \
		echo "!! TESTS OF KAFKA WILL BE SKIPPED: $$reason" >&2; \
	fi
	@touch $@

install: $(VENV)/.installed ## everything Rialto needs, into .venv
install-dev: $(VENV)/.installed-dev ## also what tests and checks need

kafka-jars: install ## fetch and verify the Kafka broker (needs a JDK 17 and Maven)
	@$(BIN)/python -m rialto_cli.embedded.kafka_jars install

demo: install ## start Rialto, pay a sample of payments, report; stays up until Ctrl-C (BUS=kafka: on Kafka)
	@$(BIN)/rialto demo --data-dir $(DATA_DIR) --port $(PORT) $(addprefix --bus ,$(BUS))

up: install ## start Rialto without the sample (BUS=kafka: on Kafka)
	@$(BIN)/rialto up --data-dir $(DATA_DIR) --port $(PORT) $(addprefix --bus ,$(BUS))

kafka: install ## start Apache Kafka alone (needs a JDK 17 and Maven), and say the RIALTO_BUS_URL
	@$(BIN)/rialto kafka --data-dir $(DATA_DIR) --port $(KAFKA_PORT)

torture: install ## break a platform of its own for a while, and audit it (MINUTES=2 SEED=… BUS=postgres|kafka)
	@$(BIN)/rialto torture $(addprefix --minutes ,$(MINUTES)) $(addprefix --seed ,$(SEED)) $(addprefix --bus ,$(BUS))

test: install-dev ## every test
	@$(BIN)/python -m pytest

check: install-dev ## lint, types, architecture
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@for part in $(PACKAGES) tests "bench conftest.py" deploy; do \
		echo "· mypy --strict $$part"; $(BIN)/mypy $$part || exit 1; \
	done
	@$(BIN)/lint-imports

format: install-dev ## rewrite the code in the house format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

sim: install ## simulate a thousand histories of payments under faults, in one process
	@$(BIN)/rialto sim --seeds 1000

contracts: install ## compile the Solidity contracts (reproducible; the artefacts are committed)
	@services/chain-bridge/contracts/build.sh

bench-%: install-dev ## measure: bench-pipeline, -ledger, -shards, -bus, -gateway, -listing, -webhooks; writes bench/results/NAME.json (ARGS=…)
	@$(BIN)/python -m bench.$* $(ARGS)

lock: $(BIN)/uv ## pin the newest versions that fit, with hashes
	@for name in requirements-install requirements requirements-dev; do \
		echo "· $$name.lock"; \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
			--no-annotate --upgrade $$name.in -o $$name.lock || exit 1; \
	done

clean: ## remove .venv, caches and the demo's data
	@rm -rf $(VENV) $(DATA_DIR) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
