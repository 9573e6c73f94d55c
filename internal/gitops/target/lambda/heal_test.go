package lambda_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/internal/gitops/target/lambda"
	"github.com/apexlogic/apex/verdict"
)

// A process that is killed at any write of a heal, with or without that write, is
// followed by one that knows nothing, and finishes.
func TestADeathAtAnyWriteOfAHealConverges(t *testing.T) {
	for _, c := range tampers {
		t.Run(c.name, func(t *testing.T) {
			w, server := fake(t, nil)
			all := victims(t, w)
			for _, name := range []string{onRole, onFunction, onImage, onPublic} {
				put(t, w.target, all[name])
			}
			o := all[c.on]
			before := get(t, w.target, o)
			deaths := 0
			for writes := 0; ; writes++ {
				alive := true
				for _, lost := range []bool{false, true} {
					if err := c.do(t.Context(), w); err != nil {
						t.Fatal(err)
					}
					server.Fail(stopAfter(writes, lost))
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
					_, err := w.target.Apply(ctx, o, gitops.ApplyOptions{})
					cancel()
					server.Fail(nil)
					if err != nil {
						alive = false
						deaths++
					}
					// What the inventory has is what the next process has to go by.
					next := open(t, w.url, func(o *options) { o.Owned = func(gitops.ID) bool { return true } })
					after := put(t, next, o)
					asDesired(t, o, after)
					if after.ResourceVersion != before.ResourceVersion && c.name != "the function deleted" {
						t.Fatalf("after a death at write %d (done: %v) it was %v, and is %v", writes, lost, before.Body["spec"], after.Body["spec"])
					}
				}
				if alive {
					break
				}
			}
			if deaths == 0 {
				t.Error("it was never killed")
			}
		})
	}
}

// healing runs a healer over the target until the test ends.
func healing(t *testing.T, target *lambda.Target, all map[string]*gitops.Object, report func(heal.Report)) {
	t.Helper()
	h, err := heal.New(heal.Config{Target: target, Source: source, Report: report, FightHeals: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range all {
		if err := h.Desire(o); err != nil {
			t.Fatal(err)
		}
		h.Applied(o, get(t, target, o))
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

// Two healers, as while a leader changes, end where one does, and then rest.
func TestTwoHealersEndWhereOneDoes(t *testing.T) {
	w, server := fake(t, nil)
	all := victims(t, w)
	for _, name := range []string{onRole, onFunction, onImage, onPublic} {
		put(t, w.target, all[name])
	}
	before := map[string]string{}
	for name, o := range all {
		before[name] = get(t, w.target, o).ResourceVersion
	}
	for range 2 {
		healing(t, open(t, w.url, nil), all, func(heal.Report) {})
	}
	for _, c := range tampers {
		if c.name == "the function deleted" || strings.Contains(c.name, "the source's tag") {
			continue // the process that holds no inventory cannot know whose it is
		}
		strike(t, w, c)
		healed(t, c.name, func() bool { return get(t, w.target, all[c.on]).ResourceVersion == before[c.on] })
	}
	// Nobody undoes what the other does: the writes end.
	healed(t, "the writes end", func() bool {
		server.Writes()
		at, _ := server.Calls()
		for now := at; now["ListFunctions"] < at["ListFunctions"]+8; now, _ = server.Calls() {
			wait(t)
		}
		return len(server.Writes()) == 0
	})
	for name, o := range all {
		if get(t, w.target, o).ResourceVersion != before[name] {
			t.Errorf("%s is not as it was", name)
		}
	}
}

// strike tampers while a healer runs. Where that takes steps, the healer may have put
// back the first before the second, which then fails: all of it is done again, until
// it is done.
func strike(t *testing.T, w *world, c tamper) {
	t.Helper()
	healed(t, c.name+" is done", func() bool {
		err := c.do(t.Context(), w)
		_, there := errors.AsType[*types.ResourceConflictException](err)
		_, gone := errors.AsType[*types.ResourceNotFoundException](err)
		if err != nil && !there && !gone {
			t.Fatalf("%s: %v", c.name, err)
		}
		return err == nil
	})
}

func wait(t testing.TB) {
	t.Helper()
	select {
	case <-t.Context().Done():
		t.Fatal("the test ended")
	case <-time.After(time.Millisecond):
	}
}

func healed(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: it did not come", what)
		}
		wait(t)
	}
}

// Nothing that a healer or a target says has a value of the environment in it.
func TestNothingSaysWhatIsInTheEnvironment(t *testing.T) {
	w, server := fake(t, nil)
	all := victims(t, w)
	for _, name := range []string{onRole, onFunction, onImage, onPublic} {
		put(t, w.target, all[name])
	}
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	reports := make(chan heal.Report, 1000)
	healing(t, w.target, all, func(r heal.Report) { reports <- r })
	const theirs = "s3cr3t-of-mallory"
	for _, code := range []string{"", "InvalidParameterValueException"} {
		if code != "" {
			server.Fail(func(op string) *fault {
				if op == "UpdateFunctionConfiguration" {
					return &fault{Status: 400, Code: code, Message: "1 validation error: Value '{TOKEN=" + secret + ", MODEL=" + theirs + "}' at 'environment'"}
				}
				return nil
			})
		}
		server.Tamper("captioner", map[string]string{"MODEL": theirs, "TOKEN": secret + "2", "MORE": theirs})
		r := <-reports
		if want := map[string]verdict.Code{"": verdict.DriftHealed}[code]; want != "" && r.Code != want {
			t.Errorf("got %s: %v", r.Code, r.Err)
		}
		log.Info("healed", "report", r, "changes", r.Changes, "err", r.Err)
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&said, "%s %+v %#v %v\n", text, r, r, r.Err)
	}
	server.Fail(nil)
	if !strings.Contains(said.String(), "/spec/environment") {
		t.Errorf("it is not said where: %s", said.String())
	}
	for _, value := range []string{secret, theirs, "tiny"} {
		if strings.Contains(said.String(), value) {
			t.Errorf("%q is said: %s", value, said.String())
		}
	}
}
