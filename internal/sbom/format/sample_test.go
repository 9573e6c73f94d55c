package format_test

import (
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

func digest(c string) verdict.Digest { return verdict.Digest("sha256:" + strings.Repeat(c, 64)) }

// sample holds every field, every state, and what formats find hard: the same
// package twice, versions with "+" and "!", names in mixed case, empty layers
// with one digest, licences that are no identifiers, and a gap.
func sample() *fact.Inventory {
	owner := "pkg:deb/debian/python3-yaml@6.0-3%2Bb2?arch=amd64&distro=debian-12"
	wheel := "pkg:pypi/torch@2.6.0%2Bcu124"
	return &fact.Inventory{
		Subject: verdict.Ref{Kind: verdict.KindImage, Repo: "ghcr.io/acme/captioner", Digest: digest("a")},
		Source:  "Apex", Version: "1.2.3",
		Made:         time.Date(2026, 8, 22, 10, 11, 12, 0, time.UTC),
		Database:     time.Date(2026, 8, 21, 1, 2, 3, 0, time.UTC),
		Distribution: fact.Distribution{ID: "debian", Version: "12", Name: "Debian GNU/Linux 12 (bookworm)"},
		Layers:       []verdict.Digest{digest("1"), digest("2"), digest("2"), digest("3")},
		Packages: []fact.Package{
			{Ecosystem: "Debian:12", Name: "python3-yaml", Version: "6.0-3+b2", SourceName: "pyyaml", SourceVersion: "6.0-3", Arch: "amd64", PURL: owner,
				Licenses: []string{"MIT"}, Path: "var/lib/dpkg/status", Layer: 0, By: "dpkg"},
			{Ecosystem: "PyPI", Name: "PyYAML", Version: "6.0", PURL: "pkg:pypi/pyyaml@6.0", Licenses: []string{"MIT License", "Apache-2.0"},
				Path: "usr/lib/python3/dist-packages/PyYAML-6.0.egg-info/PKG-INFO", Layer: 0, Owner: owner, By: "python-egg-info", Modules: []string{"_yaml", "yaml"}},
			{Ecosystem: "PyPI", Name: "torch", Version: "2.6.0+cu124", PURL: wheel, Licenses: []string{"BSD-3-Clause AND (MIT OR Apache-2.0)"},
				Path: "opt/venv/lib/torch-2.6.0.dist-info/METADATA", Layer: 2, By: "python-dist-info", Attributes: []string{"direct", "installer:pip"}},
			{Ecosystem: "generic", Name: "libgomp", Version: "", State: fact.Vendored, PURL: "pkg:generic/libgomp?file_name=libgomp-a34b3233.so.1",
				Path: "opt/venv/lib/torch/lib/libgomp-a34b3233.so.1", Layer: 2, Owner: wheel, By: "shared-object", Attributes: []string{"soname:libgomp.so.1"}},
			{Ecosystem: "PyPI", Name: "torch", Version: "2.6.0+cu124", PURL: wheel, Path: "srv/app/torch-2.6.0.dist-info/METADATA", Layer: 3, By: "python-dist-info"},
			{Ecosystem: "PyPI", Name: "torch", Version: "2.6.0+cu124", PURL: wheel, Path: "srv/old/torch-2.6.0.dist-info/METADATA", Layer: 1, Removed: true, By: "python-dist-info"},
			{Ecosystem: "PyPI", Name: "epochal_thing", Version: "1!2.0.post1", State: fact.Locked, PURL: "pkg:pypi/epochal-thing@1%212.0.post1",
				Path: "srv/app/uv.lock", Layer: 3, By: "uv", Hashes: []string{"sha256:" + strings.Repeat("0f", 32), "sha512:" + strings.Repeat("1e", 64)}, Attributes: []string{"dev"}},
			{Ecosystem: "PyPI", Name: "requests", Version: "", State: fact.Declared, PURL: "pkg:pypi/requests", Path: "srv/app/requirements.txt", Layer: 3, By: "requirements"},
			{Ecosystem: "Go", Name: "github.com/BurntSushi/toml", Version: "v1.4.0", State: fact.Linked, PURL: "pkg:golang/github.com/burntsushi/toml@v1.4.0",
				Path: "usr/bin/tool", Layer: 3, By: "go", Hashes: []string{"h1:kuoIxZQy2WRRk1pttg9asf+WVv6tWQuBNVmK8+nqPr0="}},
			{Ecosystem: "npm", Name: "@babel/core", Version: "7.0.0-beta.1", State: fact.Locked, PURL: "pkg:npm/%40babel/core@7.0.0-beta.1", Path: "srv/app/package-lock.json", Layer: 3, By: "npm"},
			{Ecosystem: "Rocky Linux:9", Name: "openssl-libs", Version: "1:3.0.7-27.el9", SourceName: "openssl", SourceVersion: "1:3.0.7-27.el9", Arch: "x86_64",
				PURL: "pkg:rpm/rocky/openssl-libs@3.0.7-27.el9?arch=x86_64&distro=rocky-9.4&epoch=1", Path: "var/lib/rpm/rpmdb.sqlite", Layer: -1, By: "rpm"},
			{Ecosystem: "openEuler:24.03-LTS", Name: "zlib", Version: "1.2.13-2.oe2403", Arch: "x86_64", PURL: "pkg:rpm/openeuler/zlib@1.2.13-2.oe2403?arch=x86_64&distro=openeuler-24.03",
				Path: "var/lib/rpm/rpmdb.sqlite", Layer: -1, By: "rpm"},
			{Ecosystem: "conda", Name: "cudatoolkit", Version: "11.8.0", PURL: "pkg:conda/cudatoolkit@11.8.0?build=h6a678d5_0&channel=main&subdir=linux-64", Path: "opt/conda/conda-meta/cudatoolkit-11.8.0.json", Layer: 1, By: "conda"},
			{Ecosystem: "generic", Name: "hand made", Version: "1", Path: "opt/x", Layer: 1, By: "cuda"},
		},
		Gaps: []fact.Gap{{Path: "opt/broken.zip", Layer: 2, Why: "zip: not a valid zip file"}, {Path: "", Layer: -1, Why: "a thing <&> that is \"quoted\""}},
	}
}
