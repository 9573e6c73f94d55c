package app

import (
	"bytes"
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
// ledgers of the state directory. Subject is a record's id, a digest, an image
// reference with or without its tag or host, the name of a workload, or a part
// of one of these; what it names exactly wins over what it is a part of.
func LastVerdict(ctx context.Context, state, subject string) (*verdict.Verdict, error) {
	dirs, err := Ledgers(state)
	if err != nil {
		return nil, err
	}
	var last *verdict.Verdict
	best := unrelated
	for _, dir := range dirs {
		v, m, err := lastIn(ctx, dir, subject)
		if err != nil {
			return nil, fmt.Errorf("ledger %s: %w", dir, err)
		}
		if v != nil && (m > best || m == best && v.At.After(last.At)) {
			last, best = v, m
		}
	}
	if last == nil {
		return nil, fmt.Errorf("%w about %q; apex ledger tail --type %s shows what there is", ErrNoVerdict, subject, verify.RecordVerdict)
	}
	return last, nil
}

func lastIn(ctx context.Context, dir, subject string) (*verdict.Verdict, match, error) {
	l, err := ledger.Open(ctx, dir, ledger.Options{ReadOnly: true})
	if err != nil {
		return nil, unrelated, err
	}
	defer l.Close()
	if id, err := ledger.ParseID(subject); err == nil {
		e, err := l.Get(ctx, id)
		if errors.Is(err, ledger.ErrNotFound) {
			return nil, unrelated, nil
		}
		if err != nil {
			return nil, unrelated, err
		}
		v, err := verdictOf(&e)
		return v, named, err
	}
	var last *verdict.Verdict
	best := unrelated
	hints := hintsOf(subject)
	for e, err := range l.Records(ctx, ledger.Cursor{}) {
		if err != nil {
			return nil, unrelated, err
		}
		if !hinted(e.Data, hints) {
			continue
		}
		v, err := verdictOf(&e)
		if err != nil {
			return nil, unrelated, err
		}
		if v == nil {
			continue
		}
		if m := matches(v, subject); m != unrelated && m >= best {
			last, best = v, m
		}
	}
	return last, best, nil
}

// verdictOf reads a record's verdict; nil when it holds none.
func verdictOf(e *ledger.Entry) (*verdict.Verdict, error) {
	if e.Type != verify.RecordVerdict || e.Erased {
		return nil, nil
	}
	var v verdict.Verdict
	if err := json.Unmarshal(e.Data, &v); err != nil {
		return nil, fmt.Errorf("record %s: %w", e.ID, err)
	}
	v.ID = e.ID.String()
	return &v, nil
}

// hintsOf returns texts that the JSON of every verdict about the subject holds,
// so that the others need not be parsed. There are none for a subject that JSON
// may spell in another way.
func hintsOf(subject string) [][]byte {
	for _, c := range subject {
		if c <= ' ' || c > '~' || strings.ContainsRune(`"\<>&`, c) {
			return nil
		}
	}
	var hints [][]byte
	for part := range strings.SplitSeq(subject, "@") { // repository and digest are fields of their own
		if part != "" {
			hints = append(hints, []byte(part))
		}
	}
	return hints
}

func hinted(data []byte, hints [][]byte) bool {
	for _, h := range hints {
		if !bytes.Contains(data, h) {
			return false
		}
	}
	return true
}

// match says how well a text names the subject of a verdict.
type match uint8

const (
	unrelated match = iota
	contained       // it is somewhere in a name
	whole           // it is whole parts of a name: "captioner" of "vision/captioner:1.0"
	named           // it is the name
)

func matches(v *verdict.Verdict, subject string) match {
	if subject == "" {
		return unrelated
	}
	best := unrelated
	for _, name := range []string{v.Asked, v.Repo, string(v.Digest), v.Ref.String(), v.Where.Object} {
		best = max(best, matchName(name, subject))
	}
	return best
}

func matchName(name, subject string) match {
	if name == subject {
		return named
	}
	best := unrelated
	for from := 0; ; {
		i := strings.Index(name[from:], subject)
		if i < 0 {
			return best
		}
		best = max(best, contained)
		begin, end := from+i, from+i+len(subject)
		if (begin == 0 || strings.IndexByte("/ @", name[begin-1]) >= 0) && (end == len(name) || strings.IndexByte("/ @:", name[end]) >= 0) {
			return whole
		}
		from = begin + 1
	}
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
