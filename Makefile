# `make demo` and `make test` need Python 3.11 or newer, and set up all the rest in .venv.
# stdout belongs to what was asked for: everything else goes to stderr.

PYTHON ?=
VENV := .venv
COUNT ?= 300
SEED ?= 1
SEEDS ?= 1000000
SECONDS ?= 60
SCHEDULES ?= 1000
CHAOS_SEEDS ?= 10000
SHARE ?= 1
CONCURRENCY ?= 64
AGENT ?= examples/desk/agent.http.yaml
TASKS := .cache/desk-$(COUNT)-$(SEED).jsonl
PIP := $(VENV)/bin/python -m pip --quiet --quiet --disable-pip-version-check --no-input
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow simulate chaos fuzz lint .mypy-examples format lock servers clean

help:
	@echo "make demo     300 rollouts of a delegating agent on a real MCP server; JSON lines on stdout"
	@echo "make test     the whole test suite"
	@echo "make test-slow  what takes longer: packaging, MCP conformance, 1,024 rollouts without a leak"
	@echo "make simulate   random programs of actors for SECONDS=60, checked against the contract"
	@echo "make fuzz     a million inputs for the readers of files and wire; SHARE=0.1 for a tenth"
	@echo "make chaos    SCHEDULES=1000 of faults against real processes, CHAOS_SEEDS=10000 in virtual time"
	@echo "make lint     ruff, mypy, pyright, import-linter"
	@echo "make format   ruff format, ruff check --fix"
	@echo "make servers  install the outside MCP servers of examples/servers"
	@echo "make lock     resolve requirements/*.lock anew"
	@echo "make clean    remove .venv and .cache"
	@echo "PYTHON=... chooses the interpreter; COUNT, SEED, CONCURRENCY, AGENT are for the demo"

# A reader that goes away (`make demo | head -1`) ends the run, and is no error: 141 is SIGPIPE.
demo: $(VENV)/runtime $(TASKS)
	@$(VENV)/bin/nexau rollout $(AGENT) $(TASKS) --concurrency $(CONCURRENCY) || [ $$? -eq 141 ]

# Four workers on two cores: most tests wait for processes. Slow ones are for `make test-slow`.
test: $(VENV)/dev
	@$(VENV)/bin/python -m pytest -n 4 --dist loadfile -m "not slow" $(ARGS)

test-slow: $(VENV)/dev
	@$(VENV)/bin/python -m pytest -n 3 --dist loadfile -m slow \
	    -o faulthandler_timeout=900 $(ARGS)

# As long as it is told to: SECONDS of it, or SEEDS seeds, whichever ends first.
simulate: $(VENV)/dev
	@$(VENV)/bin/python -m nexau.actors.simulate --seeds $(SEEDS) --seconds $(SECONDS)

# Each reader of bytes from outside, a million inputs in all; with GUIDED=1 atheris besides, where
# it installs.
fuzz: $(VENV)/dev
	@test -z "$(GUIDED)" || $(PIP) install --require-hashes -r requirements/fuzz.lock >&2 || \
	    echo "no atheris here: plain mutations only" >&2
	@mkdir -p .cache/fuzz && cd .cache/fuzz && PYTHONPATH=$(CURDIR) \
	    $(CURDIR)/$(VENV)/bin/python -m tests.fuzz.run $(if $(GUIDED),--guided) \
	    --share $(SHARE) $(ARGS)

# Real processes, killed and fed garbage: SCHEDULES of faults, from SEED on; then the same in
# virtual time.
chaos: $(VENV)/dev
	@$(VENV)/bin/python -m tests.chaos --schedules $(SCHEDULES) --seed $(SEED)
	@$(VENV)/bin/python -m tests.journal.simulate --seeds $(CHAOS_SEEDS) 2>/dev/null

lint: $(VENV)/dev
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/mypy
	@$(MAKE) .mypy-examples
	@$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python nexau tests/actors/test_typing.py
	@$(VENV)/bin/lint-imports

# Scripts, not packages: they find their neighbours in their own folder.
.mypy-examples: $(VENV)/dev
	@cd examples && MYPYPATH=desk ../$(VENV)/bin/mypy --strict desk/*.py servers/*.py
	@$(VENV)/bin/mypy --explicit-package-bases --namespace-packages tests/actors/*.py

format: $(VENV)/dev
	@$(VENV)/bin/ruff check --fix
	@$(VENV)/bin/ruff format

servers: $(VENV)/runtime
	@$(VENV)/bin/python examples/servers/install.py

$(TASKS): examples/desk/tasks.py examples/desk/plans.py examples/worlds/retail-returns.yaml \
    $(VENV)/runtime
	@mkdir -p $(@D)
	@$(VENV)/bin/python examples/desk/tasks.py --count $(COUNT) --seed $(SEED) --output $@

# The first interpreter that runs, is new enough and can make an environment: a shim may exist on
# the PATH for a version that is not installed, and some distributions split ensurepip off.
$(VENV)/bin/python:
	@for python in $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python); do \
	    if $$python -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' \
	        >/dev/null 2>&1; \
	    then echo "making $(VENV) with $$($$python --version)" >&2; \
	        $$python -m venv --clear $(VENV) >&2; exit; fi; \
	done; \
	echo "nexau needs Python 3.11 or newer, with venv and ensurepip: none of" \
	    "'$(or $(PYTHON),python3.13 python3.12 python3.11 python3 python)' will do." \
	    "Name one: make PYTHON=/path/to/python" >&2; exit 1

$(VENV)/runtime: requirements/runtime.lock pyproject.toml | $(VENV)/bin/python
	@echo "installing what it takes to run (requirements/runtime.lock)" >&2
	@$(PIP) install --require-hashes -r requirements/runtime.lock >&2
	@$(PIP) install --no-deps --no-build-isolation --config-settings editable_mode=compat -e . >&2
	@touch $@

$(VENV)/dev: requirements/dev.lock $(VENV)/runtime
	@echo "installing what it takes to test (requirements/dev.lock)" >&2
	@$(PIP) install --require-hashes -r requirements/dev.lock >&2
	@touch $@

# uv, because one file has to hold for every Python from 3.11 on.
UV := .cache/uv/bin/uv pip compile pyproject.toml --universal --python-version 3.11 \
    --generate-hashes --upgrade --quiet --no-annotate --no-emit-index-url --no-emit-find-links \
    --custom-compile-command "make lock"
lock: | $(VENV)/bin/python
	@test -x .cache/uv/bin/uv || { $(VENV)/bin/python -m venv .cache/uv && \
	    .cache/uv/bin/python -m pip -qq --disable-pip-version-check install uv; } >&2
	@$(UV) --group build --group demo --output-file requirements/runtime.lock >&2
	@$(UV) --constraints requirements/runtime.lock --group dev \
	    --output-file requirements/dev.lock >&2
	@.cache/uv/bin/uv pip compile --group fuzz --universal --python-version 3.11 --upgrade \
	    --generate-hashes --quiet --no-annotate --no-emit-index-url --no-emit-find-links \
	    --custom-compile-command "make lock" --output-file requirements/fuzz.lock >&2

clean:
	@rm -rf $(VENV) .cache build dist examples/servers/.cache
