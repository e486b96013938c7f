# Included by the Makefile: what runs on a cluster, and func.
KO       := $(CURDIR)/.build/tools/ko
FUNC     := $(CURDIR)/.build/tools/func
CRANE    := $(CURDIR)/.build/tools/crane
REGISTRY ?= ko.local
PLATFORM ?= linux/amd64
OVERLAY  ?= kind
RELEASE  ?= class overlays/production
IMAGES   := $(patsubst %/main.go,%,$(wildcard functions/cmd/*/main.go)) knative/cmd/broker knative/cmd/controller

.PHONY: kind-up kind-deploy kind-demo kind-down deploy demo e2e images release digests broker-certificate func-run func-build func-e2e func-tool ko-tool

kind-up: ## Make a kind cluster with Knative and Kourier
	knative/scripts/kind.sh up

kind-deploy: $(KO) ## Build all images and deploy the pipeline to the kind cluster
	KO=$(KO) knative/scripts/kind.sh deploy

kind-demo: ## Run one sweep through the kind cluster
	knative/scripts/kind.sh demo

deploy: $(KO) ## Build all images, push them and deploy OVERLAY=kind to the cluster of your kubeconfig (REGISTRY=)
	KO_DOCKER_REPO=$(filter-out ko.local,$(REGISTRY)) OVERLAY=$(OVERLAY) KO=$(KO) knative/scripts/deploy.sh apply

demo: ## Run one sweep through what is deployed there
	knative/scripts/deploy.sh demo

kind-down: ## Remove the kind cluster
	knative/scripts/kind.sh down

e2e: ## Try what is deployed on the cluster of your kubeconfig (STORIES="pipeline chaos …")
	knative/scripts/e2e.sh $(STORIES)

images: $(KO) ## Build all images with SBOMs (REGISTRY=, PLATFORM=linux/amd64,linux/arm64)
	KO_DOCKER_REPO=$(REGISTRY) GOFLAGS=-trimpath SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(KO) build \
	  --base-import-paths --platform=$(PLATFORM) --sbom=spdx --tags=$(VERSION) $(addprefix ./,$(IMAGES))

release: $(KO) ## Build and push all images, and write .build/release/*.yaml with their digests (REGISTRY=, RELEASE=overlays/yours)
	KO_DOCKER_REPO=$(filter-out ko.local,$(REGISTRY)) GOFLAGS=-trimpath SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) \
	  PLATFORM=$(PLATFORM) VERSION=$(VERSION) KO=$(KO) knative/scripts/release.sh $(RELEASE)

broker-certificate: ## Make the production Broker's certificate, or renew it (NAMESPACE=sweepline)
	NAMESPACE=$(or $(NAMESPACE),sweepline) knative/scripts/certificate.sh

digests: $(CRANE) ## Ask registries whether the tags of pinned images have moved on (WRITE=1 takes them up)
	CRANE=$(CRANE) knative/scripts/digests.sh $(if $(WRITE),--write)

func-run: func-tool ## Run a function with Knative's func CLI (FN=submit, K_SINK=…)
	FUNC=$(FUNC) knative/scripts/func.sh run $(FN)

func-build: func-tool ## Build a function's image with the func CLI (FN=submit)
	FUNC=$(FUNC) REGISTRY=$(REGISTRY) knative/scripts/func.sh build $(FN)

func-e2e: func-tool build ## Start every function by func run and take one job through (REDIS_URL, DATABASE_URL)
	FUNC=$(FUNC) knative/scripts/func-e2e.sh

func-tool: $(FUNC)
ko-tool: $(KO)

$(KO): knative/tools/ko/go.mod
	@mkdir -p $(@D)
	$(GO) build -C knative/tools/ko -o $@ github.com/google/ko

$(CRANE): knative/tools/ko/go.mod
	@mkdir -p $(@D)
	$(GO) build -C knative/tools/ko -o $@ github.com/google/go-containerregistry/cmd/crane

$(FUNC): knative/tools/func/go.mod
	@mkdir -p $(@D)
	$(GO) build -C knative/tools/func -o $@ knative.dev/func/cmd/func
