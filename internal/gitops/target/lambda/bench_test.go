package lambda_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/internal/gitops/target/lambda"
	"github.com/apexlogic/apex/verdict"
)

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The functions of each benchmark. CPU time is that of the target and of the fake
// together.
const benched = 1000

// BenchmarkCompare describes and names all functions over HTTP: a plan.
func BenchmarkCompare(b *testing.B) {
	w, server := fake(b, nil)
	many(b, w, benched)
	_, before := server.Calls()
	start := cpu(b)
	for b.Loop() {
		if seen := listed(b, w); seen != benched {
			b.Fatal(seen)
		}
	}
	_, after := server.Calls()
	b.ReportMetric((cpu(b)-start).Seconds()/float64(b.N), "cpu-s/op")
	b.ReportMetric(float64(after-before)/float64(b.N*benched), "calls/function")
}

// BenchmarkAtRest counts the calls of a watch, and of the listing that a healer
// sweeps by, while nothing changes.
func BenchmarkAtRest(b *testing.B) {
	const turns = 5
	w, server := fake(b, nil)
	many(b, w, benched)
	resting := open(b, w.url, func(o *lambda.Options) { o.Interval, o.Budget = 500*time.Millisecond, 0 })
	for b.Loop() {
		if err := resting.List(b.Context(), functions, func(gitops.Held) {}); err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		events := make(chan gitops.Event, 10*benched)
		done := make(chan error, 1)
		calls := func() map[string]int { all, _ := server.Calls(); return all }
		go func() {
			done <- resting.Watch(ctx, source, []gitops.Kind{functions}, func(e gitops.Event) { events <- e })
		}()
		until(b, events, synced)
		before, start := calls(), cpu(b)
		for calls()["ListFunctions"] < before["ListFunctions"]+turns*benched/50 {
			select {
			case <-b.Context().Done():
				b.Fatal("it stopped")
			case <-time.After(10 * time.Millisecond):
			}
		}
		spent, after := cpu(b)-start, calls()
		swept := calls()
		if err := resting.List(b.Context(), functions, func(gitops.Held) {}); err != nil {
			b.Fatal(err)
		}
		then := calls()
		cancel()
		<-done
		b.ReportMetric(float64(total(after)-total(before))/turns, "calls/turn")
		b.ReportMetric(spent.Seconds()*1000/turns, "cpu-ms/turn")
		b.ReportMetric(float64(total(then)-total(swept)), "calls/sweep")
	}
}

func total(calls map[string]int) (n int) {
	for c := range maps.Values(calls) {
		n += c
	}
	return n
}

// BenchmarkHeal counts the calls from a tamper to its report as healed, among as
// many functions.
func BenchmarkHeal(b *testing.B) {
	for name, do := range map[string]act{
		"environment": nil,
		"permission":  permit(func(in *awslambda.AddPermissionInput) { in.FunctionName = aws.String("captioner-7") }),
	} {
		b.Run(name, func(b *testing.B) {
			if do == nil {
				do = config(func(in *awslambda.UpdateFunctionConfigurationInput) {
					in.FunctionName, in.Timeout = aws.String("captioner-7"), aws.Int32(1)
				})
			}
			w, server := fake(b, func(o *lambda.Options) { o.Interval = 24 * time.Hour })
			all := many(b, w, 10)
			reports := make(chan heal.Report, 1000)
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan error, 1)
			target := told{w.target, make(chan gitops.Event, 10)}
			h, err := heal.New(heal.Config{Target: target, Source: source, Report: func(r heal.Report) { reports <- r }, FightHeals: 1 << 30})
			if err != nil {
				b.Fatal(err)
			}
			go func() { done <- h.Run(ctx) }()
			defer func() { cancel(); <-done }()
			for _, o := range all {
				if err := h.Desire(o); err != nil {
					b.Fatal(err)
				}
				h.Applied(o, get(b, w.target, o))
			}
			var calls int
			var ops []string
			start := cpu(b)
			for b.Loop() {
				if err := do(b.Context(), w); err != nil {
					b.Fatal(err)
				}
				before, _ := server.Calls()
				target.events <- gitops.Event{Kind: gitops.Changed, ID: all[7].ID, UID: all[7].Name, ResourceVersion: fmt.Sprint(b.N)}
				if r := <-reports; r.Code != verdict.DriftHealed {
					b.Fatalf("%s: %v", r.Code, r.Err)
				}
				after, _ := server.Calls()
				calls += total(after) - total(before)
				ops = ops[:0]
				for op, n := range after {
					if n -= before[op]; n > 0 {
						ops = append(ops, fmt.Sprintf("%s %d", op, n))
					}
				}
			}
			b.ReportMetric(float64(calls)/float64(b.N), "calls/heal")
			b.ReportMetric((cpu(b)-start).Seconds()*1000/float64(b.N), "cpu-ms/heal")
			slices.Sort(ops)
			b.Log(strings.Join(ops, ", "))
		})
	}
}

// told is a target whose watch reports what it is told.
type told struct {
	*lambda.Target
	events chan gitops.Event
}

func (t told) Watch(ctx context.Context, _ string, _ []gitops.Kind, each func(gitops.Event)) error {
	each(gitops.Event{Kind: gitops.Synced})
	for {
		select {
		case e := <-t.events:
			each(e)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
