# SPDX-License-Identifier: MIT
# Every target installs what it needs first (scripts/setup) and does nothing where that is there already.

# An own SHELL makes make run every line through it, with the PATH exported here.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
export PATH := $(PATH):/usr/local/go/bin
export CGO_ENABLED := 0

VERSION ?= $(shell scripts/version)
PREFIX ?= /usr/local
MODULE := github.com/domain-route/domain-route
GENERATED := 'internal/dataplane/*_bpfe[lb].go' 'internal/dataplane/*_bpfe[lb].o'
BPF_SOURCES = $(wildcard bpf/*.c bpf/*.h)
SCRIPTS = $(shell grep -lIrsE '^\#!.*[/ ](ba)?sh' scripts .ci vmtest contrib)

# A test that is skipped although this machine has what it needs is a failure. DOMAIN_ROUTE_NO_SKIP=0 allows skips.
export DOMAIN_ROUTE_NO_SKIP ?= 1
# The end-to-end tests run this binary.
export DOMAIN_ROUTE_BIN := $(CURDIR)/bin/domain-route

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/domain-route (needs Go only)
	go build -trimpath -buildvcs=false -ldflags '-s -w -X $(MODULE)/internal/cli.version=$(VERSION)' -o bin/domain-route ./cmd/domain-route

.PHONY: man
man: ## make the manual pages in bin/man (needs Go only)
	go run -trimpath ./man -version '$(VERSION)' -date "$$(date -u -d "@$$(scripts/version --epoch)" +%F)" bin/man

.PHONY: install
install: build man ## install for all users: PREFIX=/usr/local, DESTDIR= (needs Go only; root for the default)
	@mkdir -p bin/completions
	@for shell in bash zsh fish; do bin/domain-route completion $$shell >bin/completions/$$shell; done
	PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' scripts/install

.PHONY: uninstall
uninstall: ## remove what install brought, but a configuration that was changed (first: domain-route stop)
	PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' scripts/install --uninstall

.PHONY: package
package: ## make bin/dist: .deb, .rpm and SBOM for amd64 and arm64, SHA256SUMS
	scripts/setup package
	VERSION='$(VERSION)' scripts/package bin/dist

.PHONY: reproducible
reproducible: ## build program and packages twice, elsewhere, and compare
	scripts/setup package
	scripts/reproducible

.PHONY: generate
generate: ## compile the BPF programs again, for amd64 and arm64 (clang-19)
	scripts/setup generate
	go generate ./internal/dataplane

.PHONY: check-generated
check-generated: generate ## fail if the committed BPF objects are not those of the sources
	@changed=$$(git diff --name-only -- $(GENERATED); git ls-files --others -- $(GENERATED)); \
	if [[ -n $$changed ]]; then \
		printf '%s\n' "$$changed" "check-generated: these do not match bpf/. They are regenerated now; commit them:" \
			"  git add internal/dataplane && git commit" >&2; \
		exit 1; \
	fi

.PHONY: demo
demo: ## watch connections move: two uplinks in network namespaces, the real commands (root)
	@scripts/setup demo
	@$(MAKE) --no-print-directory -s build
	@go run ./cmd/domain-route-demo -bin bin/domain-route

# -count=1: the results depend on the kernel and its state, which the test cache does not know.
# -p 1: the end-to-end tests measure times, and fill the machine by themselves.
.PHONY: test
test: ## run every test (root); TESTFLAGS='-run NAME' passes on to go test
	scripts/setup test
	@$(MAKE) --no-print-directory build
	go vet ./...
	go test -count=1 -p 1 -timeout 20m $(TESTFLAGS) ./...

.PHONY: screens
screens: ## write docs/screens.md anew, from the real program in the lab (root)
	scripts/setup test
	@$(MAKE) --no-print-directory build
	go test -count=1 ./e2e/screens -update

.PHONY: lint
lint: ## golangci-lint, gofmt, clang-format, shellcheck
	scripts/setup lint
	@unformatted=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard -- '*.go')); \
	if [[ -n $$unformatted ]]; then printf 'not formatted (make format mends it):\n%s\n' "$$unformatted" >&2; exit 1; fi
	$(if $(BPF_SOURCES),clang-format-19 --dry-run -Werror $(BPF_SOURCES))
	shellcheck -x -P SCRIPTDIR $(SCRIPTS)
	scripts/golangci-lint run ./...

.PHONY: format
format: ## rewrite what gofmt and clang-format would complain about
	scripts/setup lint
	gofmt -w $$(git ls-files --cached --others --exclude-standard -- '*.go')
	$(if $(BPF_SOURCES),clang-format-19 -i $(BPF_SOURCES))

.PHONY: fuzz
fuzz: ## fuzz every parser for a minute each; FUZZSECONDS=10 for less
	scripts/fuzz-long $(FUZZSECONDS)

.PHONY: bench
bench: ## measure against no program attached; prints the table (root)
	@scripts/setup bench
	@$(MAKE) --no-print-directory -s build
	go run ./bench

.PHONY: vmtest
vmtest: ## the end-to-end tests on other kernels, under QEMU
	scripts/setup vmtest
	vmtest/run

.PHONY: clean
clean: ## remove what the build made
	rm -rf bin
