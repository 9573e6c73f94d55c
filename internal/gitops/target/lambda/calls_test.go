package lambda_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/target/lambda/lambdatest"
)

var functions = gitops.Kind{Group: gitops.LambdaGroup, Version: gitops.LambdaVersion, Kind: gitops.LambdaFunctionKind}

// many puts functions there, and returns their objects.
func many(t testing.TB, w *world, n int) (all []*gitops.Object) {
	t.Helper()
	put(t, w.target, theRole(t))
	for i := range n {
		o, err := spec().Object(fmt.Sprintf("captioner-%d", i), here)
		all = append(all, labelled(t, o, err))
		put(t, w.target, all[i])
	}
	return all
}

// watching follows the functions until the test ends; events go to the channel.
func watching(t testing.TB, target gitops.Target) <-chan gitops.Event {
	t.Helper()
	events := make(chan gitops.Event, 10_000)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- target.Watch(ctx, source, []gitops.Kind{functions}, func(e gitops.Event) { events <- e })
	}()
	t.Cleanup(func() { cancel(); <-done })
	return events
}

func until(t testing.TB, events <-chan gitops.Event, is func(gitops.Event) bool) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		select {
		case e := <-events:
			if is(e) {
				return
			}
		case <-deadline:
			t.Fatal("it was not reported")
		}
	}
}

func synced(e gitops.Event) bool { return e.Kind == gitops.Synced }

func listed(t testing.TB, target *world) (n int) {
	t.Helper()
	if err := target.target.List(t.Context(), functions, func(gitops.Held) { n++ }); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAListingWhileAWatchRunsAsksForNothingTwice(t *testing.T) {
	// So long an interval that the watch does nothing after its first turn.
	w, server := fake(t, func(o *options) { o.Interval = time.Hour })
	many(t, w, 60)
	calls := func() map[string]int { all, _ := server.Calls(); return all }
	before := calls()
	if n := listed(t, w); n != 60 {
		t.Fatalf("%d are listed", n)
	}
	if got := calls()["GetPolicy"] - before["GetPolicy"]; got != 60 {
		t.Errorf("without a watch, %d were described", got)
	}
	before = calls()
	until(t, watching(t, w.target), synced)
	if got := calls()["GetPolicy"] - before["GetPolicy"]; got != 0 {
		t.Errorf("the watch described %d that had just been described", got)
	}
	if _, err := w.lambda.UpdateFunctionConfiguration(t.Context(), &awslambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("captioner-7"), Timeout: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	before = calls()
	if n := listed(t, w); n != 60 {
		t.Fatalf("%d are listed", n)
	}
	after := calls()
	if pages, described := after["ListFunctions"]-before["ListFunctions"], after["GetPolicy"]-before["GetPolicy"]; pages != 2 || described != 1 {
		t.Errorf("%d pages, %d descriptions", pages, described)
	}
}

// What this process wrote is described anew, though the listing shows no change.
func TestAListingDoesNotRepeatWhatWasBeforeAWrite(t *testing.T) {
	w, _ := fake(t, func(o *options) { o.Interval = time.Hour })
	before := many(t, w, 1)[0]
	until(t, watching(t, w.target), synced)
	s := spec()
	s.Permissions[0].SourceARN += "-2"
	changed, err := s.Object(before.Name, here)
	live := put(t, w.target, labelled(t, changed, err))
	var got string
	if err := w.target.List(t.Context(), functions, func(h gitops.Held) { got = h.ResourceVersion }); err != nil {
		t.Fatal(err)
	}
	if got != live.ResourceVersion {
		t.Errorf("listed as %s, is %s", got, live.ResourceVersion)
	}
}

func TestThrottledLooksEndAndAHealIsTriedOnItsOwn(t *testing.T) {
	w, server := fake(t, nil)
	all := many(t, w, 10)
	var n atomic.Int64
	server.Fail(func(op string) *lambdatest.Fault {
		if strings.HasPrefix(op, "GetFunction") && n.Add(1) == 2 {
			return &lambdatest.Fault{Status: http.StatusTooManyRequests, Code: "TooManyRequestsException", Message: "Rate exceeded"}
		}
		return nil
	})
	until(t, watching(t, w.target), synced)
	if err := config(func(in *awslambda.UpdateFunctionConfigurationInput) {
		in.FunctionName, in.Timeout = aws.String(all[3].Name), aws.Int32(1)
	})(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	asDesired(t, all[3], put(t, w.target, all[3]))
}

// One function that cannot be compared does not hide the others.
func TestAFunctionWithTooMuchToCompareHidesNoOther(t *testing.T) {
	w, _ := fake(t, nil)
	all := many(t, w, 3)
	for i := range 1001 {
		if _, err := w.lambda.CreateAlias(t.Context(), &awslambda.CreateAliasInput{FunctionName: aws.String(all[0].Name), Name: aws.String(fmt.Sprintf("a%d", i)), FunctionVersion: aws.String("$LATEST")}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.target.Get(t.Context(), all[0].ID, all[0].Version); err == nil {
		t.Error("it is described")
	}
	events := watching(t, w.target)
	reported := false
	until(t, events, func(e gitops.Event) bool { reported = reported || e.ID == all[0].ID; return synced(e) })
	if !reported {
		t.Error("that there is something about it is not said")
	}
	if err := config(func(in *awslambda.UpdateFunctionConfigurationInput) {
		in.FunctionName, in.Timeout = aws.String(all[2].Name), aws.Int32(1)
	})(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	until(t, events, func(e gitops.Event) bool { return e.ID == all[2].ID })
}
