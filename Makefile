# Two commands: `make demo` starts everything on this machine, `make test` checks everything.

PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test format screenshot numbers bench

demo: $(VENV)/demo-ready
	@$(BIN)/python manage.py demo --port $(PORT)

test: $(VENV)/test-ready
	@sh tests/browser/install_chromium.sh
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

format: $(VENV)/test-ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

screenshot: $(VENV)/test-ready
	@sh tests/browser/install_chromium.sh
	$(BIN)/python -m tests.browser.screenshot

numbers: $(VENV)/demo-ready
	$(BIN)/python -m analysis.training.demo_classifier --evaluate demo/phantom_classifier.pt2

bench: $(VENV)/bench-ready
	@$(BIN)/python -m benchmarks

$(VENV)/demo-ready: pyproject.toml
	@sh tools/make_venv.sh "$(PYTHON)" "$(VENV)" .
	@touch $@

$(VENV)/test-ready: pyproject.toml
	@sh tools/make_venv.sh "$(PYTHON)" "$(VENV)" ".[test]"
	@touch $@ $(VENV)/demo-ready

$(VENV)/bench-ready: pyproject.toml
	@sh tools/make_venv.sh "$(PYTHON)" "$(VENV)" ".[bench]"
	@touch $@ $(VENV)/demo-ready
