package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/report"
	"github.com/apexlogic/apex/verdict"
)

// complianceManager owns what the background writes: other fields than those of
// who follows the sources, so that neither undoes the other's.
const complianceManager = "apex-compliance"

// reportName is what the report of each namespace is called.
const reportName = "apex-compliance"

// maxResults of one report object; the counts are of all. With messages of a
// kilobyte each it stays below what etcd stores (1.5 MiB).
const maxResults = 250

// reportKey names a report object.
type reportKey struct{ version, namespace string }

// written is what a report object was made to say; "" is that it is not there.
type written struct {
	content string
	at      time.Time
}

// renew is how old a report may be before it is written again although it says
// the same: somebody may have changed or removed it.
const renew = rescan / 2

// writeReports writes the namespace's report objects of the kinds that the API
// server serves, when they say something new, and removes them when nothing in
// the namespace is judged any more.
func (b *background) writeReports(ctx context.Context, j *judged) error {
	var errs error
	for _, version := range report.ClusterVersions() {
		errs = errors.Join(errs, b.writeReport(ctx, j, version))
	}
	return errs
}

func (b *background) writeReport(ctx context.Context, j *judged, version string) error {
	kind := report.ClusterKind(version, j.namespace)
	group, v, _ := strings.Cut(version, "/")
	id := kube.ID{Kind: kube.Kind{Group: group, Version: v, Kind: kind}, Namespace: j.namespace, Name: reportName}
	if _, err := b.c.client.Serves(ctx, id.Kind); errors.Is(err, kube.ErrUnknownKind) {
		return nil
	} else if err != nil {
		return err
	}
	key, now := reportKey{version, j.namespace}, b.c.o.Clock.Now()
	if len(j.report.Verdicts)+len(j.report.Unresolved) == 0 {
		if said, known := b.reports[key]; known && said.content == "" {
			return nil
		}
		if err := b.c.client.Delete(ctx, id, kube.Precondition{}); err != nil {
			return err
		}
		if b.reports[key] = (written{at: now}); len(j.subjects) == 0 {
			delete(b.reports, key)
		}
		return nil
	}
	content, err := contentOf(&j.report, version, j.namespace)
	if said := b.reports[key]; err != nil || said.content == content && now.Sub(said.at) < renew {
		return err
	}
	body, err := report.ClusterObject(&j.report, version, reportName, j.namespace, maxResults)
	if err != nil {
		return err
	}
	if _, err := b.c.client.Apply(ctx, body, kube.ApplyOptions{Manager: complianceManager}); err != nil {
		if errors.Is(err, kube.ErrNotFound) {
			return nil // the namespace is gone
		}
		return err
	}
	b.reports[key] = written{content, now}
	return nil
}

// contentOf names what a report says, without when it was said and by which record.
func contentOf(r *verdict.Report, version, namespace string) (string, error) {
	timeless := *r
	timeless.At = time.Time{}
	timeless.Verdicts = slices.Clone(r.Verdicts)
	for i := range timeless.Verdicts {
		timeless.Verdicts[i].ID = ""
	}
	body, err := report.ClusterObject(&timeless, version, reportName, namespace, maxResults)
	if err != nil {
		return "", err
	}
	data, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// reported returns the namespaces that have a report object: what ran there may
// have gone while nobody led.
func (b *background) reported(ctx context.Context) ([]string, error) {
	var out []string
	for _, version := range report.ClusterVersions() {
		group, v, _ := strings.Cut(version, "/")
		kind := kube.Kind{Group: group, Version: v, Kind: report.ClusterKind(version, "any")}
		err := b.c.client.ListMeta(ctx, kube.Selection{Kind: kind, Labels: "app.kubernetes.io/managed-by=apex"}, func(m kube.Meta) {
			if m.Name == reportName {
				out = append(out, m.Namespace)
			}
		})
		if err != nil && !errors.Is(err, kube.ErrUnknownKind) {
			return nil, err
		}
	}
	return out, nil
}
