package bump

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/apexlogic/apex/internal/bounded"
)

// maxDepth bounds what is nested in a file; those that people write have 5.
const maxDepth = 64

// isDependencies reports whether package.json's key holds what npm installs.
// Peer dependencies are what others are to have.
func isDependencies(key string) bool {
	return key == "dependencies" || key == "devDependencies" || key == "optionalDependencies"
}

// findPackageJSON finds "name": "1.2.3" with "=", "v", "^", "~" or nothing
// before it, and the same of an alias ("npm:name@1.2.3").
func findPackageJSON(f *File) error {
	data := f.data
	skipped := 0
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		skipped = 3
		data = data[3:]
	}
	type level struct {
		object bool
		key    string // of an object: the last one
		value  bool   // a value is next, not a key
		name   int    // where the key begins
	}
	var open []level
	dec := json.NewDecoder(bytes.NewReader(data))
	for {
		before := int(dec.InputOffset())
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			if len(open) == 0 {
				return nil
			}
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("invalid JSON: %w", err)
		}
		end := int(dec.InputOffset())
		if delim, ok := token.(json.Delim); ok && (delim == '{' || delim == '[') {
			if len(open) == maxDepth {
				return fmt.Errorf("%w of %d levels", bounded.ErrTooDeep, maxDepth)
			}
			open = append(open, level{object: delim == '{'})
			continue
		} else if ok {
			open = open[:len(open)-1]
		}
		if len(open) == 0 {
			continue
		}
		top := &open[len(open)-1]
		text, isText := token.(string)
		if top.object && !top.value && isText {
			top.key, top.value = text, true
			top.name = before + max(bytes.IndexByte(data[before:end], '"'), 0)
			continue
		}
		top.value = false
		if !isText || len(open) != 2 || !top.object || !isDependencies(open[0].key) {
			continue
		}
		quote := before + bytes.IndexByte(data[before:end], '"')
		p, ok := npmSpec(top.key, text)
		// With escapes, places in the text are not those in the file.
		if !ok || quote < before || string(data[quote+1:end-1]) != text {
			continue
		}
		p = p.at(quote + 1 + skipped)
		p.begin, p.tail = top.name+skipped, 1
		if err := f.add(p); err != nil {
			return err
		}
	}
}

// npmSpec reads what a dependency asks for.
func npmSpec(name, spec string) (p Pin, ok bool) {
	at := 0
	if alias, found := strings.CutPrefix(spec, "npm:"); found {
		i := strings.LastIndexByte(alias, '@')
		if i < 1 {
			return p, false
		}
		name, at = alias[:i], len("npm:")+i+1
	}
	p = Pin{Ecosystem: npm, Name: name}
	switch rest := spec[at:]; {
	case strings.HasPrefix(rest, "^"):
		p.Range = Caret
		at++
	case strings.HasPrefix(rest, "~"):
		p.Range = Tilde
		at++
	case strings.HasPrefix(rest, "="):
		at++
	}
	if strings.HasPrefix(spec[at:], "v") {
		at++
	}
	p.Version, p.start, p.end = spec[at:], at, len(spec)
	// Only a full version: "^1" allows what "^1.2.3" does not.
	if !semver.IsValid("v"+p.Version) || strings.Count(p.Version[:len(p.Version)-len(semver.Prerelease("v"+p.Version))-len(semver.Build("v"+p.Version))], ".") != 2 {
		return p, false
	}
	return p, true
}
