package advisory_test

import (
	"slices"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/advisory"
	"github.com/apexlogic/apex/internal/advisory/osv"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

var today = time.Date(2026, 8, 22, 0, 0, 0, 0, time.UTC)

const image = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

func signedBy(who string) fact.Signing {
	return fact.Signing{Format: fact.FormatBundle, TrustedBy: []string{"suppliers"}, KeyID: "sha256:" + who, Code: verdict.OK}
}

// statement is one that counts.
func statement() fact.VEX {
	return fact.VEX{
		Vulnerability: "CVE-2025-1000", Products: []string{image}, Subcomponents: []string{"pkg:pypi/lib@1.0"}, Status: fact.NotAffected,
		Justification: "vulnerable_code_not_in_execute_path", Made: today.AddDate(0, -1, 0), Until: today.AddDate(0, 1, 0), Signing: signedBy("a"),
	}
}

func apply(exploited bool, statements ...fact.VEX) *advisory.Match {
	m := advisory.Match{Finding: advisory.Finding{Group: "CVE-2025-1000", IDs: []string{"PYSEC-1"}, Aliases: []string{"CVE-2025-1000", "GHSA-1"}, Status: advisory.Affected}}
	if exploited {
		m.Exploited = &osv.Exploited{CVE: "CVE-2025-1000"}
	}
	all := []advisory.Match{m}
	packages := []fact.Package{{Ecosystem: "PyPI", Name: "lib", Version: "1.0", PURL: "pkg:pypi/lib@1.0?file_name=lib.whl"}}
	advisory.ApplyVEX(all, packages, statements, advisory.Product{Names: []string{image, "pkg:oci/captioner@" + image + "?repository_url=example.com/captioner"}}, today)
	return &all[0]
}

func TestAStatementSuppressesOnlyWhenAllOfItHolds(t *testing.T) {
	if m := apply(false, statement()); !m.Suppressed() || m.VEX.By[0] != "sha256:a" {
		t.Fatalf("a good statement does not count: %+v", m.VEX)
	}
	for _, tc := range []struct {
		name   string
		change func(*fact.VEX)
		about  bool // the statement is about the match, and shown
		counts bool
	}{
		{"another name of the vulnerability", func(s *fact.VEX) { s.Vulnerability = "GHSA-1" }, true, true},
		{"by an alias of the statement's", func(s *fact.VEX) { s.Vulnerability, s.Aliases = "X-1", []string{"PYSEC-1"} }, true, true},
		{"another vulnerability", func(s *fact.VEX) { s.Vulnerability = "CVE-2025-1001" }, false, false},
		{"fixed", func(s *fact.VEX) { s.Status, s.Justification = fact.Fixed, "" }, true, true},
		{"affected", func(s *fact.VEX) { s.Status = fact.Affected }, true, false},
		{"being investigated", func(s *fact.VEX) { s.Status = fact.UnderInvestigation }, true, false},
		{"a status that nobody knows", func(s *fact.VEX) { s.Status = "fine" }, true, false},
		{"no reason", func(s *fact.VEX) { s.Justification = " " }, true, false},
		{"an impact statement for a reason", func(s *fact.VEX) { s.Justification, s.Impact = "", "not reached" }, true, true},
		{"nobody signed", func(s *fact.VEX) { s.Signing = fact.Signing{} }, true, false},
		{"a stranger signed", func(s *fact.VEX) { s.Signing.TrustedBy = nil }, true, false},
		{"the signature has lapsed", func(s *fact.VEX) { s.Signing.Until = today }, true, false},
		{"no expiry", func(s *fact.VEX) { s.Until = time.Time{} }, true, false},
		{"it expired this moment", func(s *fact.VEX) { s.Until = today }, true, false},
		{"it expires the next", func(s *fact.VEX) { s.Until = today.Add(time.Second) }, true, true},
		{"it is of tomorrow", func(s *fact.VEX) { s.Made = today.AddDate(0, 0, 1) }, true, false},
		{"another image", func(s *fact.VEX) { s.Products = []string{"sha256:" + "00"} }, false, false},
		{"the image by its PURL", func(s *fact.VEX) { s.Products = []string{"pkg:oci/captioner@" + image} }, true, true},
		{"the image by its PURL without a digest", func(s *fact.VEX) { s.Products = []string{"pkg:oci/captioner"} }, true, true},
		{"the image in another repository", func(s *fact.VEX) { s.Products = []string{"pkg:oci/captioner?repository_url=example.com/other"} }, false, false},
		{"another version of the package", func(s *fact.VEX) { s.Subcomponents = []string{"pkg:pypi/lib@1.1"} }, false, false},
		{"any version of the package", func(s *fact.VEX) { s.Subcomponents = []string{"pkg:pypi/Lib"} }, true, true},
		{"the whole image", func(s *fact.VEX) { s.Subcomponents = nil }, true, true},
		{"the package wherever it is", func(s *fact.VEX) { s.Products, s.Subcomponents = []string{"pkg:pypi/lib@1.0"}, nil }, true, true},
		{"no product", func(s *fact.VEX) { s.Products = nil }, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := statement()
			tc.change(&s)
			m := apply(false, s)
			if (m.VEX != nil) != tc.about || m.Suppressed() != tc.counts {
				t.Errorf("%+v", m.VEX)
			}
			if m.VEX != nil && !m.VEX.Counts && m.VEX.Why == "" {
				t.Error("it does not say why it does not count")
			}
		})
	}
}

func TestTheNewestStatementInForceCounts(t *testing.T) {
	earlier, later := statement(), statement()
	later.Made, later.Status, later.Signing = today.AddDate(0, 0, -1), fact.Affected, signedBy("b")
	if apply(false, earlier, later).Suppressed() {
		t.Error("an older statement beat a newer one")
	}
	later.Signing = fact.Signing{}
	if !apply(false, earlier, later).Suppressed() {
		t.Error("an unsigned statement beat a signed one")
	}
	later.Signing, later.Made = signedBy("b"), earlier.Made
	if apply(false, earlier, later).Suppressed() || apply(false, later, earlier).Suppressed() {
		t.Error("of two of one time the favourable one won")
	}
}

func TestWhatIsExploitedNeedsASecondApprover(t *testing.T) {
	first, second := statement(), statement()
	if apply(true, first).Suppressed() {
		t.Error("one signer silenced it")
	}
	if apply(true, first, second).Suppressed() {
		t.Error("one signer silenced it by saying it twice")
	}
	second.Signing, second.Until = signedBy("b"), today.AddDate(0, 0, 3)
	m := apply(true, first, second)
	if !m.Suppressed() || len(m.VEX.By) != 2 || !m.VEX.Until.Equal(second.Until) {
		t.Errorf("two signers do not silence it, or longer than both say: %+v", m.VEX)
	}
	second.Until = today
	if apply(true, first, second).Suppressed() {
		t.Error("the second one's word has lapsed")
	}
	// The second one took it back since.
	taken := second
	second.Until = today.AddDate(0, 0, 3)
	taken.Until, taken.Status, taken.Made = today.AddDate(0, 0, 3), fact.UnderInvestigation, second.Made.Add(time.Hour)
	first.Made = taken.Made.Add(time.Hour)
	if apply(true, first, second, taken).Suppressed() {
		t.Error("the second one took it back, and it still counts")
	}
}

func TestMatchesAreRankedByWhatToMendFirst(t *testing.T) {
	severity := func(score float64) osv.Severity { s := osv.FromScore(score); s.Basis = osv.BasisCVSSv3; return s }
	match := func(change func(*advisory.Match)) *advisory.Match {
		m := &advisory.Match{Finding: advisory.Finding{Status: advisory.Affected, Severity: severity(5)}}
		change(m)
		return m
	}
	kev := &osv.Exploited{CVE: "CVE-2025-1000"}
	// From the most to the least urgent.
	list := []struct {
		name string
		m    *advisory.Match
		c    advisory.Circumstances
		want advisory.Urgency
	}{
		{"exploited, with a high prediction", match(func(m *advisory.Match) { m.Exploited, m.EPSS = kev, 0.9 }), advisory.Circumstances{}, advisory.Act},
		{"malicious", match(func(m *advisory.Match) { m.Malicious = true }), advisory.Circumstances{}, advisory.Act},
		{"exploited, of low severity", match(func(m *advisory.Match) { m.Exploited, m.Severity = kev, severity(2) }), advisory.Circumstances{Imported: advisory.No}, advisory.Act},
		{"exploited, in a deleted file", match(func(m *advisory.Match) { m.Exploited, m.Removed = kev, true }), advisory.Circumstances{}, advisory.Attend},
		{"likely to be exploited", match(func(m *advisory.Match) { m.EPSS = 0.3 }), advisory.Circumstances{}, advisory.Attend},
		{"critical and reachable", match(func(m *advisory.Match) { m.Severity = severity(9.8) }), advisory.Circumstances{Exposed: advisory.Yes, Imported: advisory.Yes}, advisory.Attend},
		{"critical", match(func(m *advisory.Match) { m.Severity = severity(9.8) }), advisory.Circumstances{}, advisory.Attend},
		{"high and reachable", match(func(m *advisory.Match) { m.Severity = severity(7.5) }), advisory.Circumstances{Exposed: advisory.Yes}, advisory.Attend},
		{"critical and never imported", match(func(m *advisory.Match) { m.Severity = severity(9.8) }), advisory.Circumstances{Imported: advisory.No}, advisory.TrackClosely},
		{"high with a fix", match(func(m *advisory.Match) { m.Severity, m.Fixed = severity(7.5), "2" }), advisory.Circumstances{}, advisory.TrackClosely},
		{"high without", match(func(m *advisory.Match) { m.Severity = severity(7.5) }), advisory.Circumstances{}, advisory.TrackClosely},
		{"of unknown severity, which is not low", match(func(m *advisory.Match) { m.Severity = osv.Severity{} }), advisory.Circumstances{}, advisory.TrackClosely},
		{"medium and reachable", match(func(*advisory.Match) {}), advisory.Circumstances{Exposed: advisory.Yes}, advisory.Track},
		{"medium", match(func(*advisory.Match) {}), advisory.Circumstances{}, advisory.Track},
		{"exploited and suppressed", match(func(m *advisory.Match) { m.Exploited, m.VEX = kev, &advisory.Exploitability{Counts: true} }), advisory.Circumstances{}, advisory.Track},
	}
	ranked := make([]advisory.Priority, len(list))
	for i, tc := range list {
		ranked[i] = advisory.Rank(tc.m, tc.c)
		if ranked[i].Urgency != tc.want || len(ranked[i].Reasons) == 0 {
			t.Errorf("%s: %+v", tc.name, ranked[i])
		}
		for j := range i {
			if ranked[j].Compare(ranked[i]) >= 0 || ranked[i].Compare(ranked[j]) <= 0 {
				t.Errorf("%q does not come before %q", list[j].name, tc.name)
			}
		}
	}
	if !slices.IsSortedFunc(ranked, advisory.Priority.Compare) {
		t.Error("the order is not one")
	}
}
