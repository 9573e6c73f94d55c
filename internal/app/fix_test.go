package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/advisory"
	"github.com/apexlogic/apex/internal/advisory/osv"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// flaw is one advisory: the versions from introduced to fixed are affected.
type flaw struct {
	id, ecosystem, name, severity, introduced, fixed string
	aliases                                          []string
}

// folder is a folder: contents by path; a content that begins with "-> " is a
// symbolic link.
type folder map[string]string

func (f folder) write(t *testing.T, dir string) {
	t.Helper()
	for name, text := range f {
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, link := strings.CutPrefix(text, "-> "); link {
			if err := os.Symlink(target, at); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(at, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
}

func writeFeed(t *testing.T, flaws []flaw) string {
	t.Helper()
	var b strings.Builder
	for _, f := range flaws {
		events := []map[string]string{{"introduced": f.introduced}}
		if f.fixed != "" {
			events = append(events, map[string]string{"fixed": f.fixed})
		}
		record := map[string]any{
			"id": f.id, "aliases": f.aliases, "modified": "2026-01-01T00:00:00Z",
			"affected": []any{map[string]any{
				"package": map[string]string{"ecosystem": f.ecosystem, "name": f.name},
				"ranges":  []any{map[string]any{"type": "ECOSYSTEM", "events": events}},
			}},
		}
		if f.severity != "" {
			record["database_specific"] = map[string]string{"severity": f.severity}
		}
		line, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	at := filepath.Join(t.TempDir(), "osv.jsonl")
	if err := os.WriteFile(at, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return at
}

// fixes describes a plan, a line for each part.
func fixes(f *Fix) []string {
	var out []string
	for _, e := range f.Edits {
		out = append(out, fmt.Sprintf("%s:%d %s %s -> %s %s", e.File, e.Line, e.Name, e.From, e.To, strings.Join(e.Mends, ",")))
	}
	for _, l := range f.Left {
		out = append(out, strings.TrimSpace(fmt.Sprintf("left %s %s %s %s: %s | %s", l.File, l.Name, l.Version, strings.Join(l.Vulnerabilities, ","), l.Why, l.Command)))
	}
	for _, l := range f.Unfixed {
		out = append(out, fmt.Sprintf("unfixed %s %s %s", l.File, l.Name, strings.Join(l.Vulnerabilities, ",")))
	}
	for _, c := range f.Then {
		out = append(out, fmt.Sprintf("then %s: %s", c.Folder, c.Command))
	}
	for _, g := range f.Gaps {
		out = append(out, "gap "+g)
	}
	return out
}

func pyFlaw(id, severity, introduced, fixed string) flaw {
	return flaw{id, "PyPI", "a", severity, introduced, fixed, nil}
}

func TestPlansRaiseTheSmallestVersionThatMends(t *testing.T) {
	high := []flaw{pyFlaw("X-1", "HIGH", "0", "1.5")}
	inNPM := []flaw{{"N-1", "npm", "a", "HIGH", "0", "1.5.0", nil}}
	lock := func(version string) string {
		return `{"lockfileVersion":3,"packages":{"":{"dependencies":{"a":"*"}},"node_modules/a":{"version":"` + version + `"}}}`
	}
	for _, tc := range []struct {
		name  string
		files folder
		flaws []flaw
		major bool
		want  []string
	}{
		{"one pin", folder{"requirements.txt": "a==1.0\n"}, high, false, []string{"requirements.txt:1 a 1.0 -> 1.5 X-1"}},
		{"a version that is not affected stays", folder{"requirements.txt": "a==1.5\n"}, high, false, nil},
		{"what is below the threshold stays", folder{"requirements.txt": "a==1.0\n"}, []flaw{pyFlaw("X-1", "MODERATE", "0", "1.5")}, false, nil},
		{"a severity that is not known counts", folder{"requirements.txt": "a==1.0\n"}, []flaw{pyFlaw("X-1", "", "0", "1.5")}, false, []string{"requirements.txt:1 a 1.0 -> 1.5 X-1"}},
		{"a version with another flaw is passed over", folder{"requirements.txt": "a==1.0\n"},
			[]flaw{pyFlaw("X-1", "HIGH", "0", "1.5"), pyFlaw("X-2", "HIGH", "1.4", "1.7")}, false, []string{"requirements.txt:1 a 1.0 -> 1.7 X-1"}},
		{"a version with a lesser flaw is not", folder{"requirements.txt": "a==1.0\n"},
			[]flaw{pyFlaw("X-1", "HIGH", "0", "1.5"), pyFlaw("X-2", "LOW", "1.4", "1.7")}, false, []string{"requirements.txt:1 a 1.0 -> 1.5 X-1"}},
		{"what no version mends is named and does not hinder the rest", folder{"requirements.txt": "a==1.0\n"},
			[]flaw{pyFlaw("X-1", "HIGH", "0", "1.5"), pyFlaw("X-2", "HIGH", "0", "")}, false,
			[]string{"requirements.txt:1 a 1.0 -> 1.5 X-1", "unfixed requirements.txt a X-2"}},
		{"what no version mends stays the same by another name", folder{"requirements.txt": "a==1.0\n"},
			[]flaw{pyFlaw("X-1", "HIGH", "0", "1.5"), pyFlaw("X-2", "HIGH", "0", ""), {"X-3", "PyPI", "a", "HIGH", "0", "1.2", []string{"X-2", "CVE-2026-0001"}}}, false,
			[]string{"requirements.txt:1 a 1.0 -> 1.5 X-1", "unfixed requirements.txt a CVE-2026-0001"}},
		{"an attack is to be removed", folder{"requirements.txt": "a==1.0\n"}, []flaw{pyFlaw("MAL-1", "", "0", "")}, false,
			[]string{"left requirements.txt a 1.0 MAL-1: the package is an attack: remove it |"}},

		{"another major version is asked for", folder{"requirements.txt": "a==1.0\n"}, []flaw{pyFlaw("X-1", "HIGH", "0", "2.0")}, false,
			[]string{"left requirements.txt a 1.0 X-1: only another major version mends it: --major takes it |"}},
		{"another major version is taken when it is asked for", folder{"requirements.txt": "a==1.0\n"}, []flaw{pyFlaw("X-1", "HIGH", "0", "2.0")}, true,
			[]string{"requirements.txt:1 a 1.0 -> 2.0 X-1"}},
		{"what the same major version mends is mended meanwhile", folder{"requirements.txt": "a==1.0\n"},
			[]flaw{pyFlaw("X-1", "HIGH", "0", "1.5"), pyFlaw("X-2", "HIGH", "0", "2.0")}, false,
			[]string{"requirements.txt:1 a 1.0 -> 1.5 X-1", "left requirements.txt a 1.0 X-2: only another major version mends it: --major takes it |"}},

		{"two pins for two environments", folder{"requirements.txt": "a==1.0; python_version<'3.8'\na==1.2; python_version>='3.8'\n"}, high, false,
			[]string{"requirements.txt:1 a 1.0 -> 1.5 X-1", "requirements.txt:2 a 1.2 -> 1.5 X-1"}},
		{"a constraint chooses the version", folder{"requirements.txt": "-c constraints.txt\na\n", "constraints.txt": "A==1.0\n"}, high, false,
			[]string{"constraints.txt:1 A 1.0 -> 1.5 X-1"}},
		{"requirements and constraint stay in agreement", folder{"requirements.txt": "-c constraints.txt\na==1.0\n", "constraints.txt": "a==1.0\n"}, high, false,
			[]string{"constraints.txt:1 a 1.0 -> 1.5 X-1", "requirements.txt:2 a 1.0 -> 1.5 X-1"}},
		{"one that is held holds what has to agree with it", folder{"requirements.txt": "-c constraints.txt\na==1.0\n", "constraints.txt": "a==1.0 --hash=sha256:00\n"}, high, false,
			[]string{"left constraints.txt a 1.0 X-1: it is pinned by hash as well, and only the package index knows the new ones | hashin a==1.5 -r constraints.txt",
				"left requirements.txt a 1.0 X-1: constraints.txt:1: it is pinned by hash as well, and only the package index knows the new ones | hashin a==1.5 -r constraints.txt"}},
		{"a file that is taken in under another name", folder{"requirements.txt": "-r base.pip\n", "base.pip": "a==1.0\n"}, high, false,
			[]string{"base.pip:1 a 1.0 -> 1.5 X-1"}},
		{"pins of folders below", folder{"x/requirements.txt": "a==1.0\n", "y/requirements.txt": "a==1.5\n"}, high, false, []string{"x/requirements.txt:1 a 1.0 -> 1.5 X-1"}},
		{"a symbolic link is not written through", folder{"requirements.txt": "-> deps", "deps": "a==1.0\n"}, high, false,
			[]string{"left requirements.txt a 1.0 X-1: the file is a symbolic link: change what it leads to |"}},
		{"a link to a file with pins changes with it", folder{"requirements.txt": "-> deps/requirements.txt", "deps/requirements.txt": "a==1.0\n"}, high, false,
			[]string{"deps/requirements.txt:1 a 1.0 -> 1.5 X-1", "left requirements.txt a 1.0 X-1: the file is a symbolic link: change what it leads to |"}},

		{"pyproject.toml and a Pipfile", folder{"pyproject.toml": "[project]\ndependencies = ['a==1.0']\n", "Pipfile": "[packages]\na = '==1.0'\n"}, high, false,
			[]string{"Pipfile:2 a 1.0 -> 1.5 X-1", "pyproject.toml:2 a 1.0 -> 1.5 X-1"}},
		{"a lock file of what is asked for", folder{"pyproject.toml": "[project]\ndependencies = ['a==1.0']\n", "uv.lock": "version = 1\n[[package]]\nname = 'a'\nversion = '1.0'\nsource = { registry = 'https://r.example/simple' }\n"}, high, false,
			[]string{"pyproject.toml:2 a 1.0 -> 1.5 X-1", "left uv.lock a 1.0 X-1: it is in a lock file, which its own tool writes after pyproject.toml is changed | uv lock"}},
		{"a lock file of what others need", folder{"uv.lock": "version = 1\n[[package]]\nname = 'a'\nversion = '1.0'\nsource = { registry = 'https://r.example/simple' }\n"}, high, false,
			[]string{"left uv.lock a 1.0 X-1: it is in a lock file, because another package needs it | uv lock --upgrade-package a==1.5"}},
		{"what is installed", folder{"lib/site-packages/a-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: a\nVersion: 1.0\n"}, high, false,
			[]string{"left lib/site-packages/a-1.0.dist-info/METADATA a 1.0 X-1: it is installed here | pip install a==1.5"}},

		{"a range without a lock file", folder{"package.json": `{"dependencies":{"a":"^1.0.0"}}`}, inNPM, false, []string{"package.json:1 a 1.0.0 -> 1.5.0 N-1"}},
		{"a range whose lock file has a version that is not affected", folder{"package.json": `{"dependencies":{"a":"^1.0.0"}}`, "package-lock.json": lock("1.5.0")}, inNPM, false, nil},
		{"a range whose lock file has one that is", folder{"package.json": `{"dependencies":{"a":"^1.0.0"}}`, "package-lock.json": lock("1.4.0")}, inNPM, false,
			[]string{"package.json:1 a 1.0.0 -> 1.5.0 N-1", "left package-lock.json a 1.4.0 N-1: it is in a lock file, which its own tool writes after package.json is changed | npm install --package-lock-only"}},
		{"a lock file of a folder above", folder{"packages/x/package.json": `{"dependencies":{"a":"~1.4.0"}}`, "package-lock.json": lock("1.4.1")}, inNPM, false,
			[]string{"packages/x/package.json:1 a 1.4.0 -> 1.5.0 N-1", "left package-lock.json a 1.4.1 N-1: it is in a lock file, which its own tool writes after packages/x/package.json is changed | npm install --package-lock-only"}},
		{"below 1.0.0 the second number is the major one", folder{"package.json": `{"dependencies":{"a":"0.4.0"}}`}, []flaw{{"N-1", "npm", "a", "HIGH", "0", "0.5.0", nil}}, false,
			[]string{"left package.json a 0.4.0 N-1: only another major version mends it: --major takes it |"}},

		{"a module", folder{"go.mod": "module m\n\ngo 1.21.0\n\nrequire example.com/a v1.0.0 // indirect\n"}, []flaw{{"G-1", "Go", "example.com/a", "HIGH", "0", "1.0.2", nil}}, false,
			[]string{"go.mod:5 example.com/a v1.0.0 -> v1.0.2 G-1", "then .: go mod tidy"}},
		{"a module that is replaced", folder{"go.mod": "module m\n\ngo 1.21.0\n\nrequire example.com/a v1.0.0\n\nreplace example.com/a => example.com/b v1.0.0\n"},
			[]flaw{{"G-1", "Go", "example.com/a", "HIGH", "0", "1.0.2", nil}, {"G-2", "Go", "example.com/b", "HIGH", "0", "1.0.3", nil}}, false,
			[]string{"go.mod:7 example.com/b v1.0.0 -> v1.0.3 G-2", "then .: go mod tidy"}},
		{"the standard library", folder{"go.mod": "module m\n\ngo 1.21\n\ntoolchain go1.22.1\n"}, []flaw{{"G-1", "Go", "stdlib", "HIGH", "0", "1.22.5", nil}}, false,
			[]string{"go.mod:5 stdlib 1.22.1 -> 1.22.5 G-1", "then .: go mod tidy"}},

		{"a Dockerfile", folder{"Dockerfile": "FROM debian:12\nRUN pip install a==1.0 && apt-get install -y b=1.0-1\n"},
			[]flaw{pyFlaw("X-1", "HIGH", "0", "1.5"), {"D-1", "Debian:12", "b", "HIGH", "0", "1.0-1+deb12u2", nil}}, false,
			[]string{"Dockerfile:2 a 1.0 -> 1.5 X-1", "Dockerfile:2 b 1.0-1 -> 1.0-1+deb12u2 D-1"}},
		{"a Dockerfile whose release is not told", folder{"Dockerfile": "FROM x\nRUN apt-get install -y b=1.0-1\n"}, high, false,
			[]string{`gap Dockerfile: the tag of "x" does not say which release of a distribution it is, so what apt installs there was not looked at`}},
		{"an ecosystem without advisories", folder{"package.json": `{"dependencies":{"a":"1.0.0"}}`}, high, false, []string{"gap there are no advisories of npm: sync their feeds"}},
		{"a file that is not valid", folder{"package.json": "{", "requirements.txt": "a==1.0\n"}, high, false,
			[]string{"requirements.txt:1 a 1.0 -> 1.5 X-1", "gap package.json: invalid JSON: unexpected EOF"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			tc.files.write(t, dir)
			o := FixOptions{Clock: clock.System{}, Advisories: writeFeed(t, tc.flaws), Least: fact.SeverityHigh, Major: tc.major}
			f, err := PlanFix(t.Context(), dir, o)
			if err != nil {
				t.Fatal(err)
			}
			if got := fixes(f); !slices.Equal(got, tc.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
			if left := slices.ContainsFunc(tc.want, func(s string) bool { return strings.HasPrefix(s, "left") || strings.HasPrefix(s, "gap") }); f.Complete() == left {
				t.Errorf("complete: %t", f.Complete())
			}
			// Written, the next plan has no edits left.
			if err := f.Write(t.Context()); err != nil {
				t.Fatal(err)
			}
			again, err := PlanFix(t.Context(), dir, o)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range again.Edits {
				t.Errorf("%s: %s %s -> %s is still to be raised", e.File, e.Name, e.From, e.To)
			}
		})
	}
}

// What a feed says ends in files that are executed.
func TestAFeedCannotWriteAnythingButVersions(t *testing.T) {
	for fixed, want := range map[string]int{
		"1.5":                                    1,
		"1.5 --index-url https://evil.example/":  0,
		"1.5\nevil==1.0":                         0,
		"1.5; import_evil":                       0,
		"1.5 # comment":                          0,
		" 1.5 ":                                  0,
		"1.5+local --extra-index-url=https://x.": 0,
	} {
		dir := t.TempDir()
		folder{"requirements.txt": "a==1.0\n"}.write(t, dir)
		f, err := PlanFix(t.Context(), dir, FixOptions{Clock: clock.System{}, Advisories: writeFeed(t, []flaw{pyFlaw("X-1", "HIGH", "0", fixed)})})
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Edits) != want || want == 0 && len(f.Left)+len(f.Unfixed)+len(f.Gaps) == 0 {
			t.Errorf("%q: %q", fixed, fixes(f))
		}
	}
}

func TestStatementsThatCountLeaveOutWhatTheySuppress(t *testing.T) {
	now := time.Now()
	for name, tc := range map[string]struct {
		trusted []string
		want    int
	}{"a signed statement": {[]string{"vendor"}, 0}, "one that nobody signed": {nil, 1}} {
		dir := t.TempDir()
		folder{"requirements.txt": "a==1.0\n", "pyproject.toml": "[project]\ndependencies = ['a==1.0']\n"}.write(t, dir)
		f, err := PlanFix(t.Context(), dir, FixOptions{
			Clock: clock.System{}, Advisories: writeFeed(t, []flaw{pyFlaw("X-1", "HIGH", "0", "1.5")}), Least: fact.SeverityHigh,
			Statements: []fact.VEX{{
				Vulnerability: "X-1", Products: []string{"pkg:pypi/a@1.0"}, Status: fact.NotAffected, Justification: "vulnerable_code_not_present",
				Made: now.Add(-time.Hour), Until: now.Add(time.Hour), Signing: fact.Signing{TrustedBy: tc.trusted, KeyID: "sha256:00", Code: verdict.OK},
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Edits) != 2*tc.want {
			t.Errorf("%s: %q", name, fixes(f))
		}
	}
}

func TestWhatIsExploitedCountsWhateverItsSeverity(t *testing.T) {
	o := FixOptions{Least: fact.SeverityCritical}
	low := advisory.Finding{Severity: osv.Severity{Level: fact.SeverityLow, Basis: osv.BasisLabel}}
	exploited, malicious := low, low
	exploited.Exploited, malicious.Malicious = &osv.Exploited{}, true
	if o.counts(&low) || !o.counts(&exploited) || !o.counts(&malicious) {
		t.Errorf("low %t, exploited %t, malicious %t", o.counts(&low), o.counts(&exploited), o.counts(&malicious))
	}
}

func TestMajorVersionsAreThoseOfTheEcosystem(t *testing.T) {
	for _, tc := range []struct {
		ecosystem, a, b string
		want            bool
	}{
		{"PyPI", "1.0", "1.9", true}, {"PyPI", "1.0", "2.0", false}, {"PyPI", "0.1", "0.9", true}, {"PyPI", "v1.0", "1.1rc1", true},
		{"PyPI", "1!1.0", "1.0", false}, {"PyPI", "0!1.0", "1.0", true}, {"PyPI", "2023.1", "2024.1", false}, {"PyPI", "", "", false},
		{"npm", "1.0.0", "1.9.0", true}, {"npm", "1.9.9", "2.0.0", false}, {"npm", "0.1.0", "0.2.0", false}, {"npm", "0.1.0", "0.1.9", true},
		{"npm", "0.0.1", "0.0.2", false}, {"npm", "0.0.1", "0.0.1", true}, {"npm", "10.0.0", "1.0.0", false}, {"npm", "x", "x", false},
		{"Go", "v0.1.0", "0.30.0", true}, {"Go", "v2.0.0+incompatible", "3.0.0", false},
		{"Debian:12", "1.0-1", "2.0-1", true}, {"RubyGems", "1.0", "2.0", false}, {"RubyGems", "1.0", "1.1", true},
	} {
		if got := sameMajor(tc.ecosystem, tc.a, tc.b); got != tc.want {
			t.Errorf("%s %s %s: %t", tc.ecosystem, tc.a, tc.b, got)
		}
	}
}

func TestAPlanThatDoesNotHoldIsNoPlan(t *testing.T) {
	for _, tc := range []struct{ name, after string }{
		{"a version that is affected", "a==1.1\nb==1.0\n"},
		{"a package that is missing", "a==1.5\n"},
		{"a package that is new", "a==1.5\nb==1.0\nc==1.0\n"},
		{"another package's version", "a==1.5\nb==2.0\n"},
		{"what was planned", "a==1.5\nb==1.0\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			folder{"requirements.txt": "a==1.0\nb==1.0\n"}.write(t, dir)
			o := FixOptions{Clock: clock.System{}, Advisories: writeFeed(t, []flaw{pyFlaw("X-1", "HIGH", "0", "1.5")}), Least: fact.SeverityHigh}
			s, err := LoadAdvisories(t.Context(), o.Advisories, o.Clock)
			if err != nil {
				t.Fatal(err)
			}
			inventory, err := TakeInventory(t.Context(), dir, InventoryOptions{})
			if err != nil {
				t.Fatal(err)
			}
			pins, err := readPins(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			p := mender{index: advisory.New(s), o: &o, pins: pins, edits: map[pinAt]*raised{}}
			for _, a := range p.affected(pins.join(inventory.Packages)) {
				p.plan(&a)
			}
			if err := p.apply(); err != nil {
				t.Fatal(err)
			}
			p.files[0].after = []byte(tc.after)
			err = p.prove(t.Context(), &Fix{Edits: p.done, files: p.files}, inventory.Packages)
			if held := tc.name == "what was planned"; held != (err == nil) || err != nil && !errors.Is(err, errUnproved) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestFilesThatChangedMeanwhileAreNotWritten(t *testing.T) {
	dir := t.TempDir()
	folder{"requirements.txt": "a==1.0\n", "x/requirements.txt": "a==1.0\n"}.write(t, dir)
	f, err := PlanFix(t.Context(), dir, FixOptions{Clock: clock.System{}, Advisories: writeFeed(t, []flaw{pyFlaw("X-1", "HIGH", "0", "1.5")})})
	if err != nil || len(f.Edits) != 2 {
		t.Fatalf("%v, %v", f, err)
	}
	folder{"x/requirements.txt": "a==1.0\n# mine\n"}.write(t, dir)
	if err := f.Write(t.Context()); err == nil || !strings.Contains(err.Error(), "x/requirements.txt was changed") {
		t.Errorf("got %v", err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "requirements.txt")); err != nil || string(data) != "a==1.0\n" {
		t.Errorf("the other file: %q, %v", data, err)
	}
	folder{"x/requirements.txt": "a==1.0\n"}.write(t, dir)
	if err := f.Write(t.Context()); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(filepath.Join(dir, "requirements.txt"))
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("permissions: %v, %v", info.Mode(), err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".apex*")); err != nil || len(left) > 0 {
		t.Errorf("litter: %q, %v", left, err)
	}
}

// Line breaks in what others wrote would begin trailers of the commit.
func TestAMessageIsOfOurLinesOnly(t *testing.T) {
	f := Fix{Edits: []FixEdit{{File: "x\ny/requirements.txt", Name: "a", From: "1.0", To: "1.5", Mends: []string{"X-1\nSigned-off-by: mallory"}}}}
	if got, want := f.message(), "Raise a to 1.5\n\n* x y/requirements.txt: a 1.0 to 1.5 mends X-1 Signed-off-by: mallory\n"; got != want {
		t.Errorf("got %q", got)
	}
	for range 10_000 {
		f.Edits = append(f.Edits, f.Edits[0])
	}
	if got := f.message(); len(got) > 64<<10 || !strings.Contains(got, "more\n") {
		t.Errorf("%d bytes", len(got))
	}
}

func TestAnImageIsNotMendedInPlace(t *testing.T) {
	dir := t.TempDir()
	folder{"app.tar": "x", "layout/oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "layout/index.json": `{"schemaVersion":2,"manifests":[]}`}.write(t, dir)
	for _, name := range []string{"app.tar", "layout", "none"} {
		if _, err := PlanFix(t.Context(), filepath.Join(dir, name), FixOptions{Clock: clock.System{}}); err == nil {
			t.Errorf("%s has a plan", name)
		}
	}
}
