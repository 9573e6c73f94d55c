package oms

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// checkName refuses paths that two systems could read differently (OMS §6.1.2):
// anything but relative, clean, slash-separated, printable UTF-8.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("an empty name")
	case len(name) > maxName:
		return fmt.Errorf("a name of %d bytes; at most %d are accepted", len(name), maxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("the name %q is not UTF-8; rename the file", clip(name))
	case strings.ContainsRune(name, '\\'):
		return fmt.Errorf("the name %q has a backslash, which is a separator on other systems; rename the file", clip(name))
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("the name %q has a control character; rename the file", clip(name))
	case name == "." || name == ".." || name[0] == '/' || path.Clean(name) != name || strings.HasPrefix(name, "../"):
		return fmt.Errorf("the name %q is not a clean path below the model's folder", clip(name))
	}
	return nil
}

// checkIgnore is checkName for a path to ignore, whose globs mean nothing
// (OMS §6.2.1). A trailing slash, which people write for folders, is dropped.
func checkIgnore(name string) (string, error) {
	clean := strings.TrimPrefix(strings.TrimSuffix(name, "/"), "./")
	if err := checkName(clean); err != nil {
		return "", fmt.Errorf("ignore: %w", err)
	}
	if strings.ContainsAny(clean, "*?[") {
		return "", fmt.Errorf("ignore: %q has a wildcard; paths are compared exactly", clip(name))
	}
	return clean, nil
}

// under says whether name is one of the paths or below one of them.
func under(name string, paths []string) bool {
	for _, p := range paths {
		if rest, ok := strings.CutPrefix(name, p); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

// shard is one entry of a shard manifest.
type shard struct {
	path       string
	start, end int64
}

func (s shard) name() string { return fmt.Sprintf("%s:%d:%d", s.path, s.start, s.end) }

// parseShard reads "<path>:<start>:<end>" from the right, because paths may
// hold colons. Numbers have one spelling.
func parseShard(name string) (shard, error) {
	rest, end, ok1 := cutLast(name)
	file, start, ok2 := cutLast(rest)
	if !ok1 || !ok2 || file == "" {
		return shard{}, fmt.Errorf("%q is not <path>:<start>:<end>", clip(name))
	}
	s := shard{path: file}
	for _, n := range []struct {
		text string
		to   *int64
	}{{start, &s.start}, {end, &s.end}} {
		v, err := strconv.ParseInt(n.text, 10, 64)
		if err != nil || strconv.FormatInt(v, 10) != n.text || v < 0 {
			return shard{}, fmt.Errorf("%q: %q is not an offset", clip(name), clip(n.text))
		}
		*n.to = v
	}
	if s.start >= s.end {
		return shard{}, fmt.Errorf("%q is an empty range", clip(name))
	}
	return s, nil
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// byParts orders paths by their components, as the reference implementation
// does: "a/b" comes before "a-b" there and after it in the specification's order.
func byParts(a, b string) int {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
}

// twins groups names that a file system may take for one: they differ only in
// case or in how their characters are composed. Groups and names are sorted.
func twins(names []string) [][]string {
	groups := map[string][]string{}
	for _, n := range names {
		k := folded(n)
		groups[k] = append(groups[k], n)
	}
	var out [][]string
	for _, g := range groups {
		if len(g) > 1 {
			slices.Sort(g)
			out = append(out, g)
		}
	}
	slices.SortFunc(out, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	return out
}

// folded is equal for names that differ in case, composition or compatibility
// forms only (Unicode TR15, TR36 §2.10.2).
func folded(name string) string {
	plain := true
	for i := range len(name) {
		if c := name[i]; c >= utf8.RuneSelf || c >= 'A' && c <= 'Z' {
			plain = false
			break
		}
	}
	if plain {
		return name
	}
	fold := func(r rune) rune {
		for {
			next := unicode.SimpleFold(r)
			if next <= r {
				return unicode.ToLower(next)
			}
			r = next
		}
	}
	return norm.NFKC.String(strings.Map(fold, norm.NFKC.String(name)))
}
