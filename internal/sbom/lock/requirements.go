package lock

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract"
	"github.com/apexlogic/apex/internal/sbom/python"
)

const (
	// maxRequirements bounds one file of requirements; with all hashes of a
	// thousand packages it has 2 MB.
	maxRequirements = 16 << 20
	// maxIncludes and maxIncludeDepth bound the files that one file takes in.
	maxIncludes     = 64
	maxIncludeDepth = 8
)

// requirements reads what pip is given with -r.
func requirements() extract.Extractor {
	return extract.Extractor{
		Name:    "requirements",
		Wants:   func(p string, _ fs.FileMode, _ int64) bool { return isRequirements(p) },
		Extract: parser(parseRequirements).reading("requirements", maxRequirements),
	}
}

// isRequirements: requirements.txt, dev-requirements.txt, requirements_gpu.txt,
// requirements/prod.txt.
func isRequirements(p string) bool {
	name := base(p)
	if !strings.HasSuffix(name, ".txt") || foreign(p) {
		return false
	}
	if strings.HasPrefix(name, "requirements") || strings.HasSuffix(name, "requirements.txt") {
		return true
	}
	folder := strings.TrimSuffix(p, "/"+name)
	return len(folder) < len(p) && base(folder) == "requirements" && !strings.HasPrefix(name, "constraint")
}

// reqs collects what one file and those that it takes in say.
type reqs struct {
	l        *list
	seen     map[string]bool
	names    []requirement
	limits   map[string]requirement // constraints by normal name
	problems []error
}

func parseRequirements(l *list, data []byte) error {
	r := reqs{l: l, seen: map[string]bool{l.file.Path: true}, limits: map[string]requirement{}}
	r.read(l.file.Path, data, false, 0)
	for _, q := range r.names {
		if limit, ok := r.limits[python.Normalize(q.name)]; ok && q.version == "" {
			q.version = limit.version
			q.hashes = append(q.hashes, limit.hashes...)
		}
		if err := l.put(q.fact()); err != nil {
			return errors.Join(append(r.problems, err)...)
		}
	}
	return errors.Join(r.problems...)
}

// read adds the lines of one file; of constraints they only choose versions.
func (r *reqs) read(at string, data []byte, constraints bool, depth int) {
	for line := range joined(data) {
		if len(r.names) > maxPackages || len(r.problems) > 10 {
			return
		}
		option, value := cutOption(line)
		switch option {
		case "-r", "--requirement":
			r.include(at, value, constraints, depth)
		case "-c", "--constraint":
			r.include(at, value, true, depth)
		case "-e", "--editable":
			if q, ok := parseRequirement(value); ok && !constraints {
				q.editable = true
				r.names = append(r.names, q)
			}
		case "":
			q, ok := parseRequirement(line)
			if !ok {
				continue
			}
			if constraints {
				r.limits[python.Normalize(q.name)] = q
			} else {
				r.names = append(r.names, q)
			}
		}
	}
}

// include reads a file that is named in another, relative to it. One that the
// extractor is given anyway adds no packages here: they would be found twice.
func (r *reqs) include(at, name string, constraints bool, depth int) {
	if strings.Contains(name, "://") || name == "" {
		return // nothing is fetched
	}
	p := path.Join(path.Dir(at), name)
	if path.IsAbs(name) {
		p = path.Clean(name)[1:]
	}
	if r.seen[p] || !constraints && isRequirements(p) {
		return
	}
	if len(r.seen) > maxIncludes || depth >= maxIncludeDepth {
		r.problems = append(r.problems, fmt.Errorf("it takes in %w of %d files, %d deep", bounded.ErrTooMany, maxIncludes, maxIncludeDepth))
		return
	}
	r.seen[p] = true
	if !fs.ValidPath(p) || r.l.file.Tree == nil {
		r.problems = append(r.problems, fmt.Errorf("it takes in %q, which is out of the tree", name))
		return
	}
	data, err := r.l.file.Tree.Read(p, maxRequirements)
	if err != nil {
		r.problems = append(r.problems, fmt.Errorf("read %s, which it takes in: %w", p, err))
		return
	}
	r.read(p, data, constraints, depth+1)
}

// joined goes through the lines without comments; a backslash at the end of one
// joins the next.
func joined(data []byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		text, rest := "", string(data)
		for rest != "" {
			var line string
			line, rest, _ = strings.Cut(rest, "\n")
			line = strings.TrimRight(line, "\r \t")
			trimmed := strings.TrimLeft(line, " \t")
			if strings.HasPrefix(trimmed, "#") {
				continue
			}
			line = strings.TrimRight(line[:comment(line)], " \t")
			if before, ok := strings.CutSuffix(line, "\\"); ok && rest != "" && len(text) < maxRequirement {
				text += before + " "
				continue
			}
			if text = strings.TrimSpace(text + line); text != "" && !yield(text) {
				return
			}
			text = ""
		}
		if text = strings.TrimSpace(text); text != "" {
			yield(text)
		}
	}
}

// comment returns where the comment of a line begins, its length when it has
// none: only behind white space, as pip has it ("x#egg=y" is none).
func comment(line string) int {
	if i := spaced(line, "#"); i >= 0 {
		return i
	}
	return len(line)
}

// cutOption splits "-r file", "--requirement=file" and "-rfile"; the option of a
// line that is a requirement is "".
func cutOption(line string) (option, value string) {
	if line[0] != '-' {
		return "", line
	}
	end := strings.IndexAny(line, " \t=")
	if end < 0 {
		end = len(line)
	}
	if !strings.HasPrefix(line, "--") {
		end = min(end, 2)
	}
	return line[:end], unquote(strings.Trim(line[end:], " \t="))
}

// options splits what stands after a requirement: "--hash=sha256:…".
func (q *requirement) options(text string) {
	for word := range strings.FieldsSeq(text) {
		if h, ok := strings.CutPrefix(word, "--hash="); ok && len(q.hashes) < maxHashes {
			q.hashes = append(q.hashes, checksum(h)...)
		}
	}
}

// fact makes a package of the requirement.
func (q *requirement) fact() fact.Package {
	var p fact.Package
	switch {
	case q.vcs != "":
		p = pyFromVCS(q.name, q.version, q.vcs, q.url, q.commit)
	case q.url != "":
		p = pypi.at(q.name, q.version, "download_url", python.CleanURL(q.url))
	default:
		p = pypi.at(q.name, q.version)
	}
	if q.version == "" {
		p.State = fact.Declared
	}
	slices.Sort(q.hashes)
	p.Hashes = slices.Compact(q.hashes)
	p.Attributes = append([]string{"direct"}, attributes(attribute{"editable", q.editable}, attribute{"local", q.local})...)
	p.Attributes = append(p.Attributes, marker(q.marker)...)
	return p
}
