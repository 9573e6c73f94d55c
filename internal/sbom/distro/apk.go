package distro

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract"
)

func wantsApk(path string, _ fs.FileMode, _ int64) bool { return path == apkOld || path == apkNew }

// apk is a package of apk's database.
type apk struct {
	name, version, arch, origin, license string
}

func extractApk(ctx context.Context, f *extract.File, add func(fact.Package)) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	d := f.Tree.Distribution()
	return readApk(ctx, r, func(p *apk) { add(p.pkg(d)) }, nil)
}

// apkFile is a file that a package brought.
type apkFile struct {
	path string
	sum  string // "Q1…": SHA-1 in base64, "Q2…": SHA-256; "" where there is none
}

// readApk yields the packages of the database, and before each of them its
// files where file is not nil.
func readApk(ctx context.Context, r io.Reader, yield func(*apk), file func(apkFile)) error {
	var p apk
	var folder string
	var last apkFile
	rows, broken := 0, 0
	done := func() {
		if last.path != "" && file != nil {
			file(last)
		}
		last = apkFile{}
	}
	flush := func() error {
		defer func() { p, folder = apk{}, "" }()
		done()
		if p == (apk{}) {
			return nil
		}
		if p.name == "" || p.version == "" {
			broken++
			return nil
		}
		if rows++; rows > maxRows {
			return errRows
		}
		if rows%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		yield(&p)
		return nil
	}
	err := eachLine(r, extract.MaxText, func(line []byte) error {
		if len(line) == 0 {
			return flush()
		}
		if len(line) < 2 || line[1] != ':' {
			return nil
		}
		key, value := line[0], line[2:]
		switch key {
		case 'P':
			p.name = field(string(value))
		case 'V':
			p.version = field(string(value))
		case 'A':
			p.arch = field(string(value))
		case 'o':
			p.origin = field(string(value))
		case 'L':
			p.license = field(string(value))
		}
		if file == nil {
			return nil
		}
		switch key {
		case 'F':
			done()
			folder = string(value)
		case 'R':
			done()
			last.path = string(value)
			if folder != "" {
				last.path = folder + "/" + last.path
			}
		case 'Z':
			last.sum = string(value)
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err == nil && broken > 0 {
		err = fmt.Errorf("%d packages lack a name or a version", broken)
	}
	return err
}

func (p *apk) pkg(d fact.Distribution) fact.Package {
	out := fact.Package{
		Ecosystem: Ecosystem(d, "apk"), Name: p.name, Version: p.version, Arch: p.arch, State: fact.Installed,
		PURL: purl("apk", d, p.name, p.version, p.arch, ""),
	}
	if p.license != "" {
		out.Licenses = []string{p.license}
	}
	if p.origin != "" && p.origin != p.name {
		out.SourceName, out.SourceVersion = p.origin, p.version
	}
	return out
}

// apkSum returns the algorithm and the hex digits of a checksum.
func apkSum(s string) (algorithm, sum string) {
	if len(s) < 2 {
		return "", ""
	}
	raw, err := base64.StdEncoding.DecodeString(s[2:])
	switch {
	case err != nil:
	case s[:2] == "Q1" && len(raw) == 20:
		return "sha1", hex.EncodeToString(raw)
	case s[:2] == "Q2" && len(raw) == 32:
		return "sha256", hex.EncodeToString(raw)
	}
	return "", ""
}
