package terraform

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

func sortByLine(attrs []attr) {
	slices.SortFunc(attrs, func(a, b attr) int { return cmp.Compare(a.Line, b.Line) })
}

// module is one folder of files, as written.
type module struct {
	dir       string
	variables map[string]*body
	locals    map[string]attr
	outputs   map[string]*body
	resources []*resource
	byName    map[string]*resource // "aws_iam_role.r", "data.aws_x.y"
	calls     []*call
	values    map[string]expr // of tfvars
	gaps      []stack.Gap
	files     []string // that were read
}

// resource is a resource or data block.
type resource struct {
	stack.Where
	kind, name string
	data       bool
	module     bool // a published module that stands for one
	body       *body
}

func (r *resource) address() string {
	if r.module {
		return "module." + r.name
	}
	if r.data {
		return "data." + r.kind + "." + r.name
	}
	return r.kind + "." + r.name
}

// call is a module block.
type call struct {
	stack.Where
	name, source string
	body         *body
	resource     *resource // of a published module
}

// Sources are the local modules that a folder's files call, as folders of the
// tree; a source outside of it is not among them.
func (t *Tree) Sources(dir string) []string {
	var out []string
	for _, c := range t.module(dir).calls {
		if target, ok := local(dir, c.source); ok {
			out = append(out, target)
		}
	}
	return out
}

// local returns the folder that a module's source names, when it is one within
// the tree that was handed in.
func local(dir, source string) (string, bool) {
	if !strings.HasPrefix(source, "./") && !strings.HasPrefix(source, "../") && source != "." && source != ".." {
		return "", false
	}
	target := path.Join(dir, source)
	return target, fs.ValidPath(target)
}

// IsSource says whether a file's name is one that Terraform reads.
func IsSource(name string) bool {
	return strings.HasSuffix(name, ".tf") || strings.HasSuffix(name, ".tf.json") ||
		strings.HasSuffix(name, ".tofu") || strings.HasSuffix(name, ".tofu.json")
}

// load reads the files of one folder. What cannot be read is a gap.
func (t *Tree) load(dir string) *module {
	fsys, files := t.fsys, t.files[dir]
	m := &module{dir: dir, variables: map[string]*body{}, locals: map[string]attr{}, outputs: map[string]*body{},
		byName: map[string]*resource{}, values: map[string]expr{}}
	slices.Sort(files)
	for _, file := range files {
		m.files = append(m.files, file)
		data, err := node.ReadFile(fsys, file, maxFile)
		if err != nil {
			m.gap(stack.Where{File: file}, err.Error())
			continue
		}
		if t.bytes += int64(len(data)); t.bytes > maxBytes {
			m.gap(stack.Where{File: file}, "more than 128 MiB of Terraform in one tree: the rest was not read")
			break
		}
		read := parseHCL
		if strings.HasSuffix(file, ".json") {
			read = parseJSON
		}
		b, err := read(file, data)
		if err != nil {
			m.gap(stack.Where{File: file}, err.Error())
		}
		if b != nil {
			m.add(b)
		}
	}
	for _, name := range []string{"terraform.tfvars", "terraform.tfvars.json"} {
		m.readValues(fsys, path.Join(dir, name))
	}
	autos, err := fs.Glob(fsys, path.Join(escapeGlob(dir), "*.auto.tfvars*"))
	if err == nil && len(autos) <= maxFiles {
		slices.Sort(autos)
		for _, name := range autos {
			m.readValues(fsys, name)
		}
	}
	return m
}

func escapeGlob(dir string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(dir)
}

// readValues reads the values of variables that Terraform takes by itself; files
// that somebody names on a command line are not in force.
func (m *module) readValues(fsys fs.FS, file string) {
	data, err := node.ReadFile(fsys, file, maxFile)
	if err != nil {
		return
	}
	m.files = append(m.files, file)
	var b *body
	if strings.HasSuffix(file, ".json") {
		doc, jerr := node.JSON(file, data)
		if err = jerr; err == nil {
			b = fromJSON(doc, &source{file: file}, stack.Where{File: file, Line: 1})
		}
	} else {
		b, err = parseHCL(file, data)
	}
	if err != nil {
		m.gap(stack.Where{File: file}, err.Error())
	}
	if b != nil {
		for _, a := range b.attrs {
			m.values[a.name] = a.value
		}
	}
}

func (m *module) gap(at stack.Where, why string) {
	if len(m.gaps) < maxGaps {
		m.gaps = append(m.gaps, stack.Gap{Where: at, Why: why})
	}
}

// add takes the blocks of one file.
func (m *module) add(b *body) {
	for _, bl := range b.blocks {
		switch {
		case bl.kind == "variable" && len(bl.labels) == 1:
			m.variables[bl.labels[0]] = bl.body
		case bl.kind == "output" && len(bl.labels) == 1:
			m.outputs[bl.labels[0]] = bl.body
		case bl.kind == "locals":
			for _, a := range bl.body.attrs {
				m.locals[a.name] = a
			}
		case bl.kind == "module" && len(bl.labels) == 1:
			c := &call{Where: bl.Where, name: bl.labels[0], body: bl.body}
			if a, ok := bl.body.get("source"); ok {
				c.source = literal(a.value)
			}
			m.calls = append(m.calls, c)
		case (bl.kind == "resource" || bl.kind == "data") && len(bl.labels) == 2:
			if len(m.resources) >= maxResources {
				m.gap(bl.Where, fmt.Sprintf("more than %d resources in one module: the rest was not read", maxResources))
				return
			}
			r := &resource{Where: bl.Where, kind: bl.labels[0], name: bl.labels[1], data: bl.kind == "data", body: bl.body}
			// Terraform refuses two of one name. Both are read all the same: one
			// must not hide the other.
			if m.byName[r.address()] != nil {
				m.gap(bl.Where, r.address()+" is declared twice")
				for i := 2; m.byName[r.address()] != nil; i++ {
					r.name = fmt.Sprintf("%s#%d", bl.labels[1], i)
				}
			}
			m.byName[r.address()] = r
			m.resources = append(m.resources, r)
		}
	}
}
