package lookalike

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/python"
	"github.com/apexlogic/apex/verdict"
)

func TestNamesThatLookLikeOthers(t *testing.T) {
	for _, c := range []struct {
		ecosystem, name string
		like            Like
	}{
		{"PyPI", "reqeusts", Like{"requests", Transposed}},
		{"PyPI", "Scikit_Leran", Like{"scikit-learn", Transposed}},
		{"PyPI", "requestss", Like{"requests", Doubled}},
		{"PyPI", "urlib3", Like{"urllib3", Doubled}},
		{"PyPI", "rlask", Like{"flask", Neighbour}},
		{"PyPI", "mumpy", Like{"numpy", Neighbour}},
		{"PyPI", "djago", Like{"django", Missing}},
		{"PyPI", "colourama", Like{"colorama", Extra}},
		{"PyPI", "cryptograqhy", Like{"cryptography", Replaced}},
		{"PyPI", "jeIlyfish", Like{"jellyfish", Homoglyph}},
		{"PyPI", "c0l0rama", Like{"colorama", Homoglyph}},
		{"PyPI", "nurnpy", Like{"numpy", Homoglyph}},
		{"PyPI", "hugging-face-hub", Like{"huggingface-hub", Separator}},
		{"PyPI", "setup_tools", Like{"setuptools", Separator}},
		{"PyPI", "nmap-python", Like{"python-nmap", WordOrder}},
		{"PyPI", "python-requests", Like{"requests", Affix}},
		{"PyPI", "python3-dateutil", Like{"python-dateutil", Affix}},
		{"PyPI", "pythonrequests", Like{"requests", Affix}},
		{"PyPI", "torch-cuda121", Like{"torch", Affix}},
		{"npm", "crossenv", Like{"cross-env", Separator}},
		{"npm", "cross-env.js", Like{"cross-env", Affix}},
		{"npm", "nodefabric", Like{"fabric", Affix}},
		{"npm", "typescriptjs", Like{"typescript", Affix}},
		{"npm", "lodahs", Like{"lodash", Transposed}},
		{"npm", "ехрress", Like{"express", Homoglyph}}, // its first three letters are Cyrillic
		{"npm", "angular-core", Like{"@angular/core", Separator}},
		{"npm", "@anguler/core", Like{"@angular", Scope}},
		{"npm", "@ange1ar/core", Like{}},
	} {
		t.Run(c.ecosystem+" "+c.name, func(t *testing.T) {
			if like, ok := Of(c.ecosystem, c.name); like != c.like || ok != (c.like != Like{}) {
				t.Errorf("%v %v, want %v", like, ok, c.like)
			}
		})
	}
}

func TestNamesThatLookLikeNone(t *testing.T) {
	for why, names := range map[string][]string{
		"many depend on it itself":          {"PyPI requests", "PyPI dask", "PyPI flask", "npm react", "npm preact", "npm ws"},
		"an index takes it for the same":    {"PyPI huggingface_hub", "PyPI Scikit.Learn", "PyPI PyYAML", "npm React"},
		"it is too short to tell":           {"PyPI ric", "npm wd", "npm xs", "npm gut"},
		"it is another generation":          {"PyPI requests2", "PyPI psycopg4", "npm lodash4"},
		"the project publishes such builds": {"PyPI cupy-cuda113", "PyPI nvidia-cublas-cu13", "PyPI onnxruntime-cpu"},
		"the added word means something":    {"PyPI django-tinymce", "PyPI openai-mcp", "npm react-flow", "npm eslint-plugin-mine"},
		"the scope is known":                {"npm @types/lodahs", "npm @babel/anything"},
		"it is another's fork in a scope":   {"npm @someone/lodash"},
		"the ecosystem has no table":        {"Go github.com/spf13/cobre", "Debian:12 reqeusts", " "},
		"it is longer than a name can be":   {"PyPI " + strings.Repeat("reqeusts", 100)},
		"it is nothing but added words":     {"PyPI python-py", "npm node-js"},
		"it is empty, or separators":        {"PyPI ", "PyPI ---", "npm @", "npm @/"},
	} {
		for _, text := range names {
			ecosystem, name, _ := strings.Cut(text, " ")
			if like, ok := Of(ecosystem, name); ok || like != (Like{}) {
				t.Errorf("%s: %q looks like %v", why, text, like)
			}
		}
	}
}

func TestWhichPackagesOfAnInventoryAreJudged(t *testing.T) {
	bad := fact.Package{Ecosystem: "PyPI", Name: "reqeusts", Version: "1.0", PURL: "pkg:pypi/reqeusts@1.0", Path: "a/METADATA", Layer: 2}
	with := func(change func(*fact.Package)) fact.Package {
		p := bad
		change(&p)
		return p
	}
	for _, c := range []struct {
		name string
		p    fact.Package
		want int
	}{
		{"one that is installed is", bad, 1},
		{"one that is locked is", with(func(p *fact.Package) { p.State = fact.Locked }), 1},
		{"one that is asked for is", with(func(p *fact.Package) { p.State = fact.Declared; p.Version = "" }), 1},
		{"one that a later layer deleted is, and says so", with(func(p *fact.Package) { p.Removed = true }), 1},
		{"one that a wheel brought is", with(func(p *fact.Package) { p.Owner = "pkg:pypi/other@1" }), 1},
		{"one of a distribution is not", with(func(p *fact.Package) { p.Owner = "pkg:deb/debian/python3-reqeusts@1" }), 0},
		{"the project's own is not", with(func(p *fact.Package) { p.Attributes = []string{"editable"} }), 0},
		{"one within another is not", with(func(p *fact.Package) { p.State = fact.Vendored }), 0},
		{"one with the right name is not", with(func(p *fact.Package) { p.Name = "requests" }), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := Find([]fact.Package{c.p})
			if len(found) != c.want {
				t.Fatalf("%+v", found)
			}
			if c.want == 0 {
				return
			}
			f := found[0]
			if f.Code != verdict.InventoryLookalike || f.Like != "requests" || f.Package != c.p.PURL || f.Path != c.p.Path || f.Layer != 2 || f.Removed != c.p.Removed ||
				!strings.Contains(f.Detail, "swapped letters") {
				t.Errorf("%+v", f)
			}
		})
	}
	if found := Find([]fact.Package{bad, bad}); len(found) != 2 {
		t.Error("each place is a finding of its own: ", found)
	}
	if found := Find(slices.Repeat([]fact.Package{bad}, 3*maxFindings)); len(found) != maxFindings {
		t.Error(len(found), "findings")
	}
}

// TestEverySwapOfALongWordIsFound makes each name wrong in each place.
func TestEverySwapOfALongWordIsFound(t *testing.T) {
	for ecosystem, tab := range map[string]*table{"PyPI": pypi(), "npm": npm()} {
		made := 0
		for name := range tab.names {
			for i := range len(name) - 1 {
				a, b := name[i], name[i+1]
				wrong := name[:i] + string([]byte{b, a}) + name[i+2:]
				if a == b || tab.names[wrong] || strings.ContainsAny(string([]byte{a, b}), "0123456789-_.@/") || wordAt(name, i) < minSwapped || name[0] == '@' {
					continue
				}
				made++
				if _, ok := Of(ecosystem, wrong); !ok {
					t.Errorf("%s %s (%s)", ecosystem, wrong, name)
				}
			}
		}
		t.Logf("%s: %d names, %d swaps", ecosystem, len(tab.names), made)
		if made < 5000 {
			t.Errorf("%s: only %d swaps were made", ecosystem, made)
		}
	}
}

func TestTheTablesHoldNamesInNormalForm(t *testing.T) {
	for name := range pypi().names {
		if name != python.Normalize(name) {
			t.Errorf("PyPI: %q", name)
		}
	}
	for name := range npm().names {
		if name != strings.ToLower(name) || len(name) > maxName {
			t.Errorf("npm: %q", name)
		}
	}
}

// TestNamesOfTheAdvisories measures with names that were not chosen for it:
// those of packages that have advisories and are no attack, and those that are.
func TestNamesOfTheAdvisories(t *testing.T) {
	attacks, others := advisoryNames(t)
	var wrong, right []string
	for _, n := range others {
		if like, ok := Of("PyPI", n); ok {
			wrong = append(wrong, n+" ("+like.Name+")")
		}
	}
	for _, n := range attacks {
		if like, ok := Of("PyPI", n); ok {
			right = append(right, n+" ("+like.Name+")")
		}
	}
	t.Logf("%d of %d names that are no attack are flagged: %v", len(wrong), len(others), wrong)
	t.Logf("%d of %d names that are an attack are flagged: %v", len(right), len(attacks), right)
	if len(others) < 1000 || len(wrong)*100 > len(others) {
		t.Errorf("%d of %d names are flagged, more than one in a hundred", len(wrong), len(others))
	}
	if len(right) < 2 {
		t.Error("the attacks that imitate a name are not found: ", right)
	}
}

func advisoryNames(t *testing.T) (attacks, others []string) {
	t.Helper()
	f, err := os.Open(shared(t, "advisories/pypi-2026-07-23.jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{} // to whether it is an attack
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var r struct {
			ID       string   `json:"id"`
			Aliases  []string `json:"aliases"`
			Affected []struct {
				Package struct {
					Name string `json:"name"`
				} `json:"package"`
			} `json:"affected"`
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		attack := slices.ContainsFunc(append(r.Aliases, r.ID), func(id string) bool { return strings.HasPrefix(id, "MAL-") })
		for _, a := range r.Affected {
			known[a.Package.Name] = known[a.Package.Name] || attack
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	for n, attack := range known {
		if attack {
			attacks = append(attacks, n)
		} else {
			others = append(others, n)
		}
	}
	slices.Sort(attacks)
	slices.Sort(others)
	return attacks, others
}

// shared is a file under $APEX_SHARED, or in a folder "shared" beside one above.
func shared(t *testing.T, name string) string {
	t.Helper()
	if root := os.Getenv("APEX_SHARED"); root != "" {
		return filepath.Join(root, name)
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if path := filepath.Join(dir, "shared", name); exists(path) {
			return path
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Skip("the shared advisories are not here; name their folder with APEX_SHARED")
		}
		dir = up
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func FuzzOf(f *testing.F) {
	for _, name := range []string{"reqeusts", "@anguler/core", "python-", "node.js", "vvebpack", "ехрress", "@/", "-a-", "\xff\xfe"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		for ecosystem, tab := range map[string]*table{"PyPI": pypi(), "npm": npm()} {
			like, ok := Of(ecosystem, name)
			if ok != (like.Name != "" && like.Kind != "") {
				t.Errorf("%q: %v %v", name, like, ok)
			}
			if ok && !tab.names[like.Name] && !tab.scopes[like.Name] {
				t.Errorf("%q looks like %q, which is in no table", name, like.Name)
			}
			if ok && utf8.ValidString(name) && python.Normalize(name) == like.Name {
				t.Errorf("%q looks like itself", name)
			}
		}
	})
}

func BenchmarkFind(b *testing.B) {
	var packages []fact.Package
	for name := range pypi().names {
		packages = append(packages, fact.Package{Ecosystem: "PyPI", Name: name + "-x"}, fact.Package{Ecosystem: "PyPI", Name: "x" + name})
	}
	b.ReportMetric(float64(len(packages)), "names")
	for b.Loop() {
		Find(packages)
	}
}

func BenchmarkTables(b *testing.B) {
	for b.Loop() {
		newTable(pypiNames, decorPython, "python")
		newTable(npmNames, decorNode, "node", "nodejs", "js")
	}
}
