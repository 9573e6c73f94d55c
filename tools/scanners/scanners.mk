# The scanners that CI runs for real, built once into bin/tools. Include it from
# the Makefile, or call it: make -f tools/scanners/scanners.mk scanners

.PHONY: scanners go-advisories
SCANNERS_BIN ?= $(CURDIR)/bin/tools

scanners: $(SCANNERS_BIN)/gosec $(SCANNERS_BIN)/gitleaks $(SCANNERS_BIN)/govulncheck

# About 4, 2 and 1 minutes on two cores; the versions are those of go.mod.
$(SCANNERS_BIN)/gosec: tools/scanners/go.sum
	cd tools/scanners && GOTOOLCHAIN=local CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o $@ github.com/securego/gosec/v2/cmd/gosec

$(SCANNERS_BIN)/gitleaks: tools/scanners/go.sum
	cd tools/scanners && GOTOOLCHAIN=local CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o $@ github.com/zricethezav/gitleaks/v8

$(SCANNERS_BIN)/govulncheck: tools/scanners/go.sum
	cd tools/scanners && GOTOOLCHAIN=local CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o $@ golang.org/x/vuln/cmd/govulncheck

# make go-advisories FROM=advisories.jsonl.gz
go-advisories:
	cd tools/scanners && GOTOOLCHAIN=local go run ./godb -out $(CURDIR)/bin/go-advisories $(abspath $(FROM))
