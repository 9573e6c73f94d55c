package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/verdict"
)

func workspaceFound(_ context.Context, x *examined) finding {
	if x.Workspace == "" {
		return fail("apex up --once && cd apex-workspace", "neither this folder nor one above it is a workspace of Apex")
	}
	return fine("the workspace is %s", x.Workspace)
}

// gitOnPath is a warning: Apex reads repositories by itself, people commit with git.
func gitOnPath(_ context.Context, x *examined) finding {
	path, err := x.look("git")
	if err != nil {
		return warn("sudo apt-get install git || brew install git", "git is not on the PATH, so that nobody can commit to the workspace: %v", err)
	}
	return fine("git is %s", path)
}

func gitHead(_ context.Context, x *examined) finding {
	if x.Workspace == "" {
		return skip(noWorkspace)
	}
	head, err := x.Head()
	if err != nil {
		dir := quote(x.Workspace)
		return fail("git -C "+dir+" add --all && git -C "+dir+" commit -m 'Begin again with what is in the folder'",
			"the commit at the head cannot be read, so that nothing is in force: %v", err)
	}
	return fine("commit %.12s is in force", head)
}

// documents loads what is in force.
func (x *examined) documents(ctx context.Context) (*config.Set, finding, bool) {
	if x.Workspace == "" {
		return nil, skip(noWorkspace), false
	}
	set, err := x.Documents(ctx)
	if err != nil {
		return nil, skip(fmt.Sprintf("the documents cannot be read: %v", err)), false
	}
	return set, finding{}, true
}

// undo is the command that puts the commit before the head in force again.
func (x *examined) undo() string {
	return "git -C " + quote(x.Workspace) + " revert --no-edit HEAD"
}

func documentsValid(ctx context.Context, x *examined) finding {
	if x.Workspace == "" {
		return skip(noWorkspace)
	}
	set, err := x.Documents(ctx)
	if err != nil {
		return fail(x.undo(), "the documents at the head cannot be read: %v", err)
	}
	var errs, warnings []config.Problem
	for _, p := range config.Lint(set, x.now) {
		switch {
		case p.Code == verdict.PolicyNotReady || p.Code == verdict.BaseNotLocked:
			// Checks of their own.
		case p.Severity == config.Error:
			errs = append(errs, p)
		default:
			warnings = append(warnings, p)
		}
	}
	switch {
	case len(errs) > 0:
		return fail(x.undo(), "%d of %d documents' problems keep the commit from being in force; the first: %s", len(errs), len(errs)+len(warnings), errs[0])
	case len(warnings) > 0:
		return warn("apex policy lint "+quote(x.Workspace), "%d warnings in %d documents; the first: %s", len(warnings), set.Len(), warnings[0])
	}
	return fine("%d documents are valid", set.Len())
}

func policiesReady(ctx context.Context, x *examined) finding {
	set, f, ok := x.documents(ctx)
	if !ok {
		return f
	}
	if len(set.ImageSecurityPolicies) == 0 {
		return fail(x.undo(), "there is no policy, so that every image is denied as unselected")
	}
	var unready []string
	first := ""
	for _, p := range set.ImageSecurityPolicies {
		if r := set.Readiness(p.Value.Name); !r.Ready {
			unready = append(unready, p.Value.Name)
			if first == "" && len(r.Reasons) > 0 {
				first = r.Reasons[0].String()
			}
		}
	}
	if len(unready) > 0 {
		return fail(x.undo(), "not ready, so that they deny all that they select: %s; the first reason: %s", strings.Join(unready, ", "), first)
	}
	return fine("%d policies are ready", len(set.ImageSecurityPolicies))
}

// baseLock fails when a policy asks for approved base images and none of them
// is locked, and warns when some are not.
func baseLock(ctx context.Context, x *examined) finding {
	set, f, ok := x.documents(ctx)
	if !ok {
		return f
	}
	var patterns, locked []string
	for _, p := range set.ImageSecurityPolicies {
		for i := range p.Value.Spec.Rules {
			for _, text := range p.Value.Spec.Rules[i].Parameters.AllowedBaseImages {
				if !slices.Contains(patterns, text) {
					patterns = append(patterns, text)
				}
			}
		}
	}
	if len(patterns) == 0 {
		return skip("no policy asks for approved base images")
	}
	for _, text := range patterns {
		if isLocked(set, text) {
			locked = append(locked, text)
		}
	}
	missing := slices.DeleteFunc(slices.Clone(patterns), func(p string) bool { return slices.Contains(locked, p) })
	evidence := fmt.Sprintf("locked base images match %d of %d approved patterns", len(locked), len(patterns))
	if len(missing) == 0 {
		return fine("%s", evidence)
	}
	evidence += "; nothing can be proved to be built on " + strings.Join(missing, ", ")
	// The pattern's x stands for numbers that only a person can choose.
	fix := "apex base update --lock " + quote(x.Workspace+"/policies/approved-base-images.yaml") + " " + quote(missing[0])
	if len(locked) == 0 {
		return fail(fix, "%s", evidence)
	}
	return warn(fix, "%s", evidence)
}

func isLocked(set *config.Set, text string) bool {
	pattern, err := config.ParseBasePattern(text)
	if err != nil {
		return false
	}
	for _, lock := range set.BaseImageLocks {
		for _, image := range lock.Value.Spec.Images {
			if i := strings.LastIndexByte(image.Image, ':'); i > strings.LastIndexByte(image.Image, '/') && pattern.Match(image.Image[:i], image.Image[i+1:]) {
				return true
			}
		}
	}
	return false
}
