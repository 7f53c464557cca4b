# One command each: run, test, bench, check. The first one makes .venv and installs what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WITH_TESTS := .[test,quality]

# uv wants the certificates where pip has them.
ifndef SSL_CERT_FILE
ifdef PIP_CERT
export SSL_CERT_FILE := $(PIP_CERT)
endif
endif

# The first start of a new .venv would compile everything in each process, and keep nothing.
unexport PYTHONDONTWRITEBYTECODE

# uv is several times faster; pip knows settings (a mirror in pip.conf) that uv does not read.
define install
$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '$(1)' \
  || $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '$(1)'
endef

# Programs of Debian that tests drive; tests that miss theirs skip, and say so. Further ones go here.
DEBIAN_PACKAGES := nginx chromium fonts-noto-core

.PHONY: run test debian fuzz crowds mutants mutants-around bench bench-doc check messages screenshots format lock clean

run: $(VENV)/.installed
	$(BIN)/consent-service serve --demo

# Three at a time also on two cores, since servers, browsers and clocks are waited for; a file together, the longest files
# first (tests/conftest.py). Meanwhile the generated requests, whose tests have one name between them: workers would run one
# of them, and each would generate all. Then those who want the machine for themselves.
ALONE := tests/concurrency tests/linearizability tests/faults/test_kills.py
GENERATED := tests/contract/test_schemathesis.py
AT_ONCE := -n 3 --dist loadfile --no-loadscope-reorder

test: $(VENV)/.installed-test debian
	@$(BIN)/python -m pytest -q $(GENERATED) >$(VENV)/generated.log 2>&1 & generated=$$!; \
	trap 'kill $$generated' INT TERM; \
	$(BIN)/python -m pytest -q $(AT_ONCE) --durations=15 tests $(addprefix --ignore ,$(ALONE) $(GENERATED)); failed=$$?; \
	wait $$generated || failed=1; cat $(VENV)/generated.log; exit $$failed
	$(BIN)/python -m pytest -q --durations=10 $(ALONE)

# Only where that is ours to do, and never where it would start services: root, apt and no systemd, as in a container.
debian:
	@missing=$$(for one in $(DEBIAN_PACKAGES); do \
	    dpkg-query -W -f '$${Status}' $$one 2>/dev/null | grep -q 'ok installed' || echo $$one; done); \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && [ ! -d /run/systemd/system ]; then \
	  echo "installing for the tests:" $$missing; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  { timeout 60 apt-get update -qq && timeout 300 apt-get install -qq -y --no-install-recommends $$missing; } \
	    >/dev/null 2>&1 || echo "not possible; tests that need them are skipped"; \
	fi

# 50,000 generated calls, the same in every run; half an hour. How many there were stands at the end.
fuzz: $(VENV)/.installed-test
	CONSENT_TEST_FUZZ_CALLS=$${CONSENT_TEST_FUZZ_CALLS:-50000} $(BIN)/python -m pytest -q tests/contract/test_schemathesis.py

# Crowds of clients and kills, as often as is promised; an hour. `make test` has time for a part of it.
crowds: $(VENV)/.installed-test
	CONSENT_TEST_ATTEMPTS=1000000 $(BIN)/python -m pytest -q tests/concurrency/test_no_window_over_its_cap.py
	CONSENT_TEST_PAIRS=100000 $(BIN)/python -m pytest -q tests/concurrency/test_silent_is_final.py
	CONSENT_TEST_PAIRS=10000 $(BIN)/python -m pytest -q tests/concurrency/test_no_deadlock.py
	CONSENT_TEST_KILLS=200 $(BIN)/python -m pytest -q tests/faults/test_kills.py

# Small changes of the decision, in SQL and in its rendering, each of which some question has to notice, and of the Python
# around it, each of which some test has to; a quarter of an hour. `make mutants-around FILES=dials` for some files.
mutants: mutants-around
	$(BIN)/python -m pytest -q -s tests/mutants/decision.py tests/mutants/rendering.py

mutants-around: $(VENV)/.installed-test
	$(BIN)/python -m tests.mutants.around $(FILES)

bench: $(VENV)/.installed-test
# BENCH='--customers 100000 --only check,batch --data-dir FOLDER': some parts, and seeds that are kept.
	$(BIN)/python -m benchmarks $(BENCH)

bench-doc: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks --write docs/performance.md $(BENCH)

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -c 'import configparser as c; p = c.ConfigParser(); p.read("setup.cfg"); \
	  print(p["options"]["install_requires"].strip())' > $(VENV)/requirements.txt
	$(BIN)/deptry . --requirements-files $(VENV)/requirements.txt
	grep -L '^-- transactional: false' migrations/*.sql | xargs $(BIN)/squawk --config .squawk.toml
	grep -l '^-- transactional: false' migrations/*.sql \
	  | xargs -r $(BIN)/squawk --config .squawk.toml --no-assume-in-transaction

# The catalogs of translations, brought up to date with the texts of code and templates.
messages: $(VENV)/.installed-test
	$(BIN)/python -m tests.support.messages

# The pictures in docs/screenshots, of the pages as they are now.
screenshots: $(VENV)/.installed-test debian
	$(BIN)/python -m tests.support.screenshots

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Newest versions that setup.cfg allows, for every platform.
lock: $(VENV)/.installed-test
	echo uv | $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras \
	  --no-header --no-annotate --output-file constraints.txt setup.cfg -

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt | $(BIN)/uv
	@echo "installing into $(VENV)"
	@$(call install,.)
	@touch $@

$(VENV)/.installed-test: setup.cfg pyproject.toml constraints.txt | $(BIN)/uv
	@echo "installing into $(VENV), with what tests need"
	@$(call install,$(WITH_TESTS))
	@touch $@ $(VENV)/.installed

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "$(PYTHON) lacks venv; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
