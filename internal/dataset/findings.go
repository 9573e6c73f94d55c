package dataset

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/dataset/record"
)

// findings collects one finding per rule and file, and counts the others.
type findings struct {
	of  map[[2]string]int
	all []Finding
}

func (f *findings) add(rule, path, where, detail string) {
	k := [2]string{rule, path}
	if at, ok := f.of[k]; ok {
		f.all[at].Count++
		return
	}
	if f.of == nil {
		f.of = map[[2]string]int{}
	}
	f.of[k] = len(f.all)
	f.all = append(f.all, Finding{Rule: rule, Path: path, Where: where, Detail: detail, Count: 1})
}

func (f *findings) list() []Finding {
	slices.SortStableFunc(f.all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Rule, b.Rule))
	})
	if f.all == nil {
		return []Finding{}
	}
	return f.all
}

// name judges what a loader would do because of a file's name: run it.
func (f *findings) name(file, member string) {
	name := file
	where := ""
	if member != "" {
		name, where = member, "member "+strconv.QuoteToASCII(member)
	}
	switch strings.ToLower(path.Ext(name)) {
	case ".py", ".pyc", ".ipynb":
		f.add("dataset.loading-script", file, where, "a script in a data set runs when a loader trusts remote code; ship data only")
	case ".pkl", ".pickle", ".pyd", ".so", ".dll", ".pth", ".pt", ".joblib", ".dill":
		f.add("dataset.pickle", file, where, "a loader of this file runs code that comes with it; ship plain data")
	}
}

func (f *findings) member(file string, m record.Member) {
	f.name(file, m.Name)
	where := "member " + strconv.QuoteToASCII(m.Name)
	if m.Link {
		f.add("dataset.tar.link", file, where, "a link in a tar can lead out of the folder that it is unpacked to")
	}
	if clean := path.Clean(m.Name); path.IsAbs(m.Name) || clean == ".." || strings.HasPrefix(clean, "../") {
		f.add("dataset.tar.path", file, where, "the member would be unpacked outside of its folder")
	}
}

// formula says whether a spreadsheet would run the cell (CWE-1236). Numbers,
// dates, prose and names that begin with a sign are none.
func formula(cell string) bool {
	cell = strings.TrimLeft(cell, " \t\r\n")
	if len(cell) < 2 {
		return false
	}
	rest := cell[1:]
	switch cell[0] {
	case '=':
		c := rest[0]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		return letter && strings.ContainsAny(rest, "(|!") || c == '+' || c == '-' || c == '@' || c >= '0' && c <= '9'
	case '@':
		return call(rest)
	case '+', '-':
		if _, err := strconv.ParseFloat(cell, 64); err == nil {
			return false
		}
		return call(rest) || strings.Contains(rest, "|") && strings.Contains(rest, "!")
	}
	return false
}

// call says whether text begins as NAME( does.
func call(text string) bool {
	name, _, ok := strings.Cut(text, "(")
	if !ok || name == "" {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' })
}
