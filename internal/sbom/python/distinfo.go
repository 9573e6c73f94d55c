package python

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract"
)

const (
	// maxSmall bounds INSTALLER, direct_url.json and top_level.txt, which have
	// some hundred bytes.
	maxSmall = 1 << 20
	// maxRecord bounds RECORD: that of PyTorch, with 12,000 files, has 1.5 MB.
	maxRecord = 32 << 20
)

func wantsDistInfo(p string, _ fs.FileMode, _ int64) bool {
	return strings.HasSuffix(p, ".dist-info/METADATA")
}

// extractDistInfo reads the folder that an installer leaves beside a package
// ("Recording installed projects", PEP 376 and PEP 627).
func extractDistInfo(_ context.Context, f *extract.File, add func(fact.Package)) error {
	data, err := readHead(f, maxMetadata)
	if err != nil {
		return err
	}
	m, err := parseMetadata(data)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	folder := path.Dir(f.Path)
	if m.version == "" {
		// A package without a version is as present as any other.
		_, m.version = splitFolder(path.Base(folder))
	}
	p := newPackage("python-dist-info", f.Path, m)
	beside := func(name string, limit int64) []byte {
		if err != nil {
			return nil
		}
		var data []byte
		if data, err = optional(f.Tree, folder+"/"+name, limit); err != nil {
			err = fmt.Errorf("read %s/%s: %w", folder, name, err)
		}
		return data
	}
	record, top := beside("RECORD", maxRecord), beside("top_level.txt", maxSmall)
	if len(p.Modules) == 0 {
		p.Modules = modulesOf(m.name, record, top)
	}
	if by := field(beside("INSTALLER", maxSmall)); isInstaller(by) {
		p.Attributes = append(p.Attributes, "installer:"+by)
	}
	if beside("REQUESTED", maxSmall) != nil {
		p.Attributes = append(p.Attributes, "direct")
	}
	if direct := beside("direct_url.json", maxSmall); direct != nil && err == nil {
		if err = applyDirectURL(&p, direct); err != nil {
			err = fmt.Errorf("%s/direct_url.json: %w", folder, err)
		}
	}
	add(p)
	return err
}

// newPackage fills what all kinds of evidence say in the same way.
func newPackage(by, path string, m metadata) fact.Package {
	p := fact.Package{
		Ecosystem: Ecosystem, Name: m.name, Version: m.version, PURL: PURL(m.name, m.version),
		Licenses: m.licenses, Modules: m.modules, State: stateOf(path), Path: path, Layer: -1, By: by,
	}
	return p
}

// stateOf tells a package of its own from one that another carries along.
func stateOf(path string) fact.PackageState {
	for part := range strings.SplitSeq(path, "/") {
		switch part {
		case "_vendor", "_vendored", "_bundled", "_embed", "vendored":
			return fact.Vendored
		}
	}
	return fact.Installed
}

// splitFolder splits "name-1.0.dist-info".
func splitFolder(base string) (name, version string) {
	base = strings.TrimSuffix(strings.TrimSuffix(base, ".dist-info"), ".egg-info")
	name, version, _ = strings.Cut(base, "-")
	version, _, _ = strings.Cut(version, "-") // egg-info goes on with "-py3.11"
	return name, version
}

// isInstaller says whether the text is the name of a program.
func isInstaller(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isName(c) && c != '-' && c != '.' || c >= 0x80 {
			return false
		}
	}
	return true
}

// applyDirectURL adds where a package came from that is from no index (PEP 610).
func applyDirectURL(p *fact.Package, data []byte) error {
	var d struct {
		URL string `json:"url"`
		Dir *struct {
			Editable bool `json:"editable"`
		} `json:"dir_info"`
		VCS *struct {
			VCS    string `json:"vcs"`
			Commit string `json:"commit_id"`
		} `json:"vcs_info"`
		Archive *struct {
			Hash   string          `json:"hash"`
			Hashes json.RawMessage `json:"hashes"`
		} `json:"archive_info"`
	}
	const depth = 4 // the document, archive_info, hashes, and one to spare
	if err := bounded.JSON(data, depth, &d); err != nil {
		return err
	}
	url := CleanURL(d.URL)
	switch {
	case d.Dir != nil:
		if d.Dir.Editable {
			p.Attributes = append(p.Attributes, "editable")
		}
	case d.VCS != nil && url != "" && isInstaller(d.VCS.VCS):
		at := ""
		if d.VCS.Commit != "" && len(d.VCS.Commit) <= maxName {
			at = "@" + d.VCS.Commit
		}
		p.PURL = PURL(p.Name, p.Version, "vcs_url", d.VCS.VCS+"+"+url+at)
	case d.Archive != nil:
		p.PURL = PURL(p.Name, p.Version, "download_url", url)
		if algorithm, sum, ok := strings.Cut(d.Archive.Hash, "="); ok {
			p.Hashes = append(p.Hashes, algorithm+":"+sum)
		}
		var hashes map[string]string
		if len(d.Archive.Hashes) > 0 && json.Unmarshal(d.Archive.Hashes, &hashes) == nil {
			for algorithm, sum := range hashes {
				p.Hashes = append(p.Hashes, algorithm+":"+sum)
			}
		}
		slices.Sort(p.Hashes)
		p.Hashes = slices.Compact(p.Hashes)
	}
	return nil
}
