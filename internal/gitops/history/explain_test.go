package history

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/verdict"
)

func TestWhatARepositoryAnswersHasACode(t *testing.T) {
	l := look{ctx: t.Context()}
	for _, c := range []struct {
		err  error
		code verdict.Code
	}{
		{repo.ErrCollision, verdict.HistoryCollision},
		{repo.ErrTooLarge, verdict.HistoryTooLong},
		{repo.ErrNotFound, verdict.HistoryIncomplete},
		{repo.ErrMalformed, verdict.CommitMalformed},
		{&repo.PathError{Path: "..", Err: repo.ErrBadName}, verdict.CommitMalformed},
		{repo.ErrCorrupt, verdict.HistoryUnreadable},
		{errors.New("input/output error"), verdict.HistoryUnreadable},
	} {
		var refusal *Refusal
		if err := l.explain("c", fmt.Errorf("read: %w", c.err)); !errors.As(err, &refusal) || refusal.Code != c.code {
			t.Errorf("%v: got %v", c.err, err)
		}
	}
	if err := l.explain("c", nil); err != nil {
		t.Errorf("nothing is wrong: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l.ctx = ctx
	var refusal *Refusal
	if err := l.explain("c", ctx.Err()); err == nil || errors.As(err, &refusal) {
		t.Errorf("an interrupted look refuses: %v", err)
	}
}
