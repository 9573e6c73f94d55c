package advisory_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/advisory"
	"github.com/apexlogic/apex/internal/advisory/osv"
	"github.com/apexlogic/apex/internal/fact"
)

// advisoryOf is a record about one package of PyPI as a line.
func advisoryOf(id, name, ranges, versions, more string) string {
	return fmt.Sprintf(`{"id":%q,"modified":"2026-01-01T00:00:00Z"%s,"affected":[{"package":{"ecosystem":"PyPI","name":%q},"ranges":[%s],"versions":[%s]}]}`+"\n", id, more, name, ranges, versions)
}

func events(all string) string { return `{"type":"ECOSYSTEM","events":[` + all + `]}` }

// TestTraps holds one record against one version: each trap with its twin.
func TestTraps(t *testing.T) {
	const git = `{"type":"GIT","repo":"https://example.com","events":[{"introduced":"0"},{"fixed":"abc"}]}`
	upTo := func(v string) string { return events(`{"introduced":"0"},{"fixed":"` + v + `"}`) }
	until := func(v string) string { return events(`{"introduced":"0"},{"last_affected":"` + v + `"}`) }
	for _, tc := range []struct {
		name, ranges, versions, installed string
		want                              string // "", "affected", "unknown"
	}{
		{"a release candidate is before its release", upTo("2.0"), "", "2.0rc1", "affected"},
		{"the release is not", upTo("2.0"), "", "2.0", ""},
		{"a development version is before its release", upTo("2.0"), "", "2.0.dev1", "affected"},
		{"a post release is behind the fix", upTo("2.0"), "", "2.0.post1", ""},
		{"a post release is behind the last affected", until("2.0"), "", "2.0.post1", ""},
		{"zeros at the end do not count", until("2.6.7"), "", "2.6.7.0", "affected"},
		{"they do not count in lists either", "", `"2.6.7"`, "2.6.7.0", "affected"},
		{"an epoch beats all", upTo("2.0"), "", "1!0.1", ""},
		{"a v in front does not count", upTo("2.0"), "", "v1.0", "affected"},
		{"a build has the flaws of its release", until("2.1.0"), "", "2.1.0+cu121", "affected"},
		{"a build of the next release has not", until("2.1.0"), "", "2.1.1+cu121", ""},
		{"a build of the fixed release is fixed", upTo("2.1.0"), "", "2.1.0+cu121", ""},
		{"a build of a listed release is listed", "", `"2.1.0"`, "2.1.0+cu121", "affected"},
		{"another build than the listed one is not", "", `"2.1.0+cu118"`, "2.1.0+cu121", ""},
		{"a fix in one build is not in the others", upTo("2.1.0+p1"), "", "2.1.0", "affected"},
		{"it is in that build", upTo("2.1.0+p1"), "", "2.1.0+p1", ""},
		{"a last affected build means its release", until("2.6.0+cu124"), "", "2.6.0+cu126", "affected"},
		{"listed though outside of the range", upTo("1.0"), `"3.0"`, "3.0", "affected"},
		{"in the range though not listed", upTo("1.0"), `"3.0"`, "0.5", "affected"},
		{"neither", upTo("1.0"), `"3.0"`, "2.0", ""},
		{"a GIT range in front does not end the evaluation", git + "," + upTo("2.0"), "", "1.0", "affected"},
		{"a GIT range and a list", git, `"1.0"`, "2.0", ""},
		{"a GIT range alone says nothing", git, "", "1.0", "unknown"},
		{"no range and no list says nothing", "", "", "1.0", "unknown"},
		{"an unknown type of range says nothing", `{"type":"CPE","events":[{"introduced":"0"}]}`, "", "1.0", "unknown"},
		{"several pairs in any order", events(`{"fixed":"2.2"},{"introduced":"0"},{"introduced":"2.0"},{"fixed":"1.5"}`), "", "2.1", "affected"},
		{"between the pairs", events(`{"fixed":"2.2"},{"introduced":"0"},{"introduced":"2.0"},{"fixed":"1.5"}`), "", "1.7", ""},
		{"fixed and introduced again in one version", events(`{"introduced":"0"},{"fixed":"2.0"},{"introduced":"2.0"},{"fixed":"3.0"}`), "", "2.0", "affected"},
		{"a range without an end", events(`{"introduced":"2.0"}`), "", "99", "affected"},
		{"before a range without an end", events(`{"introduced":"2.0"}`), "", "1.9", ""},
		{"zero is before everything", upTo("1"), "", "0.dev0", "affected"},
		{"beyond a limit", events(`{"introduced":"0"},{"limit":"2.0"}`), "", "2.0", ""},
		{"within a limit", events(`{"introduced":"0"},{"limit":"2.0"}`), "", "1.9", "affected"},
		{"no limit", events(`{"introduced":"0"},{"limit":"*"}`), "", "99", "affected"},
		{"CPE's not-applicable is the release", until("2.6.0-NA"), "", "2.6.0", "affected"},
		{"and nothing behind it", until("2.6.0-NA"), "", "2.6.1", ""},
		{"a label with a hyphen is a build", until("2.6.0-cu124"), "", "2.6.0+cu118", "affected"},
		{"and nothing behind its release", until("2.6.0-cu124"), "", "2.6.1", ""},
		{"a bound within a release, before it", upTo("7.2.0-12.1"), "", "7.1.0", "affected"},
		{"a bound within a release, behind it", upTo("7.2.0-12.1"), "", "7.2.1", ""},
		{"a bound within a release, in it", upTo("7.2.0-12.1"), "", "7.2.0", "unknown"},
		{"listed settles it", upTo("7.2.0-12.1"), `"7.2.0"`, "7.2.0", "affected"},
		{"a date for an end does not make everything vulnerable", upTo("2019-09-12"), "", "0.1", "unknown"},
		{"a date for a beginning does not make everything safe", events(`{"introduced":"2019-09-12"},{"fixed":"2.0"}`), "", "1.0", "unknown"},
		{"behind a sure fix a date for a second end is nothing", events(`{"introduced":"0"},{"fixed":"2.0"},{"last_affected":"2019-09-12"}`), "", "3.0", ""},
		{"a range that ends twice", events(`{"introduced":"0"},{"last_affected":"2.5"},{"last_affected":"2.5.1"}`), "", "2.5.1", "unknown"},
		{"behind both ends", events(`{"introduced":"0"},{"last_affected":"2.5"},{"last_affected":"2.5.1"}`), "", "2.6", ""},
		{"an installed version that is none", upTo("2.0"), "", "trunk", "unknown"},
		{"an installed version that is none, and listed", upTo("2.0"), `"trunk"`, "trunk", "affected"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x := indexOf(t, []byte(advisoryOf("PYSEC-1", "lib", tc.ranges, tc.versions, "")))
			ms := x.Match([]fact.Package{{Ecosystem: "PyPI", Name: "Lib", Version: tc.installed}})
			got := ""
			if len(ms) == 1 {
				got = ms[0].Status.String()
			}
			if got != tc.want || len(ms) > 1 {
				t.Errorf("got %q, want %q: %+v", got, tc.want, ms)
			}
			if got == "unknown" && len(ms[0].Notes) == 0 {
				t.Error("it is unknown and does not say why")
			}
		})
	}
}

const everything = `{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}`

func TestAWithdrawnRecordSaysNothingAndItsTwinDoes(t *testing.T) {
	for more, want := range map[string]int{`,"withdrawn":"2026-01-01T00:00:00Z"`: 0, "": 1} {
		x := indexOf(t, []byte(advisoryOf("A", "lib", everything, "", more)))
		if ms := x.Match([]fact.Package{{Ecosystem: "PyPI", Name: "lib", Version: "1"}}); len(ms) != want {
			t.Errorf("%q: %+v", more, ms)
		}
	}
}

func TestAliasesAreOneFindingForEachPackage(t *testing.T) {
	x := indexOf(t, []byte(
		advisoryOf("PYSEC-1", "tensorflow", everything, "", `,"aliases":["CVE-2025-2000","GHSA-1"]`)+
			advisoryOf("PYSEC-2", "tensorflow", everything, "", `,"aliases":["GHSA-1"]`)+
			advisoryOf("PYSEC-3", "tensorflow", everything, "", `,"aliases":["GHSA-3"]`)+
			advisoryOf("PYSEC-4", "tensorflow-cpu", everything, "", `,"aliases":["CVE-2025-2000"]`)+
			advisoryOf("GHSA-3", "tensorflow", everything, "", ``)+
			advisoryOf("USN-1", "tensorflow", everything, "", `,"upstream":["CVE-2025-2000","CVE-2025-2001"]`)))
	ms := x.Match([]fact.Package{{Ecosystem: "PyPI", Name: "tensorflow", Version: "1"}, {Ecosystem: "PyPI", Name: "tensorflow-cpu", Version: "1"}})
	var got []string
	for _, m := range ms {
		got = append(got, fmt.Sprintf("%d %s %v %v", m.Package, m.Group, m.IDs, m.Aliases))
	}
	want := []string{"0 CVE-2025-2000 [PYSEC-1 PYSEC-2] [CVE-2025-2000 GHSA-1]", "0 GHSA-3 [GHSA-3 PYSEC-3] []", "0 USN-1 [USN-1] []", "1 CVE-2025-2000 [PYSEC-4] [CVE-2025-2000]"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestTheFixIsTheSmallestVersionThatNoneOfTheRecordsAffects(t *testing.T) {
	x := indexOf(t, []byte(
		advisoryOf("A", "lib", events(`{"introduced":"0"},{"fixed":"1.5"},{"introduced":"2.0"},{"fixed":"2.2"}`), `"1.5"`, `,"aliases":["CVE-2025-1000"]`)+
			advisoryOf("B", "lib", events(`{"introduced":"0"},{"fixed":"1.6"}`), "", `,"aliases":["CVE-2025-1000"]`)+
			advisoryOf("C", "lib", events(`{"introduced":"1.6"},{"fixed":"1.7"}`), "", "")+
			advisoryOf("D", "never", everything, "", "")))
	lib := fact.Package{Ecosystem: "PyPI", Name: "lib", Version: "1.0"}
	ms := x.Match([]fact.Package{lib})
	if len(ms) != 1 || ms[0].Fixed != "1.6" {
		t.Fatalf("%+v", ms)
	}
	// 1.6 mends that and brings another.
	if v, ok := x.Upgrade(ms[0].Target, nil); !ok || v != "1.7" {
		t.Errorf("upgrade to %q", v)
	}
	if v, ok := x.Upgrade(ms[0].Target, func(f *advisory.Finding) bool { return f.Group != "C" }); !ok || v != "1.6" {
		t.Errorf("upgrade that does not mind C to %q", v)
	}
	never := x.Match([]fact.Package{{Ecosystem: "PyPI", Name: "never", Version: "1.0"}})
	if v, ok := x.Upgrade(never[0].Target, nil); ok || never[0].Fixed != "" {
		t.Errorf("a fix %q where there is none", v)
	}
}

func distroFeed(ecosystem, name string) string {
	return fmt.Sprintf(`{"id":"DSA-%s","aliases":["CVE-2025-9"],"affected":[{"package":{"ecosystem":%q,"name":%q},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"2.0-1+deb12u1"}]}]}]}`+"\n", strings.ReplaceAll(ecosystem, ":", ""), ecosystem, name)
}

func TestAModuleThatADistributionOwnsIsJudgedByTheDistribution(t *testing.T) {
	pypi := advisoryOf("PYSEC-1", "urllib3", events(`{"introduced":"0"},{"fixed":"2.1"}`), "", `,"aliases":["CVE-2025-9"]`)
	debian := distroFeed("Debian:12", "python-urllib3")
	deb := func(version string) fact.Package {
		return fact.Package{Ecosystem: "Debian:12", Name: "python3-urllib3", Version: version, SourceName: "python-urllib3", PURL: "pkg:deb/debian/python3-urllib3@" + version}
	}
	module := func(owner string) fact.Package {
		return fact.Package{Ecosystem: "PyPI", Name: "urllib3", Version: "2.0", PURL: "pkg:pypi/urllib3@2.0", Owner: owner}
	}
	const source = "?upstream=python-urllib3&distro=debian-12"
	for _, tc := range []struct {
		name     string
		feed     string
		packages []fact.Package
		want     string
	}{
		{"nobody owns it", pypi + debian, []fact.Package{module("")}, "urllib3 affected"},
		{"a wheel owns it", pypi + debian, []fact.Package{module("pkg:pypi/other@1")}, "urllib3 affected"},
		{"the owner has the fix", pypi + debian, []fact.Package{module(deb("2.0-1+deb12u1").PURL), deb("2.0-1+deb12u1")}, ""},
		{"the owner has not", pypi + debian, []fact.Package{module(deb("2.0-1").PURL), deb("2.0-1")}, "python-urllib3 affected"},
		{"the owner is known by its PURL only, with the fix", pypi + debian, []fact.Package{module("pkg:deb/debian/python3-urllib3@2.0-1+deb12u1" + source)}, ""},
		{"the owner is known by its PURL only, without", pypi + debian, []fact.Package{module("pkg:deb/debian/python3-urllib3@2.0-1" + source)}, "python-urllib3 affected"},
		{"no feed of that distribution", pypi, []fact.Package{module(deb("2.0-1").PURL), deb("2.0-1")}, "urllib3 unknown"},
		{"a distribution that cannot be told", pypi + debian, []fact.Package{module("pkg:deb/debian/python3-urllib3@2.0-1")}, "urllib3 unknown"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, m := range indexOf(t, []byte(tc.feed)).Match(tc.packages) {
				got = append(got, m.Target.Name+" "+m.Status.String())
			}
			if strings.Join(got, ", ") != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestReleasesOfADistributionAreKeptApart(t *testing.T) {
	openssl := func(ecosystem string) []fact.Package {
		return []fact.Package{{Ecosystem: ecosystem, Name: "libssl3", SourceName: "openssl", Version: "1.0-1"}}
	}
	x := indexOf(t, []byte(distroFeed("Debian:12", "openssl")+distroFeed("Debian", "bash")+distroFeed("Ubuntu:22.04:LTS", "openssl")))
	for _, tc := range []struct{ name, ecosystem, want string }{
		{"its release", "Debian:12", "affected"}, {"another release", "Debian:11", ""}, {"a point release", "Debian:12.5", "affected"},
		{"no release", "Debian", "unknown"}, {"a long-term release", "Ubuntu:22.04", "affected"}, {"another distribution", "Alpine:v3.20", ""},
	} {
		got := ""
		if ms := x.Match(openssl(tc.ecosystem)); len(ms) == 1 {
			got = ms[0].Status.String()
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	if ms := x.Match([]fact.Package{{Ecosystem: "Debian:11", Name: "bash", Version: "1-1"}}); len(ms) != 1 || ms[0].Status != advisory.Affected {
		t.Errorf("a record about all releases: %+v", ms)
	}
	// The binary's own name is not the source's.
	if ms := x.Match([]fact.Package{{Ecosystem: "Debian:12", Name: "openssl", SourceName: "other", Version: "1.0-1"}}); len(ms) != 0 {
		t.Errorf("a binary was taken for a source: %+v", ms)
	}
}

func TestWhatIsKnownAboutThePlaceStaysWithTheMatch(t *testing.T) {
	x := indexOf(t, []byte(advisoryOf("A", "lib", everything, "", "")+advisoryOf("MAL-1", "evil", everything, "", "")))
	ms := x.Match([]fact.Package{
		{Ecosystem: "PyPI", Name: "lib", Version: "1", Layer: 0, Removed: true},
		{Ecosystem: "PyPI", Name: "lib", Version: "1", Layer: 1, Attributes: []string{"yanked"}},
		{Ecosystem: "PyPI", Name: "evil", Version: "1"},
		{Ecosystem: "PyPI", Name: "lib", State: fact.Declared},
		{Ecosystem: "PyPI", Name: "lib", State: fact.Declared, Version: "1"},
	})
	if len(ms) != 4 || !ms[0].Removed || ms[0].Yanked || ms[1].Removed || !ms[1].Yanked || !ms[2].Malicious || ms[0].Malicious || ms[3].Package != 4 {
		t.Errorf("%+v", ms)
	}
}

func TestAnEcosystemWithoutAnOrderIsMatchedByListsOnly(t *testing.T) {
	x := indexOf(t, []byte(`{"id":"M","affected":[{"package":{"ecosystem":"Maven","name":"a:b"},"versions":["1.0-SNAPSHOT"],"ranges":[]}]}
{"id":"N","affected":[{"package":{"ecosystem":"Maven","name":"a:c"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"2"}]}]}]}`))
	for _, tc := range []struct{ name, version, want string }{{"a:b", "1.0-SNAPSHOT", "affected"}, {"a:b", "1.0", ""}, {"a:c", "1.0", "unknown"}} {
		got := ""
		if ms := x.Match([]fact.Package{{Ecosystem: "Maven", Name: tc.name, Version: tc.version}}); len(ms) == 1 {
			got = ms[0].Status.String()
		}
		if got != tc.want {
			t.Errorf("%s %s: %q, want %q", tc.name, tc.version, got, tc.want)
		}
	}
}

func TestRealRayIsExploitedThoughItsPredictionIsLow(t *testing.T) {
	x := advisory.New(realSnapshot(t))
	for _, m := range x.Match([]fact.Package{{Ecosystem: "PyPI", Name: "ray", Version: "2.40.0"}}) {
		if m.Group != "CVE-2025-62593" {
			continue
		}
		if m.Exploited == nil || m.EPSS != 0.01015 || m.Fixed != "2.52.0" || m.Severity.Basis != osv.BasisCVSSv4 {
			t.Errorf("%+v", m)
		}
		if p := advisory.Rank(&m, advisory.Circumstances{}); p.Urgency != advisory.Act {
			t.Errorf("%+v", p)
		}
		return
	}
	t.Error("it was not found")
}

func TestRealGoRecordsNameTheVulnerableSymbols(t *testing.T) {
	x := advisory.New(realSnapshot(t))
	for _, m := range x.Match([]fact.Package{{Ecosystem: "Go", Name: "github.com/gin-gonic/gin", Version: "v1.5.0"}}) {
		if slices.Contains(m.IDs, "GO-2020-0001") {
			if len(m.Imports) != 1 || !slices.Contains(m.Imports[0].Symbols, "Logger") {
				t.Errorf("%+v", m.Imports)
			}
			return
		}
	}
	t.Error("it was not found")
}
