package lock

import (
	"bytes"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/python"
)

// parseGemfile reads Gemfile.lock: sections by indentation, gems at four spaces
// of "specs:", what the Gemfile names under DEPENDENCIES.
func parseGemfile(l *list, data []byte) error {
	type found struct {
		p    fact.Package
		spec string // as CHECKSUMS repeats it
	}
	var (
		all              []found
		section          string
		remote, revision string
		direct           = map[string]bool{}
		sums             = map[string]string{}
	)
	for len(data) > 0 {
		var raw []byte
		raw, data, _ = bytes.Cut(data, []byte("\n"))
		line := strings.TrimRight(string(raw), "\r ")
		text := strings.TrimLeft(line, " ")
		switch indent := len(line) - len(text); {
		case text == "":
		case indent == 0:
			section, remote, revision = text, "", ""
		case section == "DEPENDENCIES" && indent == 2:
			name, _, _ := strings.Cut(text, " ")
			direct[strings.TrimSuffix(name, "!")] = true
		case section == "CHECKSUMS" && indent == 2:
			if spec, sum, ok := strings.Cut(text, ") "); ok {
				sums[spec+")"] = sum
			}
		case indent == 2:
			if v, ok := strings.CutPrefix(text, "remote: "); ok {
				remote = v
			}
			if v, ok := strings.CutPrefix(text, "revision: "); ok {
				revision = v
			}
		case indent == 4 && (section == "GEM" || section == "GIT" || section == "PATH"):
			name, rest, ok := strings.Cut(text, " (")
			version, closed := strings.CutSuffix(rest, ")")
			if !ok || !closed {
				continue
			}
			version, platform, _ := strings.Cut(version, "-")
			if len(all) >= maxPackages {
				continue // put reports it
			}
			p := gem.at(name, version, "platform", platform)
			switch section {
			case "GIT":
				p = gem.at(name, version, "vcs_url", "git+"+python.CleanURL(remote)+"@"+revision)
			case "PATH":
				p.Attributes = []string{"local"}
			}
			all = append(all, found{p, text})
		}
	}
	for _, f := range all {
		if direct[f.p.Name] {
			f.p.Attributes = append(f.p.Attributes, "direct")
		}
		for sum := range strings.SplitSeq(sums[f.spec], ",") {
			f.p.Hashes = append(f.p.Hashes, checksum(sum)...)
		}
		if err := l.put(f.p); err != nil {
			return err
		}
	}
	return nil
}
