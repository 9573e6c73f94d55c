package lock

import (
	"bytes"
	"encoding/hex"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
)

// parseYarn reads yarn.lock: the own format of Yarn 1, or the YAML of later
// ones ("berry"), which begins with __metadata.
func parseYarn(l *list, data []byte) error {
	if bytes.HasPrefix(data, []byte("__metadata:")) || bytes.Contains(data, []byte("\n__metadata:")) {
		return parseBerry(l, data)
	}
	var names []string // the ranges that the entry answers
	var e npmCommon
	asked := l.npmAsked()
	flush := func() error {
		if len(names) == 0 {
			return nil
		}
		p := yarnClassic(names, e)
		if asked[p.Name] {
			p.Attributes = append(p.Attributes, "direct")
		}
		err := l.put(p)
		names, e = nil, npmCommon{}
		return err
	}
	for len(data) > 0 {
		var raw []byte
		raw, data, _ = bytes.Cut(data, []byte("\n"))
		line := strings.TrimRight(string(raw), "\r \t")
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] != ' ' && line[0] != '\t' {
			if err := flush(); err != nil {
				return err
			}
			if head, ok := strings.CutSuffix(line, ":"); ok {
				names = splitQuoted(head, ',')
			}
			continue
		}
		// Fields are indented by two, dependencies by four.
		if !strings.HasPrefix(line, "  ") || strings.HasPrefix(line, "   ") {
			continue
		}
		key, value, _ := strings.Cut(line[2:], " ")
		value = unquote(strings.TrimSpace(value))
		switch key {
		case "version":
			e.Version = value
		case "resolved":
			e.Resolved = value
		case "integrity":
			e.Integrity = value
		}
	}
	return flush()
}

// yarnClassic makes a package of an entry. The first range of "name@range" or
// "alias@npm:name@range" tells the name.
func yarnClassic(names []string, e npmCommon) fact.Package {
	name, from := npmRange(names[0])
	address, sha1, _ := strings.Cut(e.Resolved, "#")
	if !strings.HasPrefix(from, "git") && !strings.HasPrefix(from, "file:") && !strings.HasPrefix(from, "link:") {
		from = e.Resolved
	}
	if strings.Contains(e.Resolved, ".git#") && !strings.HasPrefix(from, "git") {
		from = "git+" + e.Resolved
	} else if strings.HasPrefix(from, "git") && e.Resolved != "" {
		from = e.Resolved
	}
	p := npmFrom(name, e.Version, from)
	p.Hashes = sri(e.Integrity)
	if raw, err := hex.DecodeString(sha1); err == nil && len(raw) == 20 && !strings.Contains(address, ".git") {
		p.Hashes = append(p.Hashes, "sha1:"+sha1)
	}
	return p
}

// npmRange splits "name@range"; of an alias it returns what is behind it.
func npmRange(s string) (name, spec string) {
	i := strings.IndexByte(s[min(1, len(s)):], '@') // a scope begins with one
	if i < 0 {
		return s, ""
	}
	name, spec = s[:i+1], s[i+2:]
	if real, ok := strings.CutPrefix(spec, "npm:"); ok {
		if j := strings.LastIndexByte(real, '@'); j > 0 {
			return real[:j], real[j+1:]
		}
		return name, real
	}
	return name, spec
}

// splitQuoted splits at the separator, except in double quotes.
func splitQuoted(s string, separator byte) []string {
	var out []string
	start, quoted := 0, false
	for i := 0; i <= len(s); i++ {
		switch {
		case i == len(s) || s[i] == separator && !quoted:
			if part := unquote(strings.TrimSpace(s[start:i])); part != "" {
				out = append(out, part)
			}
			start = i + 1
		case s[i] == '"':
			quoted = !quoted
		}
	}
	return out
}

func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// parseBerry reads the lock file of Yarn 2 and later. Its checksums are of
// Yarn's own archives, which nobody publishes, so they are not kept.
func parseBerry(l *list, data []byte) error {
	root, err := readYAML(data)
	if err != nil {
		return err
	}
	asked := l.npmAsked()
	for key, e := range root.pairs() {
		resolution := e.text("resolution")
		if key == "__metadata" || resolution == "" {
			continue
		}
		name, from := berryLocator(resolution)
		version := e.text("version")
		p := npmFrom(name, version, from)
		if e.text("linkType") == "soft" && !p.Has("local") {
			p.Attributes = append(p.Attributes, "local")
		}
		if asked[p.Name] {
			p.Attributes = append(p.Attributes, "direct")
		}
		if err := l.put(p); err != nil {
			return err
		}
	}
	return nil
}

// berryLocator splits "name@npm:1.0", "name@workspace:.", and a patched package,
// "name@patch:name@npm%3A1.0#…", which is what it patches.
func berryLocator(s string) (name, from string) {
	i := strings.IndexByte(s[min(1, len(s)):], '@')
	if i < 0 {
		return s, ""
	}
	name, from = s[:i+1], s[i+2:]
	if strings.HasPrefix(from, "npm:") || strings.HasPrefix(from, "patch:") {
		return name, ""
	}
	if rest, commit, ok := strings.Cut(from, "#commit="); ok {
		if !strings.HasPrefix(rest, "git") {
			rest = "git+" + rest
		}
		return name, rest + "#" + commit
	}
	return name, from
}
