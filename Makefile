# Every target sets up what it needs by itself, in $(VENV), and only once: the stamps below are older
# than pyproject.toml when something has to be installed. Needed beforehand: make and Python 3.11+.
#
#   make test PYTHON=/path/to/python3.12     which interpreter a new virtual environment is made with
#   make test ARGS='tests/policy -k budget'  more arguments for the tool that the target runs

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

# Unless PYTHON is given: the first of these that is new enough and can make virtual environments.
PYTHON ?=
PYTHONS := $(or $(PYTHON),python3.13 python3.12 python3.11 python3)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: demo test integration soak lint types bench clean help

demo: $(VENV)/.demo ## show it at work against real servers that die and come back
	@$(BIN)/python -m demo $(ARGS)

test: $(VENV)/.test ## run the tests: tests/ and integration/
	@$(BIN)/python -m pytest $(ARGS)

integration: $(VENV)/.test ## give this machine real servers in containers for the tests; ARGS=down ends them
	@$(BIN)/python -m integration $(or $(ARGS),up)

soak: $(VENV)/.test ## run the property tests on 10,000 examples each
	@TIELINE_SOAK=1 $(BIN)/python -m pytest -m property tests $(ARGS)

lint: $(VENV)/.lint ## check style, formatting and the direction of imports
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports

types: $(VENV)/.types ## check types: mypy --strict, and pyright for a second opinion
	@$(BIN)/mypy
	@$(BIN)/pyright

bench: $(VENV)/.bench ## measure against the raw clients and other libraries, side by side
	@$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove the virtual environment, caches and build products
	rm -rf $(VENV) .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- set-up -------------------------------------------------------------------------------------

# One dependency group a target, so that `make demo` installs no linter. Only the linters can do
# without the clients: they read the source and run none of it.
$(VENV)/.demo $(VENV)/.test $(VENV)/.types $(VENV)/.bench: package := .[all]
$(VENV)/.lint: package := .

$(VENV)/.demo $(VENV)/.test $(VENV)/.lint $(VENV)/.types $(VENV)/.bench: $(VENV)/.%: pyproject.toml | $(VENV)/.venv
	@echo "Installing what 'make $*' needs into $(VENV) (once; again when pyproject.toml changes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '$(package)' --group $*
	@touch $@

# A virtual environment comes with the pip of its Python, and --group needs pip 25.1 (PEP 735).
$(VENV)/.venv:
	@chosen= ; bare= ; \
	for python in $(PYTHONS); do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	  if "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then chosen=$$python; break; fi; \
	  bare=$${bare:-$$python}; \
	done; \
	if [ -z "$$chosen" ] && [ -n "$$bare" ]; then \
	  echo "make: $$bare cannot make virtual environments: its ensurepip module is missing." >&2; \
	  echo "make: on Debian and Ubuntu install it with: apt-get install python3-venv" >&2; \
	  exit 1; \
	fi; \
	if [ -z "$$chosen" ]; then \
	  echo "make: Python 3.11 or newer is needed; tried: $(PYTHONS)." >&2; \
	  echo "make: name one with: make PYTHON=/path/to/python" >&2; \
	  exit 1; \
	fi; \
	echo "Making $(VENV) with $$chosen, $$("$$chosen" --version) ..."; \
	"$$chosen" -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@touch $@
