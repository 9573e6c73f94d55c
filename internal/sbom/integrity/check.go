package integrity

import (
	"cmp"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/distro"
)

const (
	// maxClaims is how many files packages may record together; the largest
	// images have about 300,000.
	maxClaims = 2_000_000
	// maxFindings of one report.
	maxFindings = 50_000
	// maxWalk is how many names in Python's folders are looked at.
	maxWalk = 1_000_000
	// maxDeep is how deep packages lie in each other.
	maxDeep = 64
)

var errClaims = fmt.Errorf("the packages record more than %d files", maxClaims)

// claim is what one package recorded about one file. There may be hundreds of
// thousands of them, so they hold no text of their own but a digest's bytes.
type claim struct {
	path   string // canonical
	by     string
	source source
	sum    string // bytes
	algo   algorithm
	layer  int32
	more   int32 // index of another claim about the path, plus one
}

// want writes the digest as findings do.
func (c *claim) want() string {
	if c.algo == none {
		return ""
	}
	return c.algo.String() + ":" + hex.EncodeToString([]byte(c.sum))
}

type source uint8

const (
	sourceRECORD source = iota
	sourceDpkg
	sourceApk
	sourceRPM
)

func (s source) String() string { return [...]string{"RECORD", "dpkg", "apk", "rpm"}[s] }

type algorithm uint8

const (
	none algorithm = iota
	sumMD5
	sumSHA1
	sumSHA256
	sumSHA384
	sumSHA512
	algorithms
)

var algorithmNames = [...]string{"", "md5", "sha1", "sha256", "sha384", "sha512"}

func (a algorithm) String() string { return algorithmNames[a] }

// parse reads "algorithm" and hex digits; none when they are no digest.
func parse(name, digits string) (algorithm, string) {
	at := slices.Index(algorithmNames[:], name)
	raw, err := hex.DecodeString(digits)
	if at <= 0 || err != nil || len(raw) != newHash(algorithm(at)).Size() {
		return none, ""
	}
	return algorithm(at), string(raw)
}

type checker struct {
	files  Files
	report Report
	count  int
	claims []claim
	// known are the canonical paths that some package recorded, to the index of
	// the first claim with a digest plus one; 0 when there is none.
	known map[string]int32
}

// Check compares the files with what the packages recorded; packages are those
// of the inventory. An error means that the source could not be read again.
func Check(ctx context.Context, files Files, packages []fact.Package) (Report, error) {
	c := &checker{files: files, known: map[string]int32{}}
	c.report.Findings = []Finding{}
	if err := c.distribution(ctx); err != nil {
		return Report{}, err
	}
	sites, err := c.wheels(ctx, packages)
	if err != nil {
		return Report{}, err
	}
	if err := c.compare(ctx); err != nil {
		return Report{}, err
	}
	for _, name := range slices.Sorted(keys(sites)) {
		if err := c.extra(ctx, sites[name]); err != nil {
			return Report{}, err
		}
	}
	if len(c.report.Findings) == maxFindings {
		c.gap("", fmt.Sprintf("more than %d findings; the rest is left out", maxFindings))
	}
	slices.SortFunc(c.report.Findings, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.Kind, b.Kind), strings.Compare(a.Package, b.Package))
	})
	slices.Sort(c.report.Unrecorded)
	c.report.Unrecorded = slices.Compact(c.report.Unrecorded)
	return c.report, nil
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (c *checker) gap(path, why string) {
	c.report.Gaps = append(c.report.Gaps, fact.Gap{Path: path, Layer: -1, Why: why})
}

func (c *checker) find(f Finding) {
	if len(c.report.Findings) < maxFindings {
		c.report.Findings = append(c.report.Findings, f)
	}
}

// claim notes one record; the claim's path is as the package wrote it. mayMiss
// says that the file need not be there, mayChange that it need not be as it was.
func (c *checker) claim(cl claim, mayMiss, mayChange bool) error {
	if c.count++; c.count > maxClaims {
		return errClaims
	}
	at, ok := c.files.Stat(cl.path)
	switch {
	case !ok && !mayMiss:
		c.find(Finding{Kind: Missing, Path: cl.path, Layer: -1, Package: cl.by, Source: cl.source.String(), Want: cl.want()})
		return nil
	case !ok:
		return nil
	}
	first := c.known[at.Canon]
	c.known[at.Canon] = first
	switch {
	case cl.algo == none, mayChange:
		return nil
	case at.Link && cl.source == sourceApk:
		return nil // what is recorded is the link's own text
	case !at.Regular:
		c.find(Finding{Kind: Changed, Path: cl.path, Layer: at.Layer, Package: cl.by, Source: cl.source.String(), Want: cl.want()})
		return nil
	}
	cl.path, cl.layer, cl.more = at.Canon, int32(at.Layer), first
	c.claims = append(c.claims, cl)
	c.known[at.Canon] = int32(len(c.claims))
	return nil
}

// of yields the claims about a path.
func (c *checker) of(path string) iter.Seq[*claim] {
	return func(yield func(*claim) bool) {
		for at := c.known[path]; at > 0; at = c.claims[at-1].more {
			if !yield(&c.claims[at-1]) {
				return
			}
		}
	}
}

func (c *checker) distribution(ctx context.Context) error {
	var failed error
	err := distro.Files(ctx, c.files, func(f distro.File) {
		if failed != nil {
			return
		}
		cl := claim{path: f.Path, source: sourceOf(f.Package), by: f.Package}
		cl.algo, cl.sum = parse(f.Algorithm, f.Sum)
		failed = c.claim(cl, f.Config || f.Optional, f.Config)
	})
	if failed != nil {
		return failed
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		c.gap("", "records of the distribution could not be read wholly: "+err.Error())
	}
	return nil
}

// sourceOf tells the record by the type of the package's URL.
func sourceOf(purl string) source {
	switch {
	case strings.HasPrefix(purl, "pkg:deb/"):
		return sourceDpkg
	case strings.HasPrefix(purl, "pkg:apk/"):
		return sourceApk
	}
	return sourceRPM
}

// site is a folder that Python packages were installed into.
type site struct {
	path string
	tops map[string]string // folders in it that wheels brought, to the wheel
	// open are names of which nobody knows which files they brought.
	open map[string]bool
}

// wheels notes what RECORDs say.
func (c *checker) wheels(ctx context.Context, packages []fact.Package) (map[string]*site, error) {
	sites := map[string]*site{}
	for i := range packages {
		if i%256 == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		p := &packages[i]
		if p.Removed || p.State != fact.Installed || p.Ecosystem != "PyPI" {
			continue
		}
		dist, base := path.Split(p.Path)
		dist = strings.TrimSuffix(dist, "/")
		isDist, isEgg := base == "METADATA" && strings.HasSuffix(dist, ".dist-info"), strings.HasSuffix(dist, ".egg-info") || strings.HasSuffix(base, ".egg-info")
		if !isDist && !isEgg {
			continue
		}
		if _, ok := c.files.Stat(p.Path); !ok {
			continue // it lies within an archive
		}
		folder := path.Dir(dist)
		if strings.HasSuffix(base, ".egg-info") {
			folder = dist
		}
		s := sites[folder]
		if s == nil {
			s = &site{path: folder, tops: map[string]string{}, open: map[string]bool{}}
			sites[folder] = s
		}
		var data []byte
		var err error
		if isDist {
			data, err = c.files.Read(dist+"/RECORD", MaxRecord)
		}
		if data == nil {
			s.open[strings.ReplaceAll(strings.ToLower(p.Name), "-", "_")] = true
			for _, m := range p.Modules {
				s.open[m] = true
			}
			if p.Owner == "" {
				c.report.Unrecorded = append(c.report.Unrecorded, p.PURL)
			}
			if err != nil && !notExist(err) {
				c.gap(dist+"/RECORD", err.Error())
			}
			continue
		}
		// A distribution moves what a wheel recorded, and records it itself.
		theirs := slices.ContainsFunc([]string{"pkg:deb/", "pkg:apk/", "pkg:rpm/"}, func(kind string) bool { return strings.HasPrefix(p.Owner, kind) })
		for row, want := range Record(data) {
			full := strings.TrimPrefix(path.Join("/", folder, row), "/")
			if strings.HasPrefix(row, "/") {
				full = strings.TrimPrefix(path.Clean(row), "/")
			}
			cl := claim{path: full, source: sourceRECORD, by: p.PURL}
			name, digits, _ := strings.Cut(want, ":")
			cl.algo, cl.sum = parse(name, digits)
			if err := c.claim(cl, theirs || strings.HasSuffix(full, ".pyc"), theirs); err != nil {
				return nil, err
			}
			if theirs {
				continue
			}
			if top, _, deep := strings.Cut(row, "/"); deep && top != ".." && top != "" && top != "__pycache__" && !strings.HasSuffix(top, ".dist-info") {
				s.tops[strings.Clone(top)] = p.PURL
			}
		}
	}
	return sites, nil
}

// compare reads the files that have a digest.
func (c *checker) compare(ctx context.Context) error {
	paths := make([]string, 0, len(c.claims))
	for i := range c.claims {
		paths = append(paths, c.claims[i].path)
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	buf := make([]byte, 64<<10)
	return c.files.Visit(ctx, paths, func(names []string, r io.Reader) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		var sums [algorithms]hash.Hash
		var all []io.Writer
		for _, name := range names {
			for cl := range c.of(name) {
				if sums[cl.algo] == nil {
					sums[cl.algo] = newHash(cl.algo)
					all = append(all, sums[cl.algo])
				}
			}
		}
		if _, err := io.CopyBuffer(onlyWriter{io.MultiWriter(all...)}, onlyReader{r}, buf); err != nil {
			c.gap(names[0], "it cannot be read: "+err.Error())
			return nil
		}
		for _, name := range names {
			c.judge(name, &sums)
		}
		return nil
	})
}

// CopyBuffer uses its buffer only where neither side knows better.
type onlyWriter struct{ io.Writer }
type onlyReader struct{ io.Reader }

func newHash(a algorithm) hash.Hash {
	switch a {
	case sumMD5:
		return md5.New()
	case sumSHA1:
		return sha1.New()
	case sumSHA384:
		return sha512.New384()
	case sumSHA512:
		return sha512.New()
	}
	return sha256.New()
}

// judge compares one file. Several packages may have recorded it, and then one
// that agrees suffices: the file is that one's.
func (c *checker) judge(name string, sums *[algorithms]hash.Hash) {
	c.report.Checked++
	var differs *claim
	for cl := range c.of(name) {
		if string(sums[cl.algo].Sum(nil)) == cl.sum {
			return
		}
		// Claims come the last first; the first is reported.
		differs = cl
	}
	if differs != nil {
		got := differs.algo.String() + ":" + hex.EncodeToString(sums[differs.algo].Sum(nil))
		c.find(Finding{Kind: Changed, Path: name, Layer: int(differs.layer), Package: differs.by, Source: differs.source.String(), Want: differs.want(), Got: got})
	}
}

// extra looks for programs in a site that nobody recorded.
func (c *checker) extra(ctx context.Context, s *site) error {
	if len(s.tops) == 0 {
		return nil // no wheel in it says what it brought
	}
	names, err := c.files.List(s.path)
	if err != nil {
		c.gap(s.path, err.Error())
		return nil
	}
	for _, name := range names {
		top, isFolder := strings.CutSuffix(name, "/")
		switch {
		case isFolder && s.tops[top] != "" && !s.open[top]:
			if err := c.walk(ctx, path.Join(s.path, top), s.tops[top], 0); err != nil {
				return err
			}
		case isFolder:
		case strings.HasSuffix(name, ".pth"), name == "sitecustomize.py", name == "usercustomize.py":
			// The interpreter runs them at each start, whatever is imported.
			c.unknown(path.Join(s.path, name), "")
		}
	}
	return nil
}

func (c *checker) walk(ctx context.Context, dir, by string, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	names, err := c.files.List(dir)
	if err != nil || depth > maxDeep {
		c.gap(dir, "the folder cannot be read, or lies too deep")
		return nil
	}
	for _, name := range names {
		if c.count++; c.count > maxClaims+maxWalk {
			return fmt.Errorf("there are more than %d files in Python's folders", maxWalk)
		}
		sub, isFolder := strings.CutSuffix(name, "/")
		switch {
		case isFolder && sub != "__pycache__":
			if at, ok := c.files.Stat(path.Join(dir, sub)); ok && at.Link {
				continue // it is looked at where it lies, and may lead up
			}
			if err := c.walk(ctx, path.Join(dir, sub), by, depth+1); err != nil {
				return err
			}
		case strings.HasSuffix(name, ".py"), strings.HasSuffix(name, ".so"), strings.HasSuffix(name, ".pth"):
			c.unknown(path.Join(dir, name), by)
		}
	}
	return nil
}

// unknown reports a file that nobody recorded.
func (c *checker) unknown(name, by string) {
	at, ok := c.files.Stat(name)
	if !ok || !at.Regular {
		return
	}
	if _, recorded := c.known[at.Canon]; recorded {
		return
	}
	c.find(Finding{Kind: Extra, Path: name, Layer: at.Layer, Package: by, Source: "RECORD"})
}

func notExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
