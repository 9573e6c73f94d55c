package interop

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/apexlogic/apex/internal/trust"
)

var update = flag.Bool("update", false, "make the record in testdata anew, with the cosign of $APEX_COSIGN")

// password opens the private keys of the record. They sign nothing but these tests.
const password = "interop-tests-only"

// captioner is the text in the one layer of the image that everything is about.
const captioner = "captioner"

// TestUpdate makes the record anew. tools/interop.sh calls it; a plain go test
// skips it.
func TestUpdate(t *testing.T) {
	if !*update {
		t.Skip("the record is made anew only with -update")
	}
	h := open(t)
	c := newCosign(t, h, password)
	root := t.TempDir() // becomes the record when all of it is there
	r := &record{Cosign: c.version(), Registry: h.host, Password: password}
	if want := filepath.Base(dir); "cosign-"+r.Cosign != want {
		t.Fatalf("this is cosign %s; the record is %s", r.Cosign, want)
	}
	makeKeys(t, c, root)

	for _, s := range signings() {
		repository := repositoryOf("cosign", s.name)
		subject := h.pushImage(repository, captioner)
		image := h.host + "/" + repository + "@" + string(subject.Digest)
		e := entry{Name: s.name, Repository: repository, Image: subject.Digest, Command: about(s.command, image)}
		c.succeed(e.Command...)
		h.keep(root, &e)
		r.SignedByCosign = append(r.SignedByCosign, e)
	}
	keys := signers(t, root, password)
	for _, m := range makings() {
		repository := repositoryOf("apex", m.name)
		subject := h.pushImage(repository, captioner)
		h.attach(t, repository, subject, m.make(t, keys[m.key], h.host+"/"+repository, subject.Digest))
		image := h.host + "/" + repository + "@" + string(subject.Digest)
		e := entry{Name: m.name, Repository: repository, Image: subject.Digest}
		for _, a := range m.asks {
			k := check{Why: a.why, Command: about(a.command, image)}
			var errs string
			if k.ExitCode, _, errs = c.run(k.Command...); (k.ExitCode == 0) != a.passes {
				t.Errorf("%s: %s: exit code %d\n%s", m.name, a.why, k.ExitCode, errs)
			}
			e.Checks = append(e.Checks, k)
		}
		h.keep(root, &e)
		r.SignedByApex = append(r.SignedByApex, e)
	}
	if t.Failed() {
		return // what cosign does not believe is not worth recording
	}
	data, err := json.MarshalIndent(r, "", "  ")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(root, "index.json"), append(data, '\n'), 0o644))
	must(t, os.RemoveAll(dir))
	must(t, os.CopyFS(dir, os.DirFS(root)))
}

// makeKeys has cosign make one key pair and Apex two, of which the second
// signs nothing.
func makeKeys(t *testing.T, c *cosign, root string) {
	t.Helper()
	for _, name := range []string{"cosign.key", "cosign.pub"} {
		_ = os.Remove(filepath.Join(c.work, name)) // of an earlier record, if there was one
	}
	c.succeed("cosign", "generate-key-pair")
	private, public, err := trust.GenerateKeyPair([]byte(password))
	must(t, err)
	c.write("apex.key", private)
	c.write("apex.pub", public)
	_, other, err := trust.GenerateKeyPair([]byte(password))
	must(t, err)
	c.write("other.pub", other)
	for _, name := range []string{"cosign.key", "cosign.pub", "apex.key", "apex.pub", "other.pub"} {
		must(t, os.WriteFile(filepath.Join(root, name), readFile(t, c.work, name), 0o644))
	}
}
