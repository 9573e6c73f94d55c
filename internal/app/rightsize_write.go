package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/function"
	"github.com/apexlogic/apex/internal/function/iam"
	"github.com/apexlogic/apex/internal/function/rightsize/rewrite"
	"github.com/apexlogic/apex/internal/function/stack"
)

// besideDir holds policies that cannot be written where they stand.
const besideDir = "rightsize"

// besideSchema marks its files: nothing else there is overwritten.
const besideSchema = "apex.rightsize-policies/v1"

// Write writes the new policies: in place where a policy stands in a YAML or
// JSON document, every other byte as it was, and to rightsize/PRINCIPAL.json
// where it does not. Before a file is written the tree is read again with it:
// it must say the planned policy and else nothing new. With commit, exactly
// these files become a commit whose message carries the proof.
func (r *Rightsizing) Write(ctx context.Context, commit bool, c clock.Clock) error {
	root, err := os.OpenRoot(r.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	files, err := r.inPlace(ctx, root)
	if err != nil {
		return err
	}
	if err := r.beside(root, files); err != nil {
		return err
	}
	if len(files) == 0 {
		return nil
	}
	for name := range files {
		r.Files = append(r.Files, filepath.Join(r.dir, name))
	}
	slices.Sort(r.Files)
	if commit {
		return r.commit(ctx, files, c)
	}
	for name, data := range files {
		if err := replaceFile(root, name, data); err != nil {
			return fmt.Errorf("write %s: %w", filepath.Join(r.dir, name), err)
		}
	}
	return nil
}

// inPlace makes the new content of the files that hold policies themselves.
func (r *Rightsizing) inPlace(ctx context.Context, root *os.Root) (map[string][]byte, error) {
	byFile := map[string][]*planned{}
	for i := range r.Sizes {
		for j := range r.Sizes[i].Changes {
			p := &planned{&r.Sizes[i], &r.Sizes[i].Changes[j]}
			switch {
			case p.change.Detach:
				p.change.Beside = "nothing of it was used: detach it"
			case strings.HasSuffix(p.change.path, ".tf"):
				p.change.Beside = "it stands in HCL"
			default:
				byFile[p.change.path] = append(byFile[p.change.path], p)
			}
		}
	}
	files := map[string][]byte{}
	for name, list := range byFile {
		data, err := r.file(ctx, root, name, list)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		for _, p := range list {
			switch {
			case p.change.Beside != "":
			case err != nil:
				p.change.Beside = err.Error()
			default:
				p.change.File = filepath.Join(r.dir, name)
			}
		}
		if err == nil && data != nil {
			files[name] = data
		}
	}
	return files, nil
}

// planned is one change and whose it is.
type planned struct {
	size   *Size
	change *Resized
}

// file makes the new content of one file and reads the tree with it; nil when
// nothing of it can be made there.
func (r *Rightsizing) file(ctx context.Context, root *os.Root, name string, list []*planned) ([]byte, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	source, err := bounded.ReadAll(f, rewrite.MaxFile)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	var edits []rewrite.Edit
	var made []*planned
	for _, p := range list {
		more, err := p.change.edits(source)
		if err != nil {
			p.change.Beside = err.Error()
			continue
		}
		edits, made = append(edits, more...), append(made, p)
	}
	if len(made) == 0 {
		return nil, nil
	}
	data := rewrite.Apply(source, edits)
	after, err := function.Read(ctx, overlay{root.FS(), name, data}, function.Options{})
	if err != nil {
		return nil, err
	}
	return data, r.same(after, made)
}

// same holds that a tree with the changes says what was planned, and of
// everything else what it said before.
func (r *Rightsizing) same(after []*stack.Stack, list []*planned) error {
	wrong := errors.New("reading it again gives something else than was planned")
	if len(after) != len(r.stacks) {
		return wrong
	}
	for i, s := range r.stacks {
		before, err := shape(s, list, s)
		if err != nil {
			return err
		}
		now, err := shape(after[i], nil, nil)
		if err != nil {
			return err
		}
		if !bytes.Equal(before, now) {
			return wrong
		}
	}
	return nil
}

// shape writes a stack without its lines, with the changes made to it.
func shape(s *stack.Stack, list []*planned, of *stack.Stack) ([]byte, error) {
	one := *s
	one.Policies = slices.Clone(s.Policies)
	one.Roles = slices.Clone(s.Roles)
	for _, p := range list {
		if p.size.stack != of {
			continue
		}
		for i := range one.Policies {
			if p.change.new != nil && one.Policies[i].ID == p.change.Policy {
				one.Policies[i].Document = p.change.New
			}
		}
		for i := range one.Roles {
			if p.change.role != nil && &s.Roles[i] == p.change.role {
				one.Roles[i].Rules = slices.Concat(p.change.rules...)
			}
		}
	}
	for i := range one.Policies {
		q := &one.Policies[i]
		q.Lines = nil
		if doc, err := iam.Parse(q.Document); err == nil {
			if data, err := json.Marshal(doc); err == nil {
				q.Document = data
			}
		}
	}
	data, err := json.Marshal(one)
	if err != nil {
		return nil, err
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		return nil, err
	}
	unline(tree)
	return json.Marshal(tree)
}

// unline takes the numbers of lines out: they move. What is empty is as good as
// missing.
func unline(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if list, ok := x.([]any); ok && len(list) == 0 || x == nil {
				delete(v, k)
				continue
			}
			if _, number := x.(float64); number && k == "line" {
				delete(v, k)
				continue
			}
			unline(x)
		}
	case []any:
		for _, x := range v {
			unline(x)
		}
	}
}

// edits are how the change is made in the file.
func (c *Resized) edits(source []byte) ([]rewrite.Edit, error) {
	var entries []rewrite.Entry
	if c.role != nil {
		var lines []int
		for i := range c.role.Rules {
			old := &c.role.Rules[i]
			lines = append(lines, old.Line)
			for j := range c.rules[i] {
				entries = append(entries, rewrite.Entry{From: i, Set: ruleFields(old, &c.rules[i][j])})
			}
		}
		return rewrite.List(source, lines, "verbs", entries)
	}
	for i := range c.new.Statements {
		old := &c.old.Statements[c.from[i]]
		entries = append(entries, rewrite.Entry{From: c.from[i], Set: statementFields(old, &c.new.Statements[i])})
	}
	return rewrite.List(source, c.lines, "Effect", entries)
}

func ruleFields(old, now *stack.RBACRule) []rewrite.Field {
	var out []rewrite.Field
	set := func(key string, was, is []string) {
		if !slices.Equal(was, is) && len(is) > 0 {
			out = append(out, rewrite.Field{Keys: []string{key}, Key: key, Values: is, Old: was})
		}
	}
	set("apiGroups", old.Groups, now.Groups)
	set("resources", old.Resources, now.Resources)
	set("verbs", old.Verbs, now.Verbs)
	return out
}

func statementFields(old, now *iam.Statement) []rewrite.Field {
	var out []rewrite.Field
	set := func(key string, was, wasNot, is, isNot []*iam.Pattern) {
		if sameTexts(was, is) && sameTexts(wasNot, isNot) {
			return
		}
		out = append(out, rewrite.Field{Keys: []string{key, "Not" + key}, Key: key, Values: texts(is), Old: texts(slices.Concat(was, wasNot))})
	}
	if old.Sid != now.Sid {
		out = append(out, rewrite.Field{Keys: []string{"Sid"}, Key: "Sid", Values: []string{now.Sid}, One: true})
	}
	set("Action", old.Actions, old.NotActions, now.Actions, now.NotActions)
	set("Resource", old.Resources, old.NotResources, now.Resources, now.NotResources)
	return out
}

func texts(list []*iam.Pattern) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return out
}

func sameTexts(a, b []*iam.Pattern) bool {
	x, y := texts(a), texts(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

// besideFile is what stands in rightsize/PRINCIPAL.json.
type besideFile struct {
	Schema    string         `json:"schema"`
	Principal string         `json:"principal"`
	Policies  []besidePolicy `json:"policies"`
}

type besidePolicy struct {
	Replaces stack.Where     `json:"replaces"`
	ID       string          `json:"id"`
	Why      string          `json:"why"`
	Detach   bool            `json:"detach,omitempty"`
	Policy   json.RawMessage `json:"policy,omitempty"`
}

// beside adds the files of what is not written in place.
func (r *Rightsizing) beside(root *os.Root, files map[string][]byte) error {
	for i := range r.Sizes {
		s := &r.Sizes[i]
		out := besideFile{Schema: besideSchema, Principal: s.Principal}
		for j := range s.Changes {
			c := &s.Changes[j]
			if c.Beside == "" {
				continue
			}
			p := besidePolicy{Replaces: stack.Where{File: c.path, Line: c.Line}, ID: c.Policy, Why: c.Beside, Detach: c.Detach}
			if !c.Detach {
				p.Policy = c.New
			}
			out.Policies = append(out.Policies, p)
		}
		if len(out.Policies) == 0 {
			continue
		}
		name := besideName(s.Principal)
		if files[name] != nil { // another unit has a principal of that name
			name = besideName(s.stack.Root + "-" + s.Principal)
		}
		if files[name] != nil {
			return fmt.Errorf("%s: two principals are to be written there: right-size their folders apart", name)
		}
		if err := ours(root, name); err != nil {
			return err
		}
		data, err := json.MarshalIndent(out, "", "  ")
		if err != nil {
			return err
		}
		files[name] = append(data, '\n')
		for j := range s.Changes {
			if c := &s.Changes[j]; c.Beside != "" {
				c.File = filepath.Join(r.dir, name)
			}
		}
	}
	return nil
}

func besideName(principal string) string {
	safe := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-' {
			return c
		}
		return '-'
	}, principal)
	const most = 100 // of a name, with what is added to it
	return path.Join(besideDir, strings.TrimLeft(safe[:min(len(safe), most)], ".")+".json")
}

// ours holds that a file is not there, or was written here.
func ours(root *os.Root, name string) error {
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	data, err := bounded.ReadAll(f, rewrite.MaxFile)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	var had besideFile
	if json.Unmarshal(data, &had) != nil || had.Schema != besideSchema {
		return fmt.Errorf("%s was not written by apex: move it away", name)
	}
	return nil
}

// replaceFile writes a file whole or not at all.
func replaceFile(root *os.Root, name string, data []byte) error {
	mode := fs.FileMode(0o644)
	if info, err := root.Lstat(name); err == nil {
		mode = info.Mode().Perm()
	} else if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	scratch := name + ".apex-new"
	f, err := root.OpenFile(scratch, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = root.Rename(scratch, name)
	}
	if err != nil {
		return errors.Join(err, root.Remove(scratch))
	}
	return nil
}
