package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/function/iam"
	"github.com/apexlogic/apex/internal/function/rightsize"
	"github.com/apexlogic/apex/internal/function/stack"
)

// The limits on what is observed.
const (
	maxLogs = 100_000 // files: CloudTrail delivers one each 5 minutes, region and account
	// maxDistinct bounds the calls that differ in more than their time, at some
	// 300 bytes each.
	maxDistinct = 2_000_000
)

// observed are the calls of logs, each distinct one once.
type observed struct {
	calls       int
	from, to    time.Time
	byPrincipal map[string]map[call]*rightsize.Event
	byUser      map[string]map[access]*rightsize.Access
	distinct    int
}

type call struct {
	action, resource string
	data             bool
}

type access struct{ verb, group, resource, namespace, name, url string }

// observe reads logs: files, and all files of folders.
func observe(ctx context.Context, paths []string) (*observed, error) {
	o := &observed{byPrincipal: map[string]map[call]*rightsize.Event{}, byUser: map[string]map[access]*rightsize.Access{}}
	files := 0
	for _, arg := range paths {
		err := filepath.WalkDir(arg, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if files++; files > maxLogs {
				return fmt.Errorf("%w of %d log files", bounded.ErrTooMany, maxLogs)
			}
			return o.read(name)
		})
		if err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (o *observed) read(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, fmt.Errorf("%s: not a regular file", name))
	}
	if _, err := rightsize.Read(f, o.event, o.access); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if o.distinct > maxDistinct {
		return fmt.Errorf("%s: %w of %d distinct calls: right-size fewer accounts at once", name, bounded.ErrTooMany, maxDistinct)
	}
	return nil
}

func (o *observed) at(t time.Time) {
	o.calls++
	if t.IsZero() {
		return
	}
	if o.from.IsZero() || t.Before(o.from) {
		o.from = t
	}
	if t.After(o.to) {
		o.to = t
	}
}

func (o *observed) event(e rightsize.Event) {
	o.at(e.Time)
	of := o.byPrincipal[e.Principal]
	if of == nil {
		of = map[call]*rightsize.Event{}
		o.byPrincipal[e.Principal] = of
	}
	k := call{e.Action, e.Resource, e.Data}
	if x := of[k]; x != nil {
		x.Times++
		if e.Time.Before(x.Time) {
			x.Time = e.Time
		}
		return
	}
	if o.distinct++; o.distinct > maxDistinct {
		return // the end of the file says so
	}
	e.Times = 1
	of[k] = &e
}

func (o *observed) access(a rightsize.Access) {
	o.at(a.Time)
	who := append([]string{a.User}, prefixed(a.Groups)...)
	for _, w := range who {
		of := o.byUser[w]
		if of == nil {
			of = map[access]*rightsize.Access{}
			o.byUser[w] = of
		}
		k := access{a.Verb, a.Group, a.Resource, a.Namespace, a.Name, a.URL}
		if x := of[k]; x != nil {
			x.Times++
			if a.Time.Before(x.Time) {
				x.Time = a.Time
			}
			continue
		}
		if o.distinct++; o.distinct > maxDistinct {
			return
		}
		one := a
		one.Times = 1
		of[k] = &one
	}
}

// prefixed tells groups from users of the same name.
func prefixed(groups []string) []string {
	out := make([]string, 0, len(groups))
	for _, g := range groups {
		out = append(out, "group\n"+g)
	}
	return out
}

// events are the calls of some principals, as if they were one.
func (o *observed) events(arns []string, as string) []rightsize.Event {
	var out []rightsize.Event
	for _, arn := range arns {
		for _, e := range o.byPrincipal[arn] {
			one := *e
			one.Principal = as
			out = append(out, one)
		}
	}
	return out
}

// accesses are the requests of a user or group, in a namespace or in all.
func (o *observed) accesses(who string, group bool, namespace string) []rightsize.Access {
	if group {
		who = "group\n" + who
	}
	var out []rightsize.Access
	for _, a := range o.byUser[who] {
		if namespace == "" || a.Namespace == namespace {
			out = append(out, *a)
		}
	}
	return out
}

// principalName takes the kind and the name out of the ARN of a role or user,
// whatever path it has; names are unique in an account without it.
func principalName(arn string) (kind, name string) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" {
		return "", arn
	}
	kind, rest, _ := strings.Cut(parts[5], "/")
	if kind == "assumed-role" { // of STS: its name, and that of the session
		name, _, _ = strings.Cut(rest, "/")
		return "role", name
	}
	return kind, rest[strings.LastIndexByte(rest, '/')+1:]
}

// join finds a principal of the stack among those that were observed. Where its
// name depends on the deployment, all that may be meant are taken together:
// what one of them used is kept.
func (p *resizer) join(x *stack.Principal) (arns []string, why string) {
	given := p.o.Names[x.ID]
	if given != "" {
		p.named[x.ID] = true
	}
	match := p.matcher(x, given)
	if match == nil {
		return nil, "its name is not known before it is deployed: give it with --principal " + x.ID + "=NAME"
	}
	for arn := range p.seen.byPrincipal {
		if kind, name := principalName(arn); (kind == x.Kind || kind == "") && match(name, arn) {
			arns = append(arns, arn)
		}
	}
	slices.Sort(arns)
	return arns, ""
}

// matcher says which names a principal may have; nil: any.
func (p *resizer) matcher(x *stack.Principal, given string) func(name, arn string) bool {
	switch {
	case given != "":
		return func(name, arn string) bool { return name == given || arn == given }
	case x.Name != "" && !strings.Contains(x.Name, "${"):
		return func(name, _ string) bool { return name == x.Name }
	case literal(x.Name) != "":
		pattern := iam.ResourcePattern(x.Name)
		return func(name, _ string) bool { return pattern.Match(name, nil) != iam.No }
	case p.stack.Unit == stack.CloudFormation:
		// CloudFormation names it "stack-LogicalID-XXXXXXXXXXXX".
		return func(name, _ string) bool { return strings.Contains(name, "-"+x.ID+"-") }
	}
	return nil
}

// literal is what a text with unknown parts says for certain, without what
// separates words.
func literal(text string) string {
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			break
		}
		depth, end := 0, len(text)
		for j := i + 1; j < len(text); j++ {
			if text[j] == '{' {
				depth++
			}
			if text[j] == '}' {
				if depth--; depth == 0 {
					end = j + 1
					break
				}
			}
		}
		text = text[:i] + text[end:]
	}
	return strings.Trim(text, "-_./*")
}
