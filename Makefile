# Everything runs in .venv, which is created from the lock files only.
.DEFAULT_GOAL := help
.PHONY: help install tools demo example worker stop test check docs format chaos bench histories reference lock

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
RUNTIME := $(VENV)/.runtime
DEVELOP := $(VENV)/.develop
# Keep bytecode, even if the shell turns it off: otherwise each process compiles all code when it starts.
export PYTHONDONTWRITEBYTECODE :=
# Tests write to a folder in memory if one has 4 GB left, because they write many temporary files.
MEMORY := $(shell df -Pk /dev/shm 2>/dev/null | awk '$$6 == "/dev/shm" && $$4 > 4000000 {print $$6}')
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes

help: ## show this help
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done

install: $(RUNTIME) ## install Plangate's dependencies into .venv

tools: $(RUNTIME) ## install the libraries of the tools for Stripe, GitHub, Jira and MCP servers
	@$(PIP) -r requirements-tools.lock

demo: $(RUNTIME) ## run an end-to-end demo in about ten seconds (ARGS=--interactive asks you to decide)
	@$(RUN) starter.py demo $(ARGS)

example: $(DEVELOP) ## run the refund example: a refund, a ticket and an email, held once (under a minute)
	@$(RUN) examples/refund-desk/scenario.py

worker: $(RUNTIME) ## run a worker with an embedded Temporal server, and the inbox
	@exec $(RUN) worker.py --dev

stop: $(RUNTIME) ## stop the embedded Temporal server
	@$(RUN) -m plangate.temporal.dev_server stop

test: $(DEVELOP) ## run all tests in five processes (ARGS=… runs the named tests in one)
	@$(if $(MEMORY),TMPDIR=$(MEMORY)) $(RUN) -m pytest $(or $(ARGS),--numprocesses 5 --dist loadscope --no-loadscope-reorder)

check: $(DEVELOP) ## check format, lint, types and layering
	@$(VENV)/bin/ruff format --check --quiet . || { echo "Run 'make format' first."; exit 1; }
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/mypy --no-error-summary
	@out=$$($(VENV)/bin/lint-imports 2>&1) || { echo "$$out"; exit 1; }
	@echo "Format, lint, types and layering are correct."

docs: $(DEVELOP) ## build the documentation into var/site; fails on a dead link
	@$(VENV)/bin/mkdocs build --strict # not --quiet: warnings that are not logged are not counted
	@echo "The documentation is in var/site/index.html."

format: $(DEVELOP) ## format the code
	@$(VENV)/bin/ruff check --quiet --fix . ; $(VENV)/bin/ruff format --quiet .

chaos: $(DEVELOP) ## kill, flood and fuzz for some minutes, then print a table
	@$(RUN) -m chaos $(ARGS)

bench: $(DEVELOP) ## compare with a bare Temporal workflow, and rewrite the table of bench/README.md
	@$(RUN) -m bench $(ARGS)

histories: $(DEVELOP) ## record the golden histories of tests/replay again
	@$(RUN) -m tests.replay.record

reference: $(DEVELOP) ## rewrite the generated lists of docs/policy.md
	@$(RUN) -m plangate.policy.reference docs/policy.md > docs/policy.md.new
	@mv docs/policy.md.new docs/policy.md

lock: $(DEVELOP) ## update the lock files
	@$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-strip-extras --upgrade --extra worker pyproject.toml -o requirements.lock
	@$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-strip-extras --upgrade -c requirements.lock --extra tools pyproject.toml -o requirements-tools.lock
	@$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-strip-extras --upgrade -c requirements-tools.lock --extra dev pyproject.toml -o requirements-dev.lock

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "Plangate needs Python 3.11 or newer; $(PYTHON) is older or missing. Specify a newer one: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Creating .venv …"
	@$(PYTHON) -m venv $(VENV)

$(RUNTIME): requirements.lock | $(VENV)/bin/python
	@echo "Installing Plangate's dependencies (one to two minutes) …"
	@$(PIP) -r requirements.lock
	@touch $@

$(DEVELOP): requirements-dev.lock | $(RUNTIME)
	@echo "Installing the dependencies of the tests …"
	@$(PIP) -r requirements-dev.lock
	@touch $@
