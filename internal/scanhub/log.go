package scanhub

import (
	"io"

	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

// fingerprintKey names our fingerprint among those of the tools, which are kept
// under "tool/key".
const fingerprintKey = fingerprintVersion

// WriteSARIF writes what was found and what it counts for. v is the verdict on
// m: what is accepted or suppressed is marked so, and tools that have not
// scanned make the run one that did not succeed.
func WriteSARIF(w io.Writer, m *Merged, v *Verdict) error {
	l := &sarif.Log{}
	for i := range m.Scans {
		if s := &m.Scans[i]; s.Status != Scanned && s.Status != NotApplicable && s.Status != NotInstalled {
			l.Problems = append(l.Problems, s.Tool+" has not scanned: "+s.Reason)
		}
	}
	for i := range m.Findings {
		f := &m.Findings[i]
		e := sarif.Entry{
			Rule: f.Rule(), Title: f.Title, Message: f.Message, Severity: f.Severity, Score: f.Score, Place: f.Place, CWE: f.CWE,
			Request: f.Request, Baseline: "new", Fingerprints: []sarif.Fingerprint{{Key: fingerprintKey, Value: f.Fingerprint}},
		}
		for _, by := range f.By {
			e.By = append(e.By, by.Tool+"/"+by.Rule)
			for _, p := range by.Partial {
				e.Fingerprints = append(e.Fingerprints, sarif.Fingerprint{Key: by.Tool + "/" + p.Key, Value: p.Value})
			}
		}
		switch v.States[i] {
		case Known:
			e.Baseline, e.Muted = "unchanged", v.Notes[i]
		case Suppressed:
			e.Muted = v.Notes[i]
		}
		l.Entries = append(l.Entries, e)
	}
	return sarif.Write(w, l)
}
