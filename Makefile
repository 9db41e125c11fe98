# SPDX-License-Identifier: GPL-3.0-or-later
# make demo             run an example playbook through ansible.netcommon.libssh, against a throw-away server on 127.0.0.1
# make build            compile the library in place, against libssh 0.12
# make collection       build the collection's artifact, for this machine (PYTHON=... picks the interpreter that compiles)
# make check TESTS=...  run some tests: files, or whatever pytest takes
# make test             run all tests, and see that the documentation builds and the collection is well-formed (40 minutes)
# make matrix           run every scenario with our connection and with Ansible's ssh, and print who passes and in which time
# make docs             build the documentation: build/docs/html
# make sanity           check the collection as Ansible's own tools do
# make bench            measure against other libraries
# make lint             check the code's form
# make clean            remove all that these make

SHELL := /bin/sh
.DELETE_ON_ERROR:
.PHONY: help demo test check build collection docs sanity matrix bench lint clean packages packages-test

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

PYTHONS := 3.13 3.12 3.11
VENV := $(if $(PYTHON),build/venvs/$(subst /,_,$(PYTHON)),.venv)
BIN := $(VENV)/bin
LIBSSH := build/libssh-0.12
VERSION := $(shell sed -n 's/^version: *//p' galaxy.yml)
ARTIFACT := build/ansible-netcommon-$(VERSION).tar.gz
COLLECTIONS := build/collections
CORE := pylibsshext/_core.abi3.so

CORE_SOURCES := setup.py scripts/exports.map $(wildcard pylibsshext/*.pyx pylibsshext/*.pxd pylibsshext/_c/*)
SOURCES := $(shell find pylibsshext plugins meta docs changelogs -name '*.py' -o -name '*.yml' -o -name '*.md' 2>/dev/null)

export LIBSSH_PREFIX := $(abspath $(LIBSSH))
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Nothing of this project goes to the user's ~/.ansible.
export ANSIBLE_HOME := $(abspath build/ansible)
# Each of Ansible's workers would compile our modules anew.
unexport PYTHONDONTWRITEBYTECODE

# --- what everything stands on: packages, an environment, libssh ------------------------------------------------------------

BUILD_PACKAGES := cmake gcc libc6-dev libkrb5-dev libssl-dev make pkg-config zlib1g-dev
DEMO_PACKAGES := openssh-client openssh-server openssh-sftp-server sudo
TEST_PACKAGES := btrfs-progs busybox-static dropbear-bin fish git iproute2 iptables krb5-admin-server krb5-kdc krb5-user libfido2-dev libpam-oath libssh-dev \
	netavark oathtool opendoas opensc openssl podman procps python3-apt rsync runc softhsm2 tcsh tinysshd ucspi-tcp util-linux

packages:
	@scripts/install-packages $(BUILD_PACKAGES) $(DEMO_PACKAGES)
	@[ -n '$(PYTHON)' ] || scripts/find-python $(PYTHONS) >/dev/null 2>&1 || scripts/install-packages python3-dev python3-venv

packages-test: packages
	@scripts/install-packages $(TEST_PACKAGES)

$(VENV)/ready: requirements.txt | packages
	@echo "Making $(VENV)"
	@$(or $(PYTHON),"$$(scripts/find-python $(PYTHONS))") -m venv --clear $(VENV)
	@$(BIN)/pip install -qq -r requirements.txt
	@touch $@

$(VENV)/ready-test: requirements-test.txt $(VENV)/ready
	@$(BIN)/pip install -qq -r requirements-test.txt
	@touch $@

$(VENV)/ready-lint: requirements-lint.txt $(VENV)/ready-test
	@$(BIN)/pip install -qq -r requirements-lint.txt
	@touch $@

$(VENV)/ready-docs: requirements-docs.txt $(VENV)/ready-test
	@$(BIN)/pip install -qq -r requirements-docs.txt
	@touch $@

$(LIBSSH)/lib/libssh.a: scripts/build_libssh.py scripts/gss_shim.c | packages $(VENV)/ready
	@$(BIN)/python scripts/build_libssh.py $(LIBSSH)

# --- the library and the collection -----------------------------------------------------------------------------------------

build: $(CORE)

$(CORE): $(CORE_SOURCES) $(LIBSSH)/lib/libssh.a | $(VENV)/ready
	@echo "Compiling the library"
	@$(BIN)/python setup.py -q build_ext --inplace --build-temp build/temp

collection: $(ARTIFACT)
	@echo $(ARTIFACT)

$(ARTIFACT): $(CORE_SOURCES) $(SOURCES) galaxy.yml scripts/build_collection.py $(LIBSSH)/lib/libssh.a | $(VENV)/ready
	@echo "Building the collection"
	@$(BIN)/python scripts/build_collection.py build >/dev/null

$(COLLECTIONS)/ready: $(ARTIFACT)
	@rm -rf $(COLLECTIONS)
	@ANSIBLE_COLLECTIONS_PATH=$(abspath $(COLLECTIONS)) $(BIN)/ansible-galaxy collection install --offline --force -p $(COLLECTIONS) $(ARTIFACT) >/dev/null
	@touch $@

demo: packages $(COLLECTIONS)/ready
	@ANSIBLE_COLLECTIONS_PATH=$(abspath $(COLLECTIONS)) $(BIN)/python scripts/demo.py

# --- tests ------------------------------------------------------------------------------------------------------------------

# Parts, of which all run, whatever fails. The newest Python and ansible-core run everything, last, so that its summary ends the
# output. Before it: the other Pythons; the system's libssh, on a copy of the checkout; the playbooks on the other releases of
# ansible-core; and so on, two at a time, because each of them uses one core. What failed is told in the end.

FOUND := $(foreach version,$(PYTHONS),$(if $(shell scripts/find-python $(version) 2>/dev/null),$(version)))
OTHER_PYTHONS := $(wordlist 2,9,$(FOUND))
# Each ansible-core with a Python that it supports; "pre" is the newest there is, be it a pre-release.
ANSIBLES := $(if $(filter 3.13,$(FOUND)),pre-3.13) $(if $(filter 3.12,$(FOUND)),2.20-3.12) $(if $(filter 3.11,$(FOUND)),2.19-3.11 2.18-3.11 2.17-3.11)
ENVIRONMENTS := $(OTHER_PYTHONS:%=build/venvs/python-%/ready) $(ANSIBLES:%=build/venvs/ansible-%/ready)
SYSTEM := build/libssh-system
# Servers of other releases of OpenSSH.
RELEASES := build/openssh-releases
# Collections that playbooks use beside ours.
OTHERS := build/other-collections
# What depends on the Python or on the libssh below it: not the plugin, the packages, the lab, or what a transfer does where.
BINDING := tests/unit $(wildcard $(addprefix tests/integration/test_,channel.py exec.py session.py session_login.py scp.py))
# What differs between releases of ansible-core: the whole of the connection target, become, Windows.
PLUGIN := $(addprefix tests/integration/playbooks/test_,commands.py become.py windows.py)
# Programs that mostly wait to be interrupted.
CRASH := -n 4 tests/crash
# What users do, with our connection and with Ansible's own.
SCENARIOS := tests/integration/scenarios
MATRIX := -n 2 $(SCENARIOS)
# A file's tests stay together: many share a host that their module has.
MAIN := -n 2 --dist loadfile --ignore=tests/crash --ignore=$(SCENARIOS)
# What these see work with which server: each mark in the documentation's tables has to be among it.
SEEN_WORKING := build/seen-working
# Tests of deadlines can miss one on a busy machine: twice more, and the summary tells which.
PYTEST = python -m pytest -q --reruns 2 --reruns-delay 2 -r fER -o cache_dir=$(abspath build/pytest/$@)
# Root can give the tests a network of their own; others get loopback, and no isolation.
ISOLATED := $(if $(filter 0,$(shell id -u)),$(abspath tests/lab/run-isolated.sh))
ONE_CORE := docs sanity $(OTHER_PYTHONS:%=test-python-%) test-system test-crash $(ANSIBLES:%=test-ansible-%)
PARTS := $(ONE_CORE) test-matrix test-main
WITH_COLLECTION := NETCOMMON_COLLECTIONS=$(abspath $(COLLECTIONS)) $(ISOLATED)
# In a part's recipe: its name before, and a note that it has passed after.
BEGIN = echo "== $@"
PASSED = mkdir -p build/passed && touch build/passed/$@

# What is built comes first in this order: later the environment has to stay as it is.
BUILT := $(VENV)/ready-docs $(COLLECTIONS)/ready $(CORE) $(RELEASES) $(OTHERS)/ready $(ENVIRONMENTS) $(SYSTEM)/ready

test: packages-test
	@rm -rf build/passed
	@$(MAKE) --no-print-directory -k -j2 -Otarget $(BUILT) $(ONE_CORE) || true
	@$(MAKE) --no-print-directory test-matrix || true
	@$(MAKE) --no-print-directory test-main || true
	@failed=; for part in $(PARTS); do [ -e build/passed/$$part ] || failed="$$failed $$part"; done; \
		[ -z "$$failed" ] || { echo "Failed:$$failed"; exit 1; }

check: packages-test $(VENV)/ready-test $(CORE) $(COLLECTIONS)/ready
	@$(WITH_COLLECTION) $(BIN)/python -m pytest $(TESTS)

.PHONY: $(PARTS)
$(OTHER_PYTHONS:%=test-python-%): test-python-%: build/venvs/python-%/ready $(CORE)
	@$(BEGIN); $(ISOLATED) build/venvs/python-$*/bin/$(PYTEST) $(BINDING) && $(PASSED)

test-system: $(SYSTEM)/ready $(VENV)/ready-test
	@$(BEGIN); (cd $(SYSTEM) && $(ISOLATED) $(abspath $(BIN))/$(PYTEST) $(BINDING)) && $(PASSED)

test-crash: $(VENV)/ready-test $(CORE)
	@$(BEGIN); $(ISOLATED) $(BIN)/$(PYTEST) $(CRASH) && $(PASSED)

$(ANSIBLES:%=test-ansible-%): test-ansible-%: build/venvs/ansible-%/ready $(VENV)/ready-test $(COLLECTIONS)/ready
	@$(BEGIN); ANSIBLE_BIN=$(abspath build/venvs/ansible-$*/bin) $(WITH_COLLECTION) $(BIN)/$(PYTEST) $(PLUGIN) && $(PASSED)

# All four columns take some minutes more.
test-matrix: $(VENV)/ready-test $(CORE) $(COLLECTIONS)/ready
	@$(BEGIN); SCENARIO_WAYS="libssh ssh ssh-pipelining" $(WITH_COLLECTION) $(BIN)/$(PYTEST) $(MATRIX) && $(PASSED)

matrix: packages-test $(VENV)/ready-test $(CORE) $(COLLECTIONS)/ready $(RELEASES) $(OTHERS)/ready
	@$(WITH_COLLECTION) $(BIN)/$(PYTEST) $(MATRIX)

test-main: $(VENV)/ready-test $(CORE) $(COLLECTIONS)/ready
	@$(BEGIN); rm -f $(SEEN_WORKING); export SEEN_WORKING=$(abspath $(SEEN_WORKING)); \
		$(WITH_COLLECTION) $(BIN)/$(PYTEST) $(MAIN) && $(BIN)/python -m tests.lab.works $(SEEN_WORKING) && $(PASSED)

build/venvs/python-%/ready: requirements-test.txt
	@echo "Making $(@D)"
	@"$$(scripts/find-python $*)" -m venv --clear $(@D)
	@$(@D)/bin/pip install -qq --no-compile ansible-core -r requirements-test.txt
	@touch $@

# ansible-2.17-3.11: ansible-core 2.17 on Python 3.11
build/venvs/ansible-%/ready:
	@echo "Making $(@D)"
	@"$$(scripts/find-python $(lastword $(subst -, ,$*)))" -m venv --clear $(@D)
	@$(@D)/bin/pip install -qq --no-compile $(if $(filter pre-%,$*),--pre ansible-core,"ansible-core~=$(firstword $(subst -, ,$*)).0")
	@touch $@

$(RELEASES): tests/lab/releases.py | $(VENV)/ready
	@{ $(BIN)/python -m tests.lab build && touch $@; } || [ -z "$$CI" ]

$(OTHERS)/ready: scripts/fetch_collections.py | $(VENV)/ready
	@echo "Fetching other collections"
	@$(BIN)/python scripts/fetch_collections.py $(OTHERS) && touch $@

$(SYSTEM)/ready: $(CORE_SOURCES) $(SOURCES) $(shell find tests -type f -not -name '*.pyc') | $(VENV)/ready
	@echo "Compiling the library against the system's libssh"
	@rm -rf $(SYSTEM) && mkdir -p $(SYSTEM)
	@cp -r LICENSES README.md galaxy.yml meta plugins pylibsshext pyproject.toml scripts setup.py tests $(SYSTEM)
	@rm -f $(SYSTEM)/pylibsshext/*.so
	@cd $(SYSTEM) && env -u LIBSSH_PREFIX $(abspath $(BIN))/python setup.py -q build_ext --inplace
	@touch $@

# A warning is an error. Takes seconds, so all of it is built anew.
docs: $(VENV)/ready-docs $(CORE)
	@$(BIN)/sphinx-build -q -E -W --keep-going -c scripts/docs -d build/docs/doctrees docs build/docs/html
	@echo build/docs/html/index.html
	@$(PASSED)

sanity: $(VENV)/ready-docs $(COLLECTIONS)/ready
	@PATH=$(abspath $(BIN)):$$PATH scripts/sanity $(COLLECTIONS)
	@$(PASSED)

bench: packages $(VENV)/ready-test $(CORE) $(COLLECTIONS)/ready
	@$(BIN)/python -m tests.benchmarks

lint: $(VENV)/ready-lint
	@PATH=$(abspath $(BIN)):$$PATH nox -s lint

clean:
	rm -rf build dist .venv .nox .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info pylibsshext/*.so
	find . -name __pycache__ -prune -exec rm -rf {} +
