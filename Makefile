# Everything a person or CI does with jouled. `make help` lists it.

PYTHON ?= python3
CARGO ?= cargo
ARGS ?=
FUZZ_SECONDS ?= 60
SOAK_SECONDS ?= 600

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

venv := .venv
# The two stamps lie in the environment, so that they go when it goes.
extension := $(venv)/extension
stubs := $(venv)/stubs
rust-sources := $(shell find rust -name target -prune -o \( -name '*.rs' -o -name Cargo.toml \) -print 2>/dev/null) Cargo.toml Cargo.lock
started := $(shell date +%s)

# The environment's programs come first; nothing else of the caller's Python may leak in.
export PATH := $(CURDIR)/$(venv)/bin:$(CURDIR)/build/tools:$(PATH)
export VIRTUAL_ENV := $(CURDIR)/$(venv)
export PYTHON
unexport PYTHONPATH PYTHONHOME

.PHONY: help
help: ## this list
	@echo "make run [ARGS=\"--interval 1s\"] and make test do all the set-up by themselves. All targets:"
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | awk -F '\t' '{ printf "  %-13s %s\n", $$1, $$2 }'

# ---- run and test ----

.PHONY: run
run: $(extension) ## build and run the daemon here, on this host's own counters
	@mkdir -p var
	@exec $(venv)/bin/jouled --state-dir var $(ARGS)

.PHONY: test
test: test-packages lint rust-test py-test wheel-test ## every check, the way CI runs it
	@echo "jouled: all checks passed in $$(( $$(date +%s) - $(started) )) s"

.PHONY: lint
lint: rust-lint py-lint ## formatting, clippy, ruff, mypy, stub, imports

.PHONY: fmt
fmt: python-dev rust-tools ## format Rust and Python, and fix what can be fixed
	$(CARGO) fmt --all
	@if [ -e rust/fuzz/Cargo.toml ]; then $(CARGO) fmt --manifest-path rust/fuzz/Cargo.toml; fi
	ruff check --fix --quiet .
	ruff format .
	PYTHONPATH=python python scripts/settings_documents.py --fix

# ---- Rust (PyO3 asks the environment's Python what to build for, so that one is made first) ----

.PHONY: rust-tools
rust-tools:
	@scripts/rust-tools

.PHONY: rust-lint
rust-lint: python-run rust-tools ## rustfmt --check, clippy -D warnings
	$(CARGO) fmt --all --check || { echo 'mend it with: make fmt' >&2; exit 1; }
	@if [ -e rust/fuzz/Cargo.toml ]; then set -x; $(CARGO) fmt --manifest-path rust/fuzz/Cargo.toml --check || { echo 'mend it with: make fmt' >&2; exit 1; }; fi
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

.PHONY: rust-test
rust-test: python-run strace rust-tools ## cargo test
	$(CARGO) test --workspace --locked

# ---- Python ----

.PHONY: py-lint
py-lint: python-dev $(stubs) ## ruff, mypy --strict, stub diff, import-linter
	ruff check . || { echo 'some of it is mended by: make fmt' >&2; exit 1; }
	ruff format --check . || { echo 'mend it with: make fmt' >&2; exit 1; }
	mypy
	PYTHONPATH=python lint-imports --no-logo
	PYTHONPATH=python python scripts/settings_documents.py

.PHONY: servers
servers:
	@scripts/debian-packages postgresql redis nut

.PHONY: py-test
py-test: $(extension) python-dev promtool servers ## pytest on the tree (PYTEST_ARGS="-k page")
	python -m pytest $(PYTEST_ARGS)

.PHONY: wheel-test
wheel-test: python-dev promtool servers ## build the wheel, and test with the sources away what only it can show
	scripts/wheel-test

.PHONY: stubs
stubs: python-run ## write python/jouled/_core.pyi from the Rust sources
	scripts/check-stubs --fix

.PHONY: lock
lock: ## resolve requirements/*.txt anew from pyproject.toml
	scripts/lock

# ---- longer looks ----

.PHONY: bench
bench: $(extension) python-dev ## cost against a floor and naive readers, in one table (BENCH_ARGS="--only measure"); some minutes
	python scripts/bench.py $(BENCH_ARGS)

.PHONY: divan
divan: python-run ## single pieces of the core, in nanoseconds (BENCH="ledger" picks by name)
	$(CARGO) bench -p jouled-core --bench '*' --locked -- $(BENCH)

.PHONY: fuzz
fuzz: ## every parser against random bytes, FUZZ_SECONDS (60) each; needs a nightly Rust
	@scripts/debian-packages cc cxx
	scripts/fuzz $(FUZZ_SECONDS)

.PHONY: store-kill
store-kill: $(extension) python-dev servers ## kill -9 while the store is written, twenty times on each engine (KILL_ARGS="--rounds 3")
	python scripts/kill_store.py $(KILL_ARGS)

.PHONY: caps-kill
caps-kill: $(extension) python-dev strace ## kill -9 before every step of capping and of giving back; a minute or two
	python tests/killing_caps.py

.PHONY: simulate-check
simulate-check: $(extension) python-dev ## what the balancer promises, on ten simulated days that no rule was tuned on; a minute or two
	python tests/simulating_days.py

.PHONY: site-day
site-day: $(extension) python-dev ## a whole day of a site with the real daemon before fakes, 150 times as fast: ten minutes (SITE_DAY_ARGS="--hours 12")
	python scripts/site-day $(SITE_DAY_ARGS)

.PHONY: store-bench
store-bench: $(extension) python-dev servers ## what the books take: ingestion, questions among 10 million records, reads (STORE_BENCH_ARGS="--only ingest")
	python scripts/bench_store.py $(STORE_BENCH_ARGS)

.PHONY: soak
soak: $(extension) ## the daemon under scrapes for SOAK_SECONDS (600): memory, descriptors, late ticks
	python scripts/soak.py --seconds $(SOAK_SECONDS)

.PHONY: vm-test
vm-test: $(extension) python-dev ## a Linux with RAPL zones in an emulator; needs Debian and root (VM_ARGS="-k wrap")
	scripts/vm-test $(VM_ARGS)

.PHONY: e2e
e2e: python-dev rust-tools ## jouled in a booted box, by its own units, on both cgroup layouts, and on a kernel with power limits; needs Debian and root (E2E_ARGS="-k reload")
	scripts/e2e $(E2E_ARGS)

.PHONY: clean
clean: ## remove what was built, and the environment; state in ./var stays
	rm -rf $(venv) build dist target rust/fuzz/target python/jouled/_core.abi3.so
	find python tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# ---- set-up: each script looks first and does only what is missing ----

.PHONY: cc
cc:
	@scripts/debian-packages cc

.PHONY: strace
strace:
	@scripts/debian-packages strace

# All at once, so that whoever may not install them is told all of them at once.
.PHONY: test-packages
test-packages:
	@scripts/debian-packages cc python systemd strace postgresql redis nut

.PHONY: python-run
python-run:
	@scripts/debian-packages cc python systemd
	@scripts/environment build run

.PHONY: python-dev
python-dev: python-run
	@scripts/environment build run test dev

.PHONY: promtool
promtool:
	@scripts/promtool

$(extension): $(rust-sources) pyproject.toml scripts/extension | rust-tools python-run
	@scripts/extension
	@touch $@

$(stubs): $(rust-sources) pyproject.toml python/jouled/_core.pyi scripts/check-stubs | rust-tools python-run
	scripts/check-stubs
	@touch $@
