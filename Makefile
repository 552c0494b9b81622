# Every target sets up what it needs: system packages (Debian, Ubuntu), the virtual environment, the builds.
# All of it is incremental; `make clean` starts over.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:

PYTHON ?= python3
SWIFT ?= swift
VENV ?= .venv
export SWIFT

PY := $(VENV)/bin/python
VENV_FLINK ?= .venv-flink
FLINK_PY := $(VENV_FLINK)/bin/python
STAMPS := .build-stamps
# A warning of the compiler fails CI; elsewhere, with another compiler perhaps, it is only shown.
SWIFT_FLAGS := $(if $(CI),-Xswiftc -warnings-as-errors)
SWIFT_BUILD := $(SWIFT) build --scratch-path .build $(SWIFT_FLAGS)
SWIFT_TEST := $(SWIFT) test --disable-xctest --scratch-path .build $(SWIFT_FLAGS)

NATIVE_SOURCES := setup.py Package.swift $(shell find Sources python/_engine tools/exports -type f 2>/dev/null)
SWIFT_FILES := Package.swift $(wildcard Sources Tests examples/swift benchmarks)
PYTHON_FILES := setup.py $(wildcard python tools examples/python benchmarks/python)
C_PROGRAMS := $(wildcard Tests/ABISmoke examples/c)

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

# ---- set-up -----------------------------------------------------------------------------------------

.PHONY: setup
setup: $(VENV)/.installed ## System packages and the virtual environment with the development tools

$(STAMPS)/system: tools/system_packages.sh
	@tools/system_packages.sh "$(PYTHON)" "$(SWIFT)"
	@mkdir -p $(@D) && touch $@

$(VENV)/.installed: requirements-dev.txt | $(STAMPS)/system
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@

# ---- build ------------------------------------------------------------------------------------------

.PHONY: build build-swift build-python
build: build-swift build-python ## The Swift package, and the Python package in place

build-swift: $(STAMPS)/system
	$(SWIFT_BUILD)

build-python: $(STAMPS)/extension

$(VENV)/.editable: pyproject.toml setup.py $(VENV)/.installed
	$(PY) -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

# PyFlink holds back packages that the other tests need newer, so it has an environment of its own, which uses the package in place.
# Flink's connector for Kafka and its client come from a package that redistributes jars; of Flink's own, which it has too, none is used.
$(VENV_FLINK)/.installed: requirements-flink.txt | $(STAMPS)/system
	@test -x $(FLINK_PY) || $(PYTHON) -m venv $(VENV_FLINK)
	$(FLINK_PY) -m pip install --quiet --disable-pip-version-check "setuptools<81" wheel
	$(FLINK_PY) -m pip install --quiet --disable-pip-version-check --requirement requirements-flink.txt
	$(FLINK_PY) -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(VENV_FLINK)/jars shigawire-apache-flink-libraries==2.0.0.post1
	@echo "$(CURDIR)/python" > "$$($(FLINK_PY) -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/martlet.pth"
	@touch $@

$(STAMPS)/extension: $(NATIVE_SOURCES) $(VENV)/.editable
	$(PY) setup.py --quiet build_ext --inplace
	@mkdir -p $(@D) && touch $@

.PHONY: demo
demo: build-python ## The main job on real input: a year of flights, per aircraft
	@$(PY) examples/python/flights_demo.py

# ---- test -------------------------------------------------------------------------------------------

.PHONY: test test-swift test-c test-python test-flink test-examples test-sanitize
test: test-swift test-c test-python test-flink test-examples ## Every test: Swift, C, Python, Flink, examples

test-swift: $(STAMPS)/system ## The Swift tests
	$(SWIFT_TEST)

test-c: $(STAMPS)/system ## The C programs, under AddressSanitizer
	$(SWIFT_BUILD) --product martlet
	@tools/run_c_programs.sh "$$($(SWIFT_BUILD) --show-bin-path)" .build-c/plain $(C_PROGRAMS)

test-python: build-python ## The Python tests
	$(PY) -m pytest -q

# Tracebacks as Python prints them: pytest's parse source, which in CPython 3.11 goes wrong while a thread of Flink's worker does.
test-flink: build-python $(VENV_FLINK)/.installed ## The tests on Apache Flink, which need Java
	$(FLINK_PY) -m pytest -q --tb=native --override-ini addopts= -p no:warnings python/tests_flink

test-examples: build-python ## The examples in Python and Swift (those in C belong to test-c)
	@for example in $(wildcard examples/python/*.py examples/python/recipes/[a-z]*.py examples/python/nexmark/q*.py); do echo "--- $$example"; $(PY) "$$example"; done
	@tools/run_swift_examples.sh $(PY) examples/swift .build-examples

# One build folder per sanitizer, so that neither they nor the plain build compile the others' files again. XCTest is left
# out because it leaks by itself; these tests are all of Swift Testing. The default linker, gold, warns about every symbol of
# the sanitizer, which buries what matters.
# Left out are the suites that run whole jobs hundreds of times on the disk, the one that measures memory, and from ThreadSanitizer what has
# one thread: all of them are in test-swift.
UNSANITIZED := EveryCallFailsTests|StateDirectoryTests|DurableRunTests|DurableJobTests|DurableWorkerTests|EveryStateLivesTests|ShortLivedKeysTests
THREADED := Parallel|WorkerTransport|LiveInput|ThreadTests|TwoInputJob|ProcessingTime|WaitingSource|OutputsTests|LifecycleTests|JobRestore
SANITIZED = --scratch-path .build-$(1) --sanitize=$(2) -Xswiftc -use-ld=lld
ASAN := $(call SANITIZED,asan,address)
TSAN := $(call SANITIZED,tsan,thread)
test-sanitize: $(STAMPS)/system ## The Swift tests under AddressSanitizer and ThreadSanitizer, the C programs with an instrumented engine
	LSAN_OPTIONS=suppressions=$(CURDIR)/tools/leak_suppressions.txt:print_suppressions=0 \
		MARTLET_FILE_FAULT_STRIDE=11 $(SWIFT) test --disable-xctest $(ASAN) --skip '$(UNSANITIZED)'
	$(SWIFT) build $(ASAN) --product martlet
	@tools/run_c_programs.sh "$$($(SWIFT) build $(ASAN) --show-bin-path)" .build-c/asan $(C_PROGRAMS)
	TSAN_OPTIONS=halt_on_error=1 $(SWIFT) test --disable-xctest $(TSAN) --filter '$(THREADED)'

# ---- quality ----------------------------------------------------------------------------------------

.PHONY: lint bench bench-flink
lint: $(VENV)/.installed ## swift format, ruff, mypy
	$(SWIFT) format lint --strict --parallel --recursive $(SWIFT_FILES)
	$(PY) -m ruff check $(PYTHON_FILES)
	$(PY) -m ruff format --check $(PYTHON_FILES)
	$(PY) -m mypy

bench: build-python ## The benchmarks, each beside its peers
	$(SWIFT) run --configuration release --package-path benchmarks --scratch-path .build-bench MartletBenchmarks
	@for benchmark in $(filter-out benchmarks/python/_%,$(wildcard benchmarks/python/*.py)); do echo "--- $$benchmark"; $(PY) "$$benchmark"; done

bench-flink: build-python $(VENV_FLINK)/.installed ## The engine beside the same functions on Apache Flink
	$(FLINK_PY) benchmarks/python/flink/run.py

# ---- wheel ------------------------------------------------------------------------------------------

.PHONY: wheel test-wheel
wheel: $(VENV)/.installed ## A self-contained wheel in dist/
	rm -rf build/lib* build/bdist* build/wheel dist/martlet-*.whl
	$(PY) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/wheel .
	@tools/tag_wheel.sh $(PY) build/wheel/martlet-*.whl dist
	@ls -l dist/*.whl

test-wheel: wheel ## Install the wheel where there is no Swift, use it, and check what its libraries show and need
	@tools/test_wheel.sh "$(PYTHON)" dist/martlet-*.whl .build-wheel-test

.PHONY: clean
clean: ## Remove everything that was built, and the virtual environment
	rm -rf .build .build-* examples/swift/.build benchmarks/.build build dist python/*.egg-info $(VENV) $(VENV_FLINK)
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find python -name '*.so' -delete
	find . -name __pycache__ -prune -exec rm -rf {} +
