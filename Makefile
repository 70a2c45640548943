# `make demo` and `make test` need nothing but python3 and make.

PYTHON ?= python3
SAMPLE := fixtures/sample_django_project
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCK = UV_PYTHON_DOWNLOADS=never $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes \
	--no-header --no-annotate $(ARGS)
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test soak services check format dist package lock bench chaos hangs docs site clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: .venv/.demo ## migrate the three databases of the sample project (again: nothing pending)
	@test -d .demo || cp -R $(SAMPLE) .demo
	$(BIN)/dbmigrate all --project .demo --settings myproj.settings
	$(BIN)/dbmigrate status --project .demo

soak: export TESTS_WITHOUT_COPIES = 1
test: MARKED = not soak ## run the tests (ARGS="tests/engines/test_locks.py -k holder" for some of them)
soak: MARKED = soak ## run the longer tests: at scale, at random, on every engine and launcher, until a time-out
test soak: .venv/.dev
	@$(BIN)/python -m compileall -q src/dbmigrate
	@$(BIN)/python tests/support/environments.py
	$(BIN)/python -m pytest -n auto --dist worksteal -m "$(MARKED)" $(ARGS)

services: ## which database servers the tests find here, and how to get the others
	@echo "PostgreSQL comes with the tests, as a wheel"
	@PATH="$$PATH:/usr/sbin:/usr/libexec"; command -v mariadbd >/dev/null && echo "MariaDB    $$(command -v mariadbd)" || \
		echo "MariaDB    not found: its tests are skipped; Debian: apt-get install mariadb-server-core mariadb-client-core, macOS: brew install mariadb"
	@PATH="$$PATH:/usr/sbin"; command -v pgbouncer >/dev/null && echo "PgBouncer  $$(command -v pgbouncer)" || \
		echo "PgBouncer  not found: its tests are skipped; Debian: apt-get install pgbouncer, macOS: brew install pgbouncer"
	@ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sed 's/^/German     /' | grep . || \
		echo "German     not found: tests with a German PostgreSQL are skipped; Debian: apt-get install postgresql locales"

check: .venv/.dev ## formatting, lint, types, import contracts, Python 3.8 syntax where it is needed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/vermin --quiet --target=3.8- --violations --no-tips src/dbmigrate/inside

format: .venv/.dev ## format the code and order its imports
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

dist: .venv-build/.build ## build the wheel and the sdist of what is committed into dist/, with the locked build tools alone
	.venv-build/bin/python .ci/release/build.py dist

package: .venv/.package ## build the package and check all that is published, one line each (ARGS="hooks action" for some)
	$(BIN)/python .ci/release/check_published.py $(ARGS)

lock: .venv/.package ## choose the versions for development again (ARGS=--upgrade for the newest)
	$(LOCK) --group dev pyproject.toml --output-file .ci/locks/dev.txt
	$(LOCK) --group package --constraint .ci/locks/dev.txt --output-file .ci/locks/package.txt
	$(LOCK) --group build --constraint .ci/locks/package.txt --constraint .ci/locks/dev.txt --output-file .ci/locks/build.txt

bench: .venv/.dev ## measure against plain shell and one process with call_command; writes docs/performance.md
	$(BIN)/python bench/compare.py --write

chaos: .venv/.dev ## races and kills at random moments, an hour; writes docs/reliability.md (ARGS="--kills 9 --rounds 1")
	$(BIN)/python bench/chaos.py $(if $(ARGS),$(ARGS),--write)

hangs: .venv/.dev ## how long a run waits for servers that fall silent, some minutes; writes docs/reliability.md
	$(BIN)/python bench/hangs.py $(if $(ARGS),$(ARGS),--write)

docs: .venv/.dev ## write what the documents and the package take from the program: tables, schemas, captures, manual page (ARGS=--tables: no captures)
	$(BIN)/python docs/generate.py $(ARGS)
	$(BIN)/python .ci/release/write_generated.py

site: .venv/.dev ## build the documents as a site in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir build/site

clean: ## remove everything that was made here
	rm -rf .venv .venv-build .demo .cache .pytest_cache .mypy_cache .ruff_cache dist dist-man build

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.demo: pyproject.toml $(SAMPLE)/requirements.txt | .venv/bin/python
	$(PIP) --editable . --requirement $(SAMPLE)/requirements.txt
	@touch $@

# After .demo: two pips at once in one environment would hurt each other. The groups of pyproject.toml, which a pip
# before 25.1 does not read, stand in these files with versions and hashes.
.venv/.dev: .ci/locks/dev.txt .venv/.demo | .venv/bin/python
	$(PIP) --require-hashes --requirement .ci/locks/dev.txt
	@touch $@

.venv-build/.build: .ci/locks/build.txt
	$(PYTHON) -m venv .venv-build
	.venv-build/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement .ci/locks/build.txt
	@touch $@

.venv/.package: .ci/locks/package.txt .venv/.dev
	$(PIP) --require-hashes --requirement .ci/locks/package.txt
	@touch $@
