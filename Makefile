# Everything a person can run in this checkout. Rust and a C compiler are needed; MySQL comes by itself (e2e/servers).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*/\1/p' Makefile)

CARGO ?= cargo
CACHE := $(or $(GHOSTSHIP_CACHE),$(HOME)/.cache/ghostship)
DENY_VERSION := 0.20.2
DENY := $(CACHE)/tools/cargo-deny-$(DENY_VERSION)/bin/cargo-deny
# How long the longer tests run, and what `make run` is given.
COUNT ?= 20
PAUSE ?= 7200
ARGS ?= --help
# Where `make install-plugin` puts bin/.
PREFIX ?= /usr/local

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

fmt: ## Format the code
	$(CARGO) fmt --all

fmt-check: ## Check the format
	$(CARGO) fmt --all --check

lint: ## Check with clippy; every warning fails
	$(CARGO) clippy --locked --all-targets --all-features -- -D warnings

test: ## Run every test: unit tests, the tree's rules, and the cases on real MySQL servers
	$(CARGO) test --locked --features failpoints --tests --no-fail-fast

test-unit: ## Run the tests that need no server
	$(CARGO) test --locked --features failpoints --lib --bins
	$(CARGO) test --locked --features failpoints --test main -- repository::

test-long: ## Run every test in its longer version: COUNT=20 rounds, PROPTEST_CASES=4096, a pause of PAUSE=7200 s
	GHOSTSHIP_TEST_RUNS=$(COUNT) GHOSTSHIP_TEST_PAUSE=$(PAUSE) PROPTEST_CASES=$${PROPTEST_CASES:-4096} $(MAKE) test

e2e-long: ## Run the tests in a cluster, the long ones as well (a quarter of an hour)
	GHOSTSHIP_E2E=long $(CARGO) test --locked --features failpoints --test main -- cluster::

crds: ## Write crds/ anew from the code, and its copies for the chart and for kustomize
	rm -f crds/*.yaml charts/ghostship/files/crds/*.yaml config/crd/*.ghostship.dev.yaml
	$(CARGO) run --quiet --locked --features failpoints -- crds | awk -v RS='---\n' \
		'/name: / { split($$0, part, /\n  name: |\n/); file = "crds/" part[4] ".yaml"; printf "---\n%s", $$0 > file }'
	cp crds/*.yaml charts/ghostship/files/crds
	cp crds/*.yaml config/crd

chart-files: ## Copy the alert rules and the dashboard into the chart
	for name in alerts.yaml dashboard.json; do \
		[ ! -f config/monitoring/$$name ] || cp config/monitoring/$$name charts/ghostship/files/$$name; \
	done

check-generated: crds chart-files ## Check that generated files are current
	git diff --exit-code -- crds config/crd charts/ghostship/files
	test -z "$$(git ls-files --others --exclude-standard -- crds config/crd charts/ghostship/files)"

deny: $(DENY) ## Check licences, banned crates and sources
	$(CARGO) fetch --quiet --locked
	$(DENY) --offline check licenses bans sources

advisories: $(DENY) ## Check for known vulnerabilities; fetches their list, and only warns
	$(DENY) check advisories || echo "WARNING: there are advisories, or their list could not be fetched"

check: fmt-check lint check-generated deny test-unit ## Everything that needs no server

demo: ## Migrate half a million rows under load on a throw-away server, and show what happened
	e2e/demo/run

demo-cluster: ## Show the operator on a throw-away Kubernetes: a migration by kubectl, under load
	e2e/demo/cluster

bench: ## Measure ghostship beside other tools; see benches/README.md
	$(CARGO) build --locked --release
	benches/run

run: ## Run ghostship: ARGS="run -f migration.yaml"
	$(CARGO) run --locked -- $(ARGS)

install-plugin: ## Install kubectl-ghostship, and its completion for kubectl, below PREFIX=/usr/local
	$(CARGO) build --locked --release --bin kubectl-ghostship
	install -D --target-directory=$(PREFIX)/bin "$$($(CARGO) metadata --format-version 1 --no-deps --offline | \
		sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/kubectl-ghostship"
	ln -sf kubectl-ghostship $(PREFIX)/bin/kubectl_complete-ghostship

servers-stop: ## End and remove all throw-away servers
	e2e/servers/server list | awk '{ print $$1 }' | xargs -r -n 1 e2e/servers/server destroy

cluster-up: ## Start a throw-away Kubernetes of one node; prints the path of its kubeconfig
	@e2e/cluster/cluster up

cluster-down: ## End and remove it, and the MySQL servers that were started for it
	e2e/cluster/cluster down

# Without its part for advisories over the network and without optimisation: one minute on two cores, once.
$(DENY):
	CARGO_TARGET_DIR=$(CACHE)/tools/build CARGO_PROFILE_DEV_DEBUG=0 $(CARGO) install --quiet --locked --debug \
		--no-default-features --version $(DENY_VERSION) --root $(CACHE)/tools/cargo-deny-$(DENY_VERSION) cargo-deny
	rm -rf $(CACHE)/tools/build
