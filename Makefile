# make help lists what there is.
SHELL      := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
GO         ?= go
VERSION    := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
TOOLS      := .build/tools
GOTESTSUM  := $(TOOLS)/gotestsum
GOLANGCI   := $(TOOLS)/golangci-lint
SUPPLY     := $(TOOLS)/supply
PACKAGES   ?= ./...
BENCHTIME  ?= 1s
BENCHFLAGS ?=
RACEFLAGS  ?=
JOBSFLAGS  ?=
FUZZTIME   ?= 10s
SEED       ?= 1
PORT       ?= 8080
JOBS       ?= 300
CHAOSFLAGS ?=

.DEFAULT_GOAL := help
.PHONY: help run build man test race lint vet bench bench-jobs bench-go budget fuzz chaos chaos-long tidy-check vulns licences sbom clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## Build and run everything on this machine, with one demo sweep (PORT=8080)
	bin/sweepline up --demo --port $(PORT)

# nethttpomithttp2: on a laptop everything is HTTP/1.1, and HTTP/2 is half a megabyte. The functions have it.
build: ## Build bin/sweepline, which needs no C library
	@[ -x bin/sweepline ] || echo "Building bin/sweepline with $$($(GO) env GOVERSION): the pipeline, SQLite and an embedded Redis. The first build takes minutes, later ones seconds."
	CGO_ENABLED=0 $(GO) build -tags nethttpomithttp2 -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/sweepline ./local/cmd/sweepline

man: ## Write the command's manual pages into .build/man (man -M .build/man 1 sweepline-jobs)
	@rm -rf .build/man && mkdir -p .build/man/man1
	$(GO) test -ldflags "-X $$($(GO) list -m)/local/cmd/sweepline.version=$(VERSION)" ./local/cmd/sweepline -run '^TestManPages$$' -count 1 -man $(CURDIR)/.build/man/man1

test: $(GOTESTSUM) ## Run all tests; says what it left out where a server is missing
	$(GOTESTSUM) --format pkgname -- $(PACKAGES)

race: $(GOTESTSUM) ## Run all tests under the race detector
	$(GOTESTSUM) --format pkgname -- -race $(RACEFLAGS) $(PACKAGES)

vet: ## Run go vet
	$(GO) vet $(PACKAGES)

lint: $(GOLANGCI) ## Run the linters
	$(GOLANGCI) run $(PACKAGES)

bench: bench-jobs bench-go ## Measure whole jobs, then run the Go benchmarks: minutes

bench-jobs: build ## Measure whole jobs and what they cost (JOBSFLAGS="--only burst --compare old.json")
	bin/sweepline bench $(JOBSFLAGS)

budget: ## Count what one job costs and hold it to its budget
	$(GO) test ./local/bench -run Budget -count 1 -v

bench-go: ## Run the Go benchmarks (BENCHTIME=1s)
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) $(BENCHFLAGS) $(PACKAGES) | grep -v 'no test files'

# On a busy machine go test calls it a failure that the time is up: go.dev/issue/75804, fixed in Go 1.27.
fuzz: ## Run each fuzz test for FUZZTIME (10s)
	@set -e; for p in $$($(GO) list $(PACKAGES)); do \
	  dir=$$($(GO) list -f '{{.Dir}}' $$p); \
	  for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$dir/*_test.go 2>/dev/null | cut -d' ' -f2); do \
	    echo "$$p $$f"; \
	    if out=$$($(GO) test -tags fuzz -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p 2>&1); then echo "$$out" | tail -n 1; \
	    elif echo "$$out" | grep -q 'context deadline exceeded' && ! echo "$$out" | grep -qE 'Failing input|panic:|Error Trace'; then \
	      echo "ok (the end of FUZZTIME cut off an input that was running)"; \
	    else echo "$$out"; exit 1; fi; \
	  done; done

chaos: ## Break a running pipeline (SEED=1 JOBS=300) and check every promise from outside
	$(GO) build -o .build/chaos/chaos ./local/chaos
	.build/chaos/chaos --seed $(SEED) --jobs $(JOBS) $(CHAOSFLAGS)

chaos-long: ## The same with 20 seeds of 2,000 jobs, and five outages of ten minutes: hours
	$(GO) build -o .build/chaos/chaos ./local/chaos
	status=0; \
	  .build/chaos/chaos --seed $(SEED) --seeds 20 --jobs 2000 --quiet $(CHAOSFLAGS) || status=1; \
	  .build/chaos/chaos outages --for 10m --quiet || status=1; \
	  exit $$status

tidy-check: ## Check that go.mod and go.sum are tidy
	$(GO) mod tidy -diff

vulns: $(SUPPLY)/govulncheck ## Look for known vulnerabilities in what we call (VULNDB=folder with index and ID)
	.ci/vulns $(SUPPLY)

licences: $(SUPPLY)/govulncheck ## Check the licences of everything that is built into the command and the controller
	$(GO) list -deps -f '{{with .Module}}{{if .Version}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' \
	  ./local/cmd/sweepline ./knative/cmd/controller | $(SUPPLY)/licences

sbom: build $(SUPPLY)/govulncheck ## Write bin/sweepline.cdx.json: what the command is made of (CycloneDX)
	$(SUPPLY)/cyclonedx-gomod bin -std -json -version $(VERSION) -output bin/sweepline.cdx.json bin/sweepline

clean: ## Remove what was built
	rm -rf bin .build

$(GOTESTSUM): .ci/tools/go.mod
	@mkdir -p $(TOOLS)
	$(GO) build -C .ci/tools -o $(CURDIR)/$(TOOLS)/ gotest.tools/gotestsum

$(GOLANGCI): .ci/tools/go.mod
	@mkdir -p $(TOOLS)
	$(GO) build -C .ci/tools -o $(CURDIR)/$(TOOLS)/ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

# All of them, since one rule stands for one file.
$(SUPPLY)/govulncheck: .ci/tools/supply/go.mod $(wildcard .ci/tools/supply/*/*.go)
	@mkdir -p $(SUPPLY)
	$(GO) build -C .ci/tools/supply -o $(CURDIR)/$(SUPPLY)/ ./vulndb ./licences \
	  github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod golang.org/x/vuln/cmd/govulncheck

include knative/targets.mk
