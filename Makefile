# `make` prints what there is. Set-up (virtual environment, services) is part of `up`, `test` and `check`, is cached,
# and is repeated only when its inputs change.

MAKEFLAGS += --no-print-directory
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v "$$p"; break; }; done)
NATIVE = $(if $(PYTHON),$(PYTHON),$(error Python 3.11 or newer is needed as python3, or name one: make PYTHON=/path/to/python)) -m deploy.native
# Tests are run on services of their own.
ON_SERVICES = RUN_DIR=.run/$@ PORT_OFFSET=$(1) $(NATIVE) services run .venv/bin/python -m pytest $(2) $(ARGS)
# Of all tests ARGS may select none of a part.
NONE_IS_FINE = $(if $(ARGS),|| [ $$? -eq 5 ])
# Two halves that take about as long, side by side, since most of a test is waiting.
SERVING = tests/unit tests/contract tests/system \
	$(wildcard $(patsubst %,tests/integration/test_%*.py,rest ws attacks udf described documented ratelimit))
KEEPING = tests/integration tests/browser $(addprefix --ignore=,$(SERVING))
# Whole systems of their own, two side by side.
FAULTS_TESTS = .venv/bin/python -m pytest tests/chaos -n 2 --dist loadfile $(ARGS) $(NONE_IS_FINE)

.PHONY: help up down ps logs restart scale wipe test test-serving test-keeping chaos screenshots check requirements

help: ## print this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

up: ## start everything and wait until it serves; STACK=native|docker, PORT_OFFSET=100, EXCHANGE=..., PAIRS=...
	@$(NATIVE) up

down: ## stop everything; data stays
	@$(NATIVE) down

ps: ## show what runs, and whether it works
	@$(NATIVE) ps

logs: ## show logs, and follow them on a terminal; P=ingest for one program
	@$(NATIVE) logs $(P)

restart: ## restart one program, or a pool: P=workers-persist
	@$(if $(P),$(NATIVE) restart $(P),echo 'make: say which program: make restart P=ingest' >&2; exit 1)

scale: ## run so many workers per queue: WORKERS=3
	@$(NATIVE) scale

wipe: ## stop everything and delete its data; YES=1 skips the question
	@$(NATIVE) wipe

test: ## run all tests on real services; TESTS=tests/unit selects, ARGS='-k candle' goes to pytest
	@$(NATIVE) setup test
	@$(if $(TESTS),$(call ON_SERVICES,5000,$(TESTS)),$(MAKE) -j2 --output-sync=target test-serving test-keeping)
	@$(if $(TESTS),,$(FAULTS_TESTS))

test-serving:
	@$(call ON_SERVICES,5000,$(SERVING)) $(NONE_IS_FINE)

test-keeping:
	@$(call ON_SERVICES,5600,$(KEEPING)) $(NONE_IS_FINE)

chaos: ## break everything while it runs, and check that nothing is lost; SEEDS=20, SEED=7 or FAULTS=kill,cut:ws/*
	@$(NATIVE) setup test
	@.venv/bin/python -m tests.chaos.run $(if $(FAULTS),--faults '$(FAULTS)',$(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),5))) $(ARGS)

screenshots: ## take the pictures in docs/img anew
	@$(NATIVE) setup test
	@.venv/bin/python -m tests.browser.screenshots

check: ## lint, formatting, types, layers
	@$(NATIVE) setup check
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/python -m pytest -q tests/unit/test_layers.py

requirements: ## pin requirements/*.in anew into *.txt, with hashes
	@$(NATIVE) setup check
	@cd requirements && for file in *.in; do echo "  $$file"; ../.venv/bin/uv pip compile -q --universal --generate-hashes \
		--no-emit-index-url --no-header "$$file" -o "$${file%.in}.txt"; done
