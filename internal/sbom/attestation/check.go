package attestation

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/integrity"
)

// archives are the endings of what an index hands out.
var archives = [...]string{".whl", ".tar.gz", ".zip", ".tgz"}

// endings of documents that lie beside an archive, or elsewhere under a name of
// their own; the longer before the shorter.
var endings = [...]string{
	".publish.attestation", ".slsa.attestation", ".attestation", ".provenance.json", ".provenance", ".attestations.json", ".sigstore.json", ".sigstore",
}

// isDocument says whether a file may hold attestations. sure says that it says
// so itself: then it is a finding when it does not.
func isDocument(name string) (archive string, sure, ok bool) {
	if name == "provenance.json" || name == "attestations.json" {
		return "", false, true
	}
	for _, end := range endings {
		stem, has := strings.CutSuffix(name, end)
		if !has || stem == "" {
			continue
		}
		for _, a := range archives {
			if strings.HasSuffix(stem, a) {
				// A signature beside an archive need not be an attestation.
				return stem, !strings.HasPrefix(end, ".sigstore"), true
			}
		}
		return "", strings.HasSuffix(end, ".publish.attestation"), !strings.HasPrefix(end, ".sigstore")
	}
	return "", false, false
}

// place is where a document lies.
type place struct {
	path    string
	layer   int
	beside  string // path of the archive that its name names; "" when it names none
	distDir bool   // it lies in a *.dist-info
	inTree  bool
}

// claim is one attestation in one place.
type claim struct {
	place
	signed  signed
	subject subject
}

type checker struct {
	files   Files
	options *Options
	pins    pins
	claims  []claim
	sums    map[string]map[string]string // of archives, by canonical path and algorithm
	result  Result
}

func (c *checker) find(ctx context.Context) error {
	paths, whole := c.files.Find(func(name string) bool { _, _, ok := isDocument(name); return ok }, maxDocuments)
	if !whole {
		c.gap("", -1, fmt.Sprintf("there are more than %d documents with attestations", maxDocuments))
	}
	at := map[string][]place{}
	var canon []string
	for _, p := range paths {
		s, ok := c.files.Stat(p)
		if !ok || !s.Regular {
			continue
		}
		pl := place{path: p, layer: s.Layer, inTree: true, distDir: strings.HasSuffix(path.Dir(p), ".dist-info")}
		if archive, _, _ := isDocument(path.Base(p)); archive != "" {
			beside := path.Join(path.Dir(p), archive)
			if a, ok := c.files.Stat(beside); ok && a.Regular {
				pl.beside = beside
			}
		}
		if at[s.Canon] == nil {
			canon = append(canon, s.Canon)
		}
		at[s.Canon] = append(at[s.Canon], pl)
	}
	return c.files.Visit(ctx, canon, func(names []string, r io.Reader) error {
		data, err := bounded.ReadAll(r, maxDocument)
		for _, name := range names {
			for _, p := range at[name] {
				if err != nil {
					c.gap(p.path, p.layer, err.Error())
					continue
				}
				_, sure, _ := isDocument(path.Base(p.path))
				c.document(p, data, sure)
			}
		}
		return ctx.Err()
	})
}

// document notes what a document claims.
func (c *checker) document(p place, data []byte, sure bool) {
	if len(data) > maxDocument {
		c.gap(p.path, p.layer, fmt.Sprintf("it has more than %d bytes", maxDocument))
		return
	}
	all, err := parse(data)
	if errors.Is(err, errForeign) && !sure {
		return
	}
	if err != nil {
		c.wrong(p, "", "", err)
		return
	}
	for i := range all {
		about, err := subjectOf(&all[i].statement)
		switch {
		case errors.Is(err, errPredicate):
			c.gap(p.path, p.layer, err.Error())
		case err != nil:
			c.wrong(p, "", "", err)
		case len(c.claims) == maxAttestations:
			c.gap(p.path, p.layer, fmt.Sprintf("there are more than %d attestations", maxAttestations))
			return
		default:
			c.claims = append(c.claims, claim{p, all[i], about})
		}
	}
}

// sum hashes the archives that lie beside a document, or that a statement names.
func (c *checker) sum(ctx context.Context) error {
	c.sums = map[string]map[string]string{}
	var canon []string
	for i := range c.claims {
		cl := &c.claims[i]
		if cl.beside == "" && cl.inTree && cl.subject.file != "" {
			beside := path.Join(path.Dir(cl.path), cl.subject.file)
			if a, ok := c.files.Stat(beside); ok && a.Regular {
				cl.beside = beside
			}
		}
		if cl.beside == "" {
			continue
		}
		a, ok := c.files.Stat(cl.beside)
		if ok && c.sums[a.Canon] == nil {
			c.sums[a.Canon] = map[string]string{}
			canon = append(canon, a.Canon)
		}
	}
	return c.files.Visit(ctx, canon, func(names []string, r io.Reader) error {
		short, long := sha256.New(), sha512.New()
		if _, err := io.Copy(io.MultiWriter(short, long), r); err != nil {
			for _, name := range names {
				c.gap(name, -1, "it cannot be read: "+err.Error())
			}
			return nil
		}
		for _, name := range names {
			c.sums[name]["sha256"], c.sums[name]["sha512"] = hex.EncodeToString(short.Sum(nil)), hex.EncodeToString(long.Sum(nil))
		}
		return ctx.Err()
	})
}

func (c *checker) judge(ctx context.Context) error {
	for i := range c.claims {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		cl := &c.claims[i]
		bound, err := c.bind(cl)
		if err != nil {
			c.wrong(cl.place, cl.subject.purl(), cl.subject.digest(), err)
			continue
		}
		if !bound {
			continue
		}
		by, err := cl.signed.verify(&cl.subject, c.options)
		switch {
		case errors.Is(err, errKey):
			c.gap(cl.path, cl.layer, err.Error())
		case err != nil:
			c.wrong(cl.place, cl.subject.purl(), cl.subject.digest(), err)
		default:
			c.result.Attested = append(c.result.Attested, integrity.Attested{
				Package: cl.subject.purl(), Path: cl.path, Layer: cl.layer, File: cl.beside, Digest: cl.subject.digest(), Predicate: cl.signed.statement.Predicate, Publisher: by,
			})
		}
	}
	return nil
}

// bind finds the archive that the statement should be about, and compares. bound
// is false when there is nothing to compare with, or nothing of the sort here.
func (c *checker) bind(cl *claim) (bound bool, err error) {
	s := &cl.subject
	if cl.beside != "" {
		base := path.Base(cl.beside)
		if s.file != "" && s.file != base {
			return false, fmt.Errorf("it is about %s and lies beside %s", clip(s.file), base)
		}
		if s.file == "" && !strings.HasSuffix(base, "-"+s.version+".tgz") {
			return false, fmt.Errorf("it is about version %s and lies beside %s", clip(s.version), base)
		}
		a, _ := c.files.Stat(cl.beside)
		got := c.sums[a.Canon][s.algorithm]
		switch {
		case got == "":
			return false, nil // a gap says why
		case got != s.sum:
			return false, fmt.Errorf("it is about an archive of the digest %s, and %s has %s:%s", s.digest(), base, s.algorithm, got)
		}
		return true, nil
	}
	if cl.distDir {
		// The folder is called by the package that it is of.
		name, version, ok := archiveName(strings.TrimSuffix(path.Base(path.Dir(cl.path)), ".dist-info") + ".zip")
		if !ok || name != s.name || version != s.version {
			return false, fmt.Errorf("it is about %s and lies in %s", s.purl(), path.Base(path.Dir(cl.path)))
		}
	}
	known, here := c.pins[s.pin()]
	switch {
	case !here:
		if cl.inTree {
			c.gap(cl.path, cl.layer, fmt.Sprintf("it is about %s, which is not here", s.purl()))
		}
		return false, nil
	case !knows(known, s.algorithm):
		c.gap(cl.path, cl.layer, fmt.Sprintf("nothing says which archive of %s was installed, so that it proves nothing", s.purl()))
		return false, nil
	case !known[s.digest()]:
		return false, fmt.Errorf("it is about an archive of %s with the digest %s, which is none of those that are pinned", s.purl(), s.digest())
	}
	return true, nil
}

func (c *checker) wrong(p place, purl, want string, err error) {
	c.result.Findings = append(c.result.Findings, integrity.Finding{
		Kind: integrity.Attestation, Path: p.path, Layer: p.layer, Package: purl, Source: "attestation", Want: want, Detail: clip(err.Error()),
	})
}

func (c *checker) gap(path string, layer int, why string) {
	c.result.Gaps = append(c.result.Gaps, fact.Gap{Path: path, Layer: layer, Why: clip(why)})
}

func (c *checker) sort() {
	slices.SortFunc(c.result.Attested, func(a, b integrity.Attested) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Package, b.Package), strings.Compare(a.Predicate, b.Predicate), strings.Compare(a.Publisher.Identity, b.Publisher.Identity))
	})
	slices.SortFunc(c.result.Findings, func(a, b integrity.Finding) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Package, b.Package), strings.Compare(a.Detail, b.Detail))
	})
	slices.SortFunc(c.result.Gaps, func(a, b fact.Gap) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.Layer, b.Layer), strings.Compare(a.Why, b.Why))
	})
}
