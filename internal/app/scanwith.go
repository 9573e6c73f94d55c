package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/format/cyclonedx"
	"github.com/apexlogic/apex/internal/scanhub"
	"github.com/apexlogic/apex/internal/scanhub/tools"
	"github.com/apexlogic/apex/verdict"
)

// ScanWith runs a vulnerability scanner of this machine ("Trivy", "Grype",
// "OSV-Scanner") on the inventory of each image that is asked about, in a cage,
// and hands its reports in. An image that could not be scanned gets no report,
// and a policy that asks for one denies it: the problems say why.
func (e *Engine) ScanWith(ctx context.Context, scanner string, a Asked, c clock.Clock, version string) (problems []error, err error) {
	dir, err := os.MkdirTemp("", "apex-scan-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	done := map[string]bool{}
	var reports []fact.Report
	for _, q := range a.Questions {
		if q.Kind == verdict.KindModel || done[q.Asked] {
			continue
		}
		done[q.Asked] = true
		report, err := e.scanOne(ctx, scanner, q.Asked, filepath.Join(dir, fmt.Sprintf("%d.cdx.json", len(done))), c, version)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", q.Asked, err))
			continue
		}
		reports = append(reports, report)
	}
	e.Verifier.HandIn(reports...)
	return problems, nil
}

func (e *Engine) scanOne(ctx context.Context, scanner, image, file string, c clock.Clock, version string) (fact.Report, error) {
	inventory, err := TakeInventory(ctx, image, InventoryOptions{Registry: e.Registry, Clock: c, Version: version})
	if err != nil {
		return fact.Report{}, err
	}
	if len(inventory.Gaps) > 0 {
		// A scanner cannot know what is not in the list that it is given.
		return fact.Report{}, fmt.Errorf("not all of it could be read: %s: %s", inventory.Gaps[0].Path, inventory.Gaps[0].Why)
	}
	var list bytes.Buffer
	if err := cyclonedx.Write(&list, &inventory); err != nil {
		return fact.Report{}, err
	}
	if err := os.WriteFile(file, list.Bytes(), 0o600); err != nil {
		return fact.Report{}, err
	}
	var runner scanhub.Runner
	found := runner.Vulnerabilities(ctx, scanhub.VulnerabilityScan{
		Scanner: scanner, Target: tools.Target{SBOM: file}, Subject: inventory.Subject.Digest, Clock: c,
	})
	report, code, ok := found.All()
	if !ok {
		return fact.Report{}, errors.Join(fmt.Errorf("%s: %s", code, found.Why()), errors.New(code.Info().Mend))
	}
	return report, nil
}
