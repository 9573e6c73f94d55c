package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/ledger"
	"github.com/apexlogic/apex/internal/verify"
	"github.com/apexlogic/apex/verdict"
)

// ErrNoVerdict is wrapped when nothing was ever decided about a subject.
var ErrNoVerdict = errors.New("no verdict is recorded")

// Ledgers returns the directories of all ledgers below a state directory: each
// role keeps its own.
func Ledgers(state string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(state, "ledger"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no ledger in %s: run apex verify or apex up first", state)
	}
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(state, "ledger", e.Name()))
		}
	}
	return dirs, nil
}

// LastVerdict returns the newest recorded verdict about a subject, in all
// ledgers of the state directory. Subject is a record's id, a digest, or a part
// of what was asked.
func LastVerdict(ctx context.Context, state, subject string) (*verdict.Verdict, error) {
	dirs, err := Ledgers(state)
	if err != nil {
		return nil, err
	}
	var last *verdict.Verdict
	for _, dir := range dirs {
		v, err := lastIn(ctx, dir, subject)
		if err != nil {
			return nil, fmt.Errorf("ledger %s: %w", dir, err)
		}
		if v != nil && (last == nil || v.At.After(last.At)) {
			last = v
		}
	}
	if last == nil {
		return nil, fmt.Errorf("%w about %q", ErrNoVerdict, subject)
	}
	return last, nil
}

func lastIn(ctx context.Context, dir, subject string) (*verdict.Verdict, error) {
	l, err := ledger.Open(ctx, dir, ledger.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	var last *verdict.Verdict
	for entry, err := range l.Records(ctx, ledger.Cursor{}) {
		if err != nil {
			return nil, err
		}
		if entry.Type != verify.RecordVerdict || entry.Erased {
			continue
		}
		var v verdict.Verdict
		if err := json.Unmarshal(entry.Data, &v); err != nil {
			return nil, fmt.Errorf("record %s: %w", entry.ID, err)
		}
		v.ID = entry.ID.String()
		if isAbout(&v, subject) {
			last = &v
		}
	}
	return last, nil
}

// isAbout prefers exact names; a part of what was asked is enough.
func isAbout(v *verdict.Verdict, subject string) bool {
	return subject != "" && (v.ID == subject || strings.Contains(v.Asked, subject) ||
		strings.Contains(v.Ref.String(), subject) || strings.Contains(v.Where.Object, subject))
}

// Approvers are the owners of the trust entries that may sign exceptions.
func Approvers(set *config.Set) []string {
	var out []string
	for _, root := range set.TrustRoots {
		for _, e := range root.Value.Spec.Entries {
			if slices.Contains(e.Uses, v1alpha1.UseExceptions) && e.Owner != "" && !slices.Contains(out, e.Owner) {
				out = append(out, e.Owner)
			}
		}
	}
	slices.Sort(out)
	return out
}
