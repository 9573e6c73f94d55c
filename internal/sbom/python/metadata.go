package python

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

const (
	// maxMetadata is how much of a METADATA or PKG-INFO file is read. The fields
	// end where the description begins; licences pasted into one of them have
	// some hundred kilobytes at most.
	maxMetadata = 4 << 20
	// maxFields is how many fields are looked at: packages with many extras
	// have some thousand Requires-Dist.
	maxFields = 50_000
	// maxName bounds names and versions: the index allows less than this.
	maxName = 256
	// maxLicense is where the licence field stops being a name and is a text.
	maxLicense = 200
	// maxLicenses bounds the classifiers that are kept.
	maxLicenses = 16
	// maxModules bounds the import names of one package.
	maxModules = 256
)

// metadata is what the fields of core metadata say, as far as it is used.
type metadata struct {
	name, version string
	licenses      []string
	modules       []string // Import-Name and Import-Namespace, which few packages have
}

// parseMetadata reads the header of METADATA or PKG-INFO. Of a field that may
// stand once the first counts, as for importlib.metadata.
func parseMetadata(data []byte) (metadata, error) {
	var (
		m                metadata
		expression, text string
		classifiers      []string
		fields           int
	)
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	for len(data) > 0 {
		var line []byte
		line, data = cutLine(data)
		if len(line) == 0 {
			break // the description follows
		}
		if line[0] == ' ' || line[0] == '\t' {
			if text != "" {
				text += "\n" // a licence of several lines is a text
			}
			continue
		}
		key, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		if fields++; fields > maxFields {
			return m, fmt.Errorf("more than %d fields", maxFields)
		}
		v := field(value)
		if v == "" || v == "UNKNOWN" { // what distutils wrote for nothing
			continue
		}
		switch strings.ToLower(string(key[:min(len(key), 32)])) {
		case "name":
			m.name = first(m.name, v)
		case "version":
			m.version = first(m.version, v)
		case "license-expression":
			expression = first(expression, v)
		case "license":
			text = first(text, v)
		case "classifier":
			if rest, ok := strings.CutPrefix(v, "License :: "); ok && len(classifiers) < maxLicenses {
				if i := strings.LastIndex(rest, ":: "); i >= 0 {
					rest = rest[i+len(":: "):]
				}
				classifiers = append(classifiers, rest)
			}
		case "import-name", "import-namespace":
			name, _, _ := strings.Cut(v, ";")
			if name = strings.TrimSpace(name); isDotted(name) && len(m.modules) < maxModules {
				m.modules = append(m.modules, name)
			}
		}
	}
	switch {
	case expression != "":
		m.licenses = []string{expression}
	case text != "" && len(text) <= maxLicense && !strings.Contains(text, "\n"):
		m.licenses = []string{text}
	default:
		m.licenses = classifiers
	}
	if len(m.name) > maxName || len(m.version) > maxName {
		return metadata{}, fmt.Errorf("its name or version is longer than %d bytes", maxName)
	}
	if m.name == "" {
		return m, errors.New("it has no Name field")
	}
	return m, nil
}

// cutLine returns the first line without its end, and what follows.
func cutLine(data []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(data, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), rest
}

func field(value []byte) string {
	return strings.ToValidUTF8(string(bytes.TrimSpace(value)), "\uFFFD")
}

func first(have, found string) string {
	if have != "" {
		return have
	}
	return found
}

// isDotted says whether the text is a name that an import statement can have.
func isDotted(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || part[0] >= '0' && part[0] <= '9' {
			return false
		}
		for i := range len(part) {
			if !isName(part[i]) {
				return false
			}
		}
	}
	return true
}

// isName says whether the byte can be part of a Python identifier.
func isName(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80
}
