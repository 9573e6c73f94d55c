package history

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// maxPatternParts bounds the work of matching: each ** may try every directory.
const maxPatternParts = 32

// pattern matches paths as gitattributes(5) does.
type pattern struct {
	parts []string
}

func compilePattern(text string) (*pattern, error) {
	switch {
	case text == "" || text == "/":
		return nil, errors.New("the pattern is empty")
	case strings.HasSuffix(text, "/"):
		return nil, fmt.Errorf("the pattern names a directory, and rules are about files: write %s**", text)
	case strings.HasPrefix(text, "!"):
		return nil, errors.New("a pattern cannot exclude: every rule that matches has to be satisfied")
	}
	// Without a slash it is about a name anywhere; a leading one only anchors.
	anchored := strings.Contains(text, "/")
	parts := strings.Split(strings.TrimPrefix(text, "/"), "/")
	if !anchored && text != "**" {
		parts = []string{"**", text}
	}
	stars := 0
	for i, part := range parts {
		if part == "**" {
			stars++
			continue
		}
		if part == "" || part == "." || part == ".." {
			return nil, fmt.Errorf("the pattern has %q where a name belongs", part)
		}
		if strings.Contains(part, "**") {
			return nil, fmt.Errorf("** stands for whole directories: write it between slashes instead of in %q", part)
		}
		if _, err := path.Match(parts[i], "x"); err != nil {
			return nil, fmt.Errorf("%q is not a pattern: %w", part, err)
		}
	}
	if len(parts) > maxPatternParts || stars > 3 {
		return nil, fmt.Errorf("the pattern has more than %d parts, or ** more than three times", maxPatternParts)
	}
	return &pattern{parts}, nil
}

// matches says whether the pattern is about the path of a file.
func (p *pattern) matches(name string) bool { return match(p.parts, strings.Split(name, "/")) }

func match(parts, names []string) bool {
	for len(parts) > 0 {
		if parts[0] == "**" {
			if len(parts) == 1 {
				return len(names) > 0 // everything inside
			}
			for i := range names {
				if match(parts[1:], names[i:]) {
					return true
				}
			}
			return false
		}
		if len(names) == 0 {
			return false
		}
		if ok, _ := path.Match(parts[0], names[0]); !ok {
			return false
		}
		parts, names = parts[1:], names[1:]
	}
	return len(names) == 0
}
