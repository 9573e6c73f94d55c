package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/repo"
)

// commit commits the files to the repository that the folder is in.
func (r *Rightsizing) commit(ctx context.Context, files map[string][]byte, c clock.Clock) (err error) {
	dir, err := filepath.Abs(r.dir)
	if err != nil {
		return err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return err
	}
	top := dir
	for {
		if _, err := os.Lstat(filepath.Join(top, ".git")); err == nil {
			break
		}
		if top == filepath.Dir(top) {
			return fmt.Errorf("%w: %s is in none; write without --commit", repo.ErrNotRepository, r.dir)
		}
		top = filepath.Dir(top)
	}
	below, err := filepath.Rel(top, dir)
	if err != nil {
		return err
	}
	g, err := repo.Open(top)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	change := repo.Change{Files: map[string][]byte{}, Message: r.message(), At: c.Now()}
	for name, data := range files {
		change.Files[path.Join(filepath.ToSlash(below), name)] = data
	}
	before, err := g.Head()
	if err != nil && !errors.Is(err, repo.ErrNoCommit) {
		return err
	}
	made, err := g.Commit(ctx, change)
	if err == nil && made == before {
		// The files as they shall be are committed already, and something else lies there.
		return fmt.Errorf("%w: git restore %s, or git commit", repo.ErrUncommitted, strings.Join(r.Files, " "))
	}
	r.Commit = string(made)
	return err
}

// maxTold bounds the principals that a message describes.
const maxTold = 100

// message is that of the commit: what changes, and the proof.
func (r *Rightsizing) message() string {
	var b strings.Builder
	policies, principals := 0, 0
	for i := range r.Sizes {
		s := &r.Sizes[i]
		if len(s.Changes) == 0 {
			continue
		}
		policies += len(s.Changes)
		if principals++; principals > maxTold {
			continue
		}
		fmt.Fprintf(&b, "\n%s (%s:%d)\n  %d of %d actions stay.\n  %d calls in %d days replayed: what the old policies allowed, the new ones allow.\n  Confidence %s: %s.\n",
			clipped(s.Principal), clipped(s.path), s.Line, s.After, s.Before, s.Replayed, s.Days, s.Confidence, s.Because)
		for _, arn := range s.Observed[:min(len(s.Observed), 5)] {
			fmt.Fprintf(&b, "  Observed as %s\n", clipped(arn))
		}
		for _, name := range keysOf(s.Kept)[:min(len(s.Kept), 5)] {
			fmt.Fprintf(&b, "  Kept: %s.\n", clipped(s.Kept[name]))
		}
	}
	if principals > maxTold {
		fmt.Fprintf(&b, "\nand %d more\n", principals-maxTold)
	}
	day := func(t time.Time) string { return t.UTC().Format(time.DateOnly) }
	return fmt.Sprintf(`Right-size %s to what was observed

From %s to %s, %d calls in the logs. Nothing is widened: every
statement that allows lies within an old one under the same conditions, and
every statement that denies is still there.
%s`, counted(policies, "policy", "policies"), day(r.From), day(r.To), r.Calls, b.String())
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// clipped bounds a text of others in a message, and keeps it to one line.
func clipped(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}
