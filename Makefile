# One word a target. `make` alone lists them.

GO       ?= go
TOOLS    := $(CURDIR)/.tools
MODULES  := . charts

# The tools that the targets use, and their versions: here and nowhere else. Each is built
# from its module, or installed from its package, into .tools, under a folder named by its
# version.
GOLANGCI_LINT_VERSION := v2.15.0
BENCHSTAT_VERSION     := v0.0.0-20260908200009-22c9c6c9d4da
REDOCLY_VERSION       := 2.77.0

GOLANGCI_LINT := $(TOOLS)/golangci-lint@$(GOLANGCI_LINT_VERSION)/golangci-lint
BENCHSTAT     := $(TOOLS)/benchstat@$(BENCHSTAT_VERSION)/benchstat
REDOCLY       := $(TOOLS)/redocly@$(REDOCLY_VERSION)/node_modules/.bin/redocly

# What a caller may set: make bench BENCH=Fold COUNT=10, make chaos SEEDS=100000 FAULTS=200
PKG      ?= ./...
BENCH    ?= .
COUNT    ?= 6
FUZZTIME ?= 30s
SEEDS    ?= 10000
SEED     ?= $(shell date +%s)
EVENTS   ?= 100000
FAULTS   ?= 40

# Never from the cache, which does not know that they read files and build a command that
# lie outside of their module.
test-charts = cd charts && $(GO) test -count=1 ./...

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/pinstatus
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/pinstatus

.PHONY: servers
servers: ## Install the servers that tests run, where they are missing (Debian)
	.ci/servers

.PHONY: test
test: servers ## Run all tests under the race detector, then those of the charts module
	$(GO) test -race -timeout 30m ./...
	$(test-charts)

.PHONY: race
race: servers ## Run the tests of PKG (./...) under the race detector, uncached
	$(GO) test -race -count=1 $(PKG)

.PHONY: chaos
chaos: servers ## Inject faults: SEEDS (10,000) simulated runs, then FAULTS (40) into processes, servers and networks
	$(GO) test ./projector/simulation -run 'Simulation|Planted' -v -seeds=$(SEEDS) -timeout 2h
	$(GO) test ./cmd/pinstatus/acceptance -run 'Chaos|FlushAllHeals' -v -timeout 2h \
		-chaos.events=$(EVENTS) -chaos.faults=$(FAULTS) -chaos.seed=$(SEED)

.PHONY: charts
charts: servers ## Copy the alerts and the dashboard into the chart, and test it
	cp deploy/prometheus/alerts.yml charts/pinstatus/files/alerts.yml
	cp deploy/grafana/dashboards/pinstatus.json charts/pinstatus/files/dashboard.json
	$(test-charts)

.PHONY: vet
vet: ## Run go vet
	@set -e; for module in $(MODULES); do (cd $$module && $(GO) vet ./...); done

.PHONY: lint
lint: $(GOLANGCI_LINT) $(REDOCLY) ## Run the linters, also that of the API's description, and check that go.mod is tidy
	@echo "lint query/openapi/openapi.yaml"
	@cd query/openapi && REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true $(REDOCLY) lint openapi.yaml
	@set -e; for module in $(MODULES); do \
		echo "lint $$module"; \
		(cd $$module && $(GO) mod tidy -diff && $(GOLANGCI_LINT) run --config $(CURDIR)/.golangci.yml ./...); \
	done

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## Format all Go files
	@set -e; for module in $(MODULES); do (cd $$module && $(GOLANGCI_LINT) fmt --config $(CURDIR)/.golangci.yml); done

.PHONY: fuzz
fuzz: ## Fuzz each decoder for FUZZTIME (30s)
	.ci/fuzz $(FUZZTIME)

.PHONY: bench
bench: servers $(BENCHSTAT) ## Run the benchmarks that match BENCH in PKG, COUNT times, and compare with the run before
	@mkdir -p .bench
	@if [ -f .bench/new.txt ]; then mv .bench/new.txt .bench/old.txt; fi
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) $(PKG) > .bench/run.txt || { cat .bench/run.txt; exit 1; }
	@mv .bench/run.txt .bench/new.txt
	@cd .bench && $(BENCHSTAT) $$(ls old.txt 2>/dev/null) new.txt

.PHONY: cover
cover: servers ## Measure the coverage of all packages by all tests: cover.html
	$(GO) test -coverpkg=./... -coverprofile=cover.out ./...
	$(GO) tool cover -html=cover.out -o cover.html
	@$(GO) tool cover -func=cover.out | tail -n 1

.PHONY: tools
tools: $(GOLANGCI_LINT) $(BENCHSTAT) $(REDOCLY) ## Put the tools into .tools

$(GOLANGCI_LINT):
	GOBIN=$(@D) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

$(BENCHSTAT):
	GOBIN=$(@D) $(GO) install golang.org/x/perf/cmd/benchstat@$(BENCHSTAT_VERSION)

$(REDOCLY):
	.ci/redocly $(TOOLS)/redocly@$(REDOCLY_VERSION) $(REDOCLY_VERSION)

.PHONY: clean
clean: ## Remove what the targets made, the tools too
	rm -rf bin .bench .tools cover.out cover.html
