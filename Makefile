# make up     the main job: everything embedded
# make test   all tests, installing what they need
# The rest is for developers; see docs/development.md.

export GOTOOLCHAIN := local
export CGO_ENABLED := 0

GO   ?= go
BIN  := $(CURDIR)/bin
TOOL := $(BIN)/tools
FUZZTIME ?= 30s

.PHONY: up build test race lint generate check-generated bench bench-peers fuzz fuzz-count real-models dast test-kube kills soak interop startup clean

up:
	$(GO) run ./cmd/apex up

build:
	$(GO) build -trimpath -ldflags '-s -w' -o $(BIN)/apex ./cmd/apex

# Tests need git; those that need PostgreSQL say so and skip without it.
test: deps
	$(GO) test ./...

include tools/scanners/scanners.mk

.PHONY: deps
deps:
	@command -v git >/dev/null || { echo "git is needed"; exit 3; }
	@sh tools/postgres.sh

race:
	CGO_ENABLED=1 $(GO) test -race -timeout 30m ./...

$(TOOL)/%: tools/go.mod tools/go.sum
	cd tools && $(GO) build -o $(TOOL)/ sigs.k8s.io/controller-tools/cmd/controller-gen honnef.co/go/tools/cmd/staticcheck

lint: $(TOOL)/staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "gofmt:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(TOOL)/staticcheck ./...

# CRDs, deep copies, the schema that the binary embeds, the page of codes.
generate: $(TOOL)/controller-gen
	$(TOOL)/controller-gen object:headerFile=/dev/null paths=./api/...
	$(TOOL)/controller-gen crd:maxDescLen=2000 paths=./api/... output:crd:dir=config/crd
	$(GO) generate ./...

check-generated: generate
	@git diff --exit-code -- api config docs internal || { echo "generated files are not current: run make generate and commit"; exit 1; }

# Ten minutes of mixed traffic through a gateway, with faults: see test/gateway.
soak:
	APEX_SOAK=10m $(GO) test -count=1 -v -timeout 30m -run TestASoak ./test/gateway

# Package initialisation is paid by every command: it has a budget.
startup: build
	cd tools && $(GO) run ./startup -budget 30ms $(BIN)/apex version

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

bench-peers:
	cd bench/peers && $(GO) test -run '^$$' -bench . -timeout 60m ./...

# Regenerates the fixtures of real cosign; builds it the first time.
interop:
	sh tools/interop.sh

fuzz:
	sh tools/fuzz.sh $(FUZZTIME)

# Runs the parsers of models in turns until each was executed 10 million times; it
# can be stopped and goes on where it was.
fuzz-count:
	sh tools/fuzzcount.sh

# Scans what the real libraries write; needs Debian's python3 packages, see
# tools/realmodels/README.md.
real-models:
	rm -rf $(BIN)/realmodels
	/usr/bin/python3 tools/realmodels/make.py --out $(BIN)/realmodels
	APEX_REAL_MODELS=$(BIN)/realmodels $(GO) test -count=1 -v -run TestFilesOfTheRealLibraries ./internal/model

# What needs a Kubernetes API server, on a real one that is built once (minutes).
test-kube:
	export KUBEBUILDER_ASSETS="$${KUBEBUILDER_ASSETS:-$$(test/kube/build.sh --full)}" && \
		$(GO) test -count=1 -timeout 30m ./internal/kube/... ./internal/gitops/... ./internal/admission/... ./internal/app/... ./internal/install/... ./internal/config/... ./test/cluster/...

# Probes the running captioner with the built-in scanner.
dast:
	sh tools/dast.sh

# The long forms of what the tests do shortly.
kills:
	APEX_CRASHES=150 APEX_KILLS=200 APEX_FLIPS=10000 $(GO) test -count 1 -timeout 60m ./internal/ledger/... ./internal/app/...

clean:
	rm -rf $(BIN)
