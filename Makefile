# The two commands:  make demo   and   make test.   Everything they need goes into .venv.

export LC_ALL := C.UTF-8
export PYTHONUTF8 := 1
export HOME ?= /tmp
unexport PYTHONPATH PYTHONHOME

BIN := .venv/bin
CODE := engine messaging persistence tests examples

.DEFAULT_GOAL := help
.PHONY: help demo test check bench docs man clean

help:
	@echo "make demo    see Quince at work: two workers, an example, one of them killed"
	@echo "make test    all tests, on the embedded default and on private RabbitMQ and PostgreSQL servers"
	@echo "make check   format, lint, types, import contracts, unit tests (under a minute)"
	@echo "make bench   benchmarks on this machine"
	@echo "make docs    the documentation as a site, in build/site"
	@echo "make man     docs/man/quince.1, made anew from the commands (it comes with the wheel)"
	@echo "make clean   remove .venv and what the tools left"

demo: environment
	@$(BIN)/python examples/demo.py

test: environment
	@.ci/servers
	@$(BIN)/python -m pytest -n 4 --dist loadfile || { \
	    echo "quince: what failed beside other tests is run once more, alone:" >&2; \
	    $(BIN)/python -m pytest --last-failed --last-failed-no-failures none; }

check: environment
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/unit

bench: environment
	@.ci/servers
	@$(BIN)/python -m tests.benchmarks.bench_chains
	@$(BIN)/python -m tests.benchmarks.bench_messaging

docs: environment
	@$(BIN)/python .ci/docs.py
	@NO_COLOR=1 $(BIN)/zensical build --strict --clean
	@echo "quince: build/site/index.html"

man: environment
	@$(BIN)/quince help --man > docs/man/quince.1

clean:
	rm -rf build .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info

.PHONY: environment
environment:
	@[ .venv/.installed -nt pyproject.toml ] || .ci/environment
