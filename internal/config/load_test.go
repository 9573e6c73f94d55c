package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/apexlogic/apex/api/v1alpha1"
)

const (
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

const trustYAML = `apiVersion: security.apexlogic.com/v1alpha1
kind: TrustRoot
metadata:
  name: signers
spec:
  entries:
    - name: apexlogic-model-signing-key-v1
      key:
        pem: |
          -----BEGIN PUBLIC KEY-----
          MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
          -----END PUBLIC KEY-----
`

func load(t testing.TB, sources ...Source) *Set {
	t.Helper()
	s, err := Load(t.Context(), sources...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// valid loads text and fails the test when anything is wrong with it.
func valid(t testing.TB, text string) *Set {
	t.Helper()
	s := load(t, Bytes("test.yaml", []byte(text)))
	if err := s.Err(); err != nil {
		t.Fatalf("is refused:\n%v\n%s", err, text)
	}
	return s
}

func reference(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("testdata/reference.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestTheReferencePolicyLoadsAsItStands(t *testing.T) {
	s := load(t, File("testdata/reference.yaml"))
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	if len(s.ImageSecurityPolicies) != 1 {
		t.Fatalf("%d policies", len(s.ImageSecurityPolicies))
	}
	p := s.ImageSecurityPolicies[0].Value
	if p.Name != "multimodal-ai-model-image-policy" || len(p.Spec.Rules) != 3 || p.Spec.ImageSelector.MatchLabels["app"] != "multimodal-inference" {
		t.Errorf("read as %+v", p)
	}
	if p.Spec.Enforcement != v1alpha1.Enforce {
		t.Errorf("enforcement defaults to %q", p.Spec.Enforcement)
	}
	if got := p.Spec.Rules[1].Parameters; got.MaxSeverity != "High" || got.VulnerabilityScanner != "Trivy" {
		t.Errorf("parameters %+v", got)
	}
	r := s.Readiness(p.Name)
	if r.Ready || len(r.Reasons) != 1 || r.Reasons[0].Path != "spec.rules[0].parameters.requireSignatureFrom[0]" || r.Reasons[0].Line != 15 {
		t.Errorf("without a trust root: %+v", r)
	}
	s = load(t, File("testdata/reference.yaml"), Bytes("trust.yaml", []byte(trustYAML)))
	if r := s.Readiness(p.Name); !r.Ready {
		t.Errorf("with its trust root: %+v", r)
	}
}

func TestTheActionDefaultsToDeny(t *testing.T) {
	s := valid(t, strings.ReplaceAll(reference(t), "      action: Deny\n", ""))
	for _, rule := range s.ImageSecurityPolicies[0].Value.Spec.Rules {
		if rule.Action != "Deny" {
			t.Errorf("%s: action %q", rule.Name, rule.Action)
		}
	}
	s = valid(t, strings.Replace(reference(t), "action: Deny", "action: Audit", 1))
	if got := s.ImageSecurityPolicies[0].Value.Spec.Rules[0].Action; got != "Audit" {
		t.Errorf("a given action became %q", got)
	}
}

// What access policies ask of workloads and of models stands in these labels: a
// label that is taken off has to come into force as any other change.
func TestLabelsThatPoliciesSeeArePartOfTheHash(t *testing.T) {
	for kind, tt := range map[string]struct {
		spec string
		part bool
	}{
		"WorkloadIdentity": {`{spiffeID: "spiffe://claims.example/intake", joinToken: {name: intake}}`, true},
		"ProtectedRoute":   {`{hosts: [a.example], api: OpenAI, upstream: {url: "http://127.0.0.1:1", tls: Plaintext}, anonymous: true}`, true},
		"AccessPolicy":     {`{cedar: "permit (principal, action, resource);"}`, false},
	} {
		hash := func(labels string) string {
			return valid(t, "apiVersion: security.apexlogic.com/v1alpha1\nkind: "+kind+"\nmetadata: {name: intake"+labels+"}\nspec: "+tt.spec+"\n").Hash()
		}
		if none := hash(", labels: {}"); none != hash("") {
			t.Errorf("%s: no labels are not the same as none", kind)
		}
		one := hash(", labels: {team: claims, tier: low}")
		if one != hash(", labels: {tier: low, team: claims}") {
			t.Errorf("%s: the order of labels makes a difference", kind)
		}
		for _, other := range []string{"", ", labels: {team: claims}", ", labels: {team: sales, tier: low}"} {
			if (hash(other) != one) != tt.part {
				t.Errorf("%s: %q against two labels: another hash is %v", kind, other, tt.part)
			}
		}
	}
}

func TestHashNamesTheContent(t *testing.T) {
	base := reference(t)
	hash := load(t, Bytes("a.yaml", []byte(base)), Bytes("b.yaml", []byte(trustYAML))).Hash()
	asJSON := `{"apiVersion":"security.apexlogic.com/v1alpha1","kind":"TrustRoot","spec":{"entries":[{"key":{"pem":` +
		`"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n"},"name":"apexlogic-model-signing-key-v1"}]},"metadata":{"name":"signers"}}`
	same := map[string][]Source{
		"in another order":          {Bytes("b.yaml", []byte(trustYAML)), Bytes("a.yaml", []byte(base))},
		"in one file":               {Bytes("all.yaml", []byte(base+"---\n"+trustYAML))},
		"as JSON":                   {Bytes("a.yaml", []byte(base)), Bytes("b.json", []byte(asJSON))},
		"with comments":             {Bytes("a.yaml", []byte("# why\n"+base)), Bytes("b.yaml", []byte(trustYAML))},
		"with a default written":    {Bytes("a.yaml", []byte(strings.Replace(base, "spec:\n", "spec:\n  enforcement: Enforce\n", 1))), Bytes("b.yaml", []byte(trustYAML))},
		"as the API server returns": {Bytes("a.yaml", []byte(strings.Replace(base, "metadata:\n", "metadata:\n  uid: u1\n  resourceVersion: \"7\"\n  generation: 3\n", 1)+"status:\n  ready: true\n")), Bytes("b.yaml", []byte(trustYAML))},
		"in a list":                 {Bytes("list.yaml", []byte("apiVersion: v1\nkind: List\nitems:\n- "+indent(base)+"- "+indent(trustYAML)))},
	}
	for name, sources := range same {
		if s := load(t, sources...); s.Err() != nil || s.Hash() != hash {
			t.Errorf("%s: hash %s, want %s (%v)", name, s.Hash(), hash, s.Err())
		}
	}
	other := map[string][]Source{
		"another action":      {Bytes("a.yaml", []byte(strings.Replace(base, "action: Deny", "action: Warn", 1))), Bytes("b.yaml", []byte(trustYAML))},
		"another name":        {Bytes("a.yaml", []byte(strings.Replace(base, "name: multimodal", "name: xmultimodal", 1))), Bytes("b.yaml", []byte(trustYAML))},
		"one document less":   {Bytes("a.yaml", []byte(base))},
		"another key":         {Bytes("a.yaml", []byte(base)), Bytes("b.yaml", []byte(strings.Replace(trustYAML, "MFkw", "MFkx", 1)))},
		"another rules order": {Bytes("a.yaml", []byte(strings.Replace(base, "- \"gcr.io/tensorflow/tensorflow:2.x-gpu\"\n          - \"pytorch/pytorch:2.x-cuda\"", "- \"pytorch/pytorch:2.x-cuda\"\n          - \"gcr.io/tensorflow/tensorflow:2.x-gpu\"", 1))), Bytes("b.yaml", []byte(trustYAML))},
	}
	for name, sources := range other {
		if load(t, sources...).Hash() == hash {
			t.Errorf("%s has the same hash", name)
		}
	}
}

func indent(text string) string {
	return strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n"
}

func TestPositionsOfFields(t *testing.T) {
	p := valid(t, reference(t)).ImageSecurityPolicies[0]
	for path, want := range map[string]string{
		"":                           "test.yaml:1:1",
		"spec.rules[1].name":         "test.yaml:16:7",
		"spec.rules[1].parameters.x": "test.yaml:19:7",
		"spec.rules[2].parameters.allowedBaseImages[1]": "test.yaml:28:13",
		"spec.imageSelector.matchLabels.app":            "test.yaml:8:7",
		"spec.rules[0].parameters.requireSignatureFrom": "test.yaml:14:9",
		"spec.rulesome":  "test.yaml:5:1",
		"spec.rules[17]": "test.yaml:9:3",
	} {
		if got := p.At(path).String(); got != want {
			t.Errorf("%q is at %s, want %s", path, got, want)
		}
	}
}

func TestDirectoriesAreReadRecursively(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a.yaml", reference(t))
	write("deep/er/trust.yml", trustYAML)
	write(".git/broken.yaml", "a: [")
	write("README.md", "a: [")
	write("kustomization.yaml", "resources:\n- a.yaml\n")
	write("deployment.json", `{"apiVersion":"apps/v1","kind":"Deployment"}`)
	s := load(t, Dir(dir))
	if s.Err() != nil || s.Len() != 2 {
		t.Fatalf("%d documents, %v", s.Len(), s.Err())
	}
	if got, want := s.TrustRoots[0].At("").File, filepath.Join(dir, "deep", "er", "trust.yml"); got != want {
		t.Errorf("file %s, want %s", got, want)
	}
	if other := load(t, Path(dir)); other.Hash() != s.Hash() {
		t.Error("Path reads a directory differently from Dir")
	}
	if other := load(t, FS("repo", os.DirFS(dir))); other.Hash() != s.Hash() {
		t.Error("FS reads a directory differently from Dir")
	}
	if other := load(t, Path(filepath.Join(dir, "a.yaml")), File(filepath.Join(dir, "deep/er/trust.yml"))); other.Hash() != s.Hash() {
		t.Error("the files by themselves differ from the directory")
	}
}

func TestLinksStayInsideOfTheDirectory(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Skip("no symbolic links here:", err)
		}
	}
	for path, text := range map[string]string{filepath.Join(outside, "o.yaml"): trustYAML, filepath.Join(dir, "a.yaml"): reference(t)} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link("a.yaml", "again.yaml")
	if s := load(t, Dir(dir)); s.Err() != nil || s.Len() != 1 {
		t.Errorf("a link to a file that is there anyway: %d documents, %v", s.Len(), s.Err())
	}
	// How Kubernetes mounts a ConfigMap.
	if err := os.Mkdir(filepath.Join(dir, "..v1"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "..v1", "t.yaml"), []byte(trustYAML), 0o644); err != nil {
		t.Fatal(err)
	}
	link("..v1", "..data")
	link("..data/t.yaml", "t.yaml")
	if s := load(t, Dir(dir)); s.Err() != nil || s.Len() != 2 {
		t.Errorf("a mounted ConfigMap: %d documents, %v", s.Len(), s.Err())
	}
	link(filepath.Join(outside, "o.yaml"), "out.yaml")
	s := load(t, Dir(dir))
	if s.Err() == nil || len(s.Problems) != 1 || !strings.Contains(s.Problems[0].Message, "out of the directory") || s.Len() != 2 {
		t.Errorf("a link out: %v, %d documents", s.Problems, s.Len())
	}
}

func TestFilesThatAreNamedHaveToHoldADocument(t *testing.T) {
	text := []byte("apiVersion: v1\nkind: ConfigMap\n")
	if s := load(t, Bytes("x.yaml", text)); s.Err() == nil {
		t.Error("a file without a document of ours is accepted by name")
	}
	if s := load(t, FS("dir", fstest.MapFS{"x.yaml": {Data: text}})); s.Err() != nil {
		t.Errorf("in a directory it is refused: %v", s.Err())
	}
	if s := load(t, Bytes("x.yaml", append(text, []byte("---\n"+trustYAML)...))); s.Err() != nil {
		t.Errorf("beside one of ours it is refused: %v", s.Err())
	}
}

func TestWhatCannotBeReadIsAnError(t *testing.T) {
	if _, err := Load(t.Context(), Path(filepath.Join(t.TempDir(), "none"))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing path: %v", err)
	}
	if _, err := Load(t.Context(), Source{}); err == nil {
		t.Error("the zero Source is accepted")
	}
	big := filepath.Join(t.TempDir(), "big.yaml")
	if err := os.WriteFile(big, []byte(trustYAML+strings.Repeat("#", maxFile)), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*Set{"file": load(t, File(big)), "dir": load(t, Dir(filepath.Dir(big))), "bytes": load(t, Bytes("b", make([]byte, maxFile+1)))} {
		if len(s.Problems) != 1 || !strings.Contains(s.Problems[0].Message, "larger than") {
			t.Errorf("%s over the limit: %v", name, s.Problems)
		}
	}
	s := load(t, Bytes("fits.yaml", []byte(trustYAML+strings.Repeat("#", maxFile-len(trustYAML)))))
	if s.Err() != nil {
		t.Errorf("a file at the limit: %v", s.Err())
	}
}

func TestOtherPeoplesDocumentsAreLeftAlone(t *testing.T) {
	for _, text := range []string{
		"apiVersion: kyverno.io/v2\nkind: PolicyException\nspec: {whatever: 1}\n",
		"apiVersion: policy.sigstore.dev/v1alpha1\nkind: TrustRoot\n",
		"apiVersion: v1\nkind: ConfigMap\na: 1\na: 2\n",
		"apiVersion: ml.apexlogic.com/v1\nkind: Experiment\n",
		"services: {web: {image: x}}\n",
		"- 1\n- 2\n", "just text\n", "", "# a comment\n", "---\n---\n", "null\n", "<<: 1\n",
	} {
		s := load(t, FS("d", fstest.MapFS{"x.yaml": {Data: []byte(text)}}))
		if s.Err() != nil || s.Len() != 0 {
			t.Errorf("%q: %d documents, %v", text, s.Len(), s.Err())
		}
	}
}

func TestHostileYAMLIsRefusedSoon(t *testing.T) {
	head := "apiVersion: security.apexlogic.com/v1alpha1\nkind: TrustRoot\nmetadata: {name: x}\nspec:\n  "
	for _, unit := range []string{"[", "{", "{a: ", "- ", "? ", "a: &a [", "*a ", "\"", "'", "!a ", "&a ", "| ", "a:\n  ", "[a, ", "{a, ", "\\", "%", "---\n", "...\n", "<<: ", "\t", "\u2028", "- - - a\n  "} {
		data := []byte(head + strings.Repeat(unit, (maxFile-len(head))/len(unit)))
		if s := load(t, Bytes("hostile.yaml", data)); s.Err() == nil {
			t.Errorf("%q repeated is accepted", unit)
		}
	}
	long := strings.Replace(trustYAML, "metadata:\n", "metadata:\n  annotations: {%s: v}\n", 1)
	if s := load(t, Bytes("key.yaml", fmt.Appendf(nil, long, strings.Repeat("k", maxKey+1)))); s.Err() == nil || !strings.Contains(s.Err().Error(), "a key has more than") {
		t.Errorf("a long key: %v", s.Err())
	}
	valid(t, fmt.Sprintf(long, strings.Repeat("k", maxKey)))
}

func TestAListInsideOfAListIsRefused(t *testing.T) {
	list := "apiVersion: v1\nkind: List\nitems:\n- " + indent(trustYAML)
	if s := load(t, Bytes("l.yaml", []byte(list))); s.Err() != nil || s.Len() != 1 {
		t.Errorf("a list: %d, %v", s.Len(), s.Err())
	}
	for _, text := range []string{"apiVersion: v1\nkind: List\nitems:\n- " + indent(list), "&r {apiVersion: v1, kind: List, items: [*r, *r]}"} {
		if s := load(t, Bytes("l.yaml", []byte(text))); s.Err() == nil || !strings.Contains(s.Err().Error(), "list inside of a list") {
			t.Errorf("%s: %v", text, s.Err())
		}
	}
}

func TestProblemsAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&b, "---\napiVersion: security.apexlogic.com/v1alpha1\nkind: TrustRot\nmetadata: {name: n%d}\n", i)
	}
	s := load(t, Bytes("many.yaml", []byte(b.String())))
	if n := len(s.Problems); n != maxProblems+1 {
		t.Errorf("%d problems", n)
	}
	if !strings.Contains(s.Problems[len(s.Problems)-1].Message, "more than") {
		t.Errorf("the last one is %v", s.Problems[len(s.Problems)-1])
	}
}

func TestAliasesAreBounded(t *testing.T) {
	// Nine levels of nine aliases: 387 million values.
	var b strings.Builder
	b.WriteString("apiVersion: security.apexlogic.com/v1alpha1\nkind: TrustRoot\nmetadata: {name: x}\na0: &a0 [x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 9; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), ","))
	}
	s := load(t, Bytes("bomb.yaml", []byte(b.String())))
	if s.Err() == nil || !strings.Contains(s.Err().Error(), "after its aliases are expanded") {
		t.Errorf("got %v", s.Err())
	}
	// So are many documents that are one document.
	text := "apiVersion: v1\nkind: List\nitems:\n- &a\n  " + indent(strings.Replace(trustYAML, "metadata:\n", "metadata:\n  annotations: {"+manyKeys(400)+"}\n", 1))
	s = load(t, Bytes("copies.yaml", []byte(text+strings.Repeat("- *a\n", 20_000))))
	if s.Err() == nil || !strings.Contains(s.Err().Error(), "after its aliases are expanded") || s.Len() > maxNodes/400 {
		t.Errorf("%d documents", s.Len())
	}
	// And one long text that is there many times.
	long := strings.Replace(trustYAML, "metadata:\n", "metadata:\n  annotations: {a: &a "+strings.Repeat("x", maxFile/2)+"%s}\n", 1)
	if s := load(t, Bytes("long.yaml", fmt.Appendf(nil, long, strings.Repeat(", b: *a", 1)))); s.Err() != nil {
		t.Errorf("a long text twice: %v", s.Err())
	}
	s = load(t, Bytes("long.yaml", fmt.Appendf(nil, long, ", "+strings.ReplaceAll(manyKeys(20), "v", "*a"))))
	if s.Err() == nil || !strings.Contains(s.Err().Error(), "bytes of text after its aliases") {
		t.Errorf("a long text 21 times: %d problems", len(s.Problems))
	}
	// A few aliases are fine.
	valid(t, strings.Replace(reference(t), "metadata:\n", "metadata:\n  annotations: {a: &note noted, b: *note}\n", 1))
}
