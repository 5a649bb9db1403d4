# ItsMiner: `make help` lists what there is.
.DEFAULT_GOAL := help
PY := .venv/bin/python
BENCH ?= poll

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

.venv/ready: requirements.lock pyproject.toml deploy/setup
	@sh deploy/setup
	@touch $@

.PHONY: setup
setup: .venv/ready ## make .venv with everything

.PHONY: demo
demo: setup ## run a simulated farm, agent, backend, warnings, mails and texts (DEMO_SECONDS=60 stops by itself)
	@$(PY) -m tests.demo $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS))

.PHONY: test
test: setup ## run the tests
	@$(PY) -m pytest -q $(ARGS)

.PHONY: cover
cover: setup ## run the tests and say what of agent/ and backend/ they reach
	@$(PY) -m pytest -q --cov --cov-report=term $(ARGS)

.PHONY: fuzz
fuzz: setup ## run the property tests on thousands of new examples each
	@$(PY) -m pytest -q -m hypothesis --hypothesis-profile fuzz --timeout 0 $(ARGS)

.PHONY: check
check: setup ## lint, types, seams (no tests)
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo

.PHONY: promises
promises: setup ## hold the service to its published promises, and print which are kept
	@$(PY) -m tests.promises

.PHONY: bench
bench: setup ## measure: make bench BENCH=name; the last line is JSON
	@$(PY) -m tests.bench $(BENCH)

.PHONY: soak
soak: setup ## run 10,000 simulated machines for SOAK_MINUTES (30); figures, and the plot docs/soak.svg
	@$(PY) -m tests.soak

.PHONY: docs
docs: setup ## write the generated parts of docs/ anew
	@$(PY) docs/generate.py

.PHONY: lock
lock: ## resolve the dependencies anew (needs uv) into requirements.lock, hashes and no hosts
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --all-extras --no-header --no-annotate --quiet pyproject.toml -o requirements.lock

.PHONY: clean
clean: ## remove what setup and the tests made
	@rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .coverage .import_linter_cache
