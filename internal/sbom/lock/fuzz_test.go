package lock

import (
	"errors"
	"testing"
	"testing/fstest"

	"github.com/apexlogic/apex/internal/sbom/extract"
	"github.com/apexlogic/apex/internal/sbom/extract/extracttest"
)

func newFile(path string) *extract.File {
	return &extract.File{Path: path, Tree: extracttest.Tree{FS: fstest.MapFS{}}}
}

// fuzz runs one parser on bytes; what it adds must be within its limits.
func fuzz(f *testing.F, path string, parse parser, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		l := &list{ctx: t.Context(), file: newFile(path), by: "fuzz"}
		if err := parse(l, data); err != nil && errors.Is(err, extract.ErrSkip) && len(l.packages) > 0 {
			t.Error("packages were added from a file of another kind")
		}
		for _, p := range l.packages {
			if p.Name == "" || len(p.Name) > maxName*3 || len(p.Version) > maxName*3 || len(p.Hashes) > maxHashes || p.Path != path {
				t.Errorf("%+v", p)
			}
		}
	})
}

func FuzzNPM(f *testing.F) {
	fuzz(f, "package-lock.json", parseNPM, `{"packages":{"":{"dependencies":{"a":"1"}},"node_modules/a":{"version":"1","integrity":"sha512-AA=="}}}`,
		`{"dependencies":{"a":{"version":"npm:b@1","dependencies":{"c":{"version":"2"}}}}}`)
}

func FuzzManifest(f *testing.F) {
	fuzz(f, "node_modules/a/package.json", parseManifest, `{"name":"a","version":"1","license":{"type":"MIT"}}`, `{"licenses":[{"type":"MIT"},"ISC"]}`)
}

func FuzzYarn(f *testing.F) {
	fuzz(f, "yarn.lock", parseYarn, "\"@a/b@^1\", c@npm:d@2:\n  version \"1\"\n  resolved \"https://x/y.tgz#aa\"\n", "__metadata:\n  version: 8\n\"a@npm:1\":\n  version: 1\n  resolution: \"a@npm:1\"\n")
}

func FuzzPNPM(f *testing.F) {
	fuzz(f, "pnpm-lock.yaml", parsePNPM, "lockfileVersion: 5.4\npackages:\n  /@s/a/1.0_b@1:\n    resolution: {integrity: sha512-AA==}\n", "packages:\n  a@1(b@2): &x {dev: true}\n  b@1: *x\n")
}

func FuzzTOML(f *testing.F) {
	all := []parser{parseUV, parsePoetry, parsePDM, parsePylock, parseCargo}
	fuzz(f, "x.lock", func(l *list, data []byte) error {
		var errs []error
		for _, parse := range all {
			errs = append(errs, parse(l, data))
		}
		return errors.Join(errs...)
	}, "[[package]]\nname = \"a\"\nversion = \"1\"\nsource = { git = \"https://x/y#1\" }\ndependencies = [{ name = \"b\" }]\n",
		"[[packages]]\nname = 'a'\nwheels = [{hashes = {sha256 = 'aa'}}]\n[packages.vcs]\nurl = 'https://x'\n",
		"[[package]]\nname = \"a\"\nversion = \"1\"\n\n[metadata]\n\"checksum a 1 ()\" = \"aa\"\n")
}

func FuzzRequirements(f *testing.F) {
	fuzz(f, "requirements.txt", parseRequirements, "a[b]==1 ; x \\\n --hash=sha256:aa\n-r b\n-e git+https://x/y@1#egg=z\n", "-c\n-\n--hash\n@\n[\n")
}

func FuzzPipfile(f *testing.F) {
	fuzz(f, "Pipfile.lock", parsePipfile, `{"_meta":{},"default":{"a":{"version":"==1","hashes":["sha256:aa"]}}}`)
}

func FuzzGoMod(f *testing.F) {
	fuzz(f, "go.mod", parseGoMod, "module x\ngo 1.21rc1\ntoolchain go1.22-x\nrequire a.b/c v1.0.0 // indirect\nreplace a.b/c => ../c\n")
}

func FuzzGemfile(f *testing.F) {
	fuzz(f, "Gemfile.lock", parseGemfile, "GEM\n  specs:\n    a (1-x86)\nDEPENDENCIES\n  a!\nCHECKSUMS\n  a (1-x86) sha256=aa\n")
}

func FuzzComposer(f *testing.F) {
	fuzz(f, "composer.lock", parseComposer, `{"packages":[{"name":"a/b","version":"v1","dist":{"shasum":"aa"},"license":["MIT"]}]}`)
}
