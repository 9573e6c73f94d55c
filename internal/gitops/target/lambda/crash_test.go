package lambda_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/target/lambda/lambdatest"
)

// stopAfter lets so many writes through, and then none: the process is dead. The
// last one takes effect or does not, as it happens.
func stopAfter(writes int, lost bool) func(string) *lambdatest.Fault {
	n := 0
	return func(op string) *lambdatest.Fault {
		if op[:3] == "Get" || op[:4] == "List" {
			return nil
		}
		if n++; n <= writes {
			return nil
		}
		return &lambdatest.Fault{Status: http.StatusForbidden, Code: "AccessDeniedException", Message: "dead", After: lost && n == writes+1}
	}
}

// A process that is killed at any write, with or without the write, is followed
// by one that knows nothing and finishes.
func TestADeathAtAnyWriteConverges(t *testing.T) {
	for _, lost := range []bool{false, true} {
		for writes := range 20 {
			t.Run(fmt.Sprintf("after %d writes, the next one lost %v", writes, lost), func(t *testing.T) {
				w, server := fake(t, nil)
				server.Fail(stopAfter(writes, lost))
				var failed error
				for _, o := range []*gitops.Object{theRole(t), theFunction(t, wide())} {
					if _, err := w.target.Apply(t.Context(), o, gitops.ApplyOptions{}); err != nil {
						failed = err
						break
					}
				}
				server.Fail(nil)
				if failed == nil && writes < 5 {
					t.Fatal("it was never killed")
				}
				next := open(t, w.url, nil)
				for _, o := range []*gitops.Object{theRole(t), theFunction(t, wide())} {
					asDesired(t, o, put(t, next, o))
				}
				// And on the way out.
				server.Fail(stopAfter(writes, lost))
				for _, o := range []*gitops.Object{theFunction(t, wide()), theRole(t)} {
					if next.Delete(t.Context(), o.ID, o.Version, gitops.Precondition{}) != nil {
						break
					}
				}
				server.Fail(nil)
				last := open(t, w.url, nil)
				for _, o := range []*gitops.Object{theFunction(t, wide()), theRole(t)} {
					if err := last.Delete(t.Context(), o.ID, o.Version, gitops.Precondition{}); err != nil {
						t.Fatal(err)
					}
					if _, err := last.Get(t.Context(), o.ID, o.Version); !errors.Is(err, gitops.ErrNotFound) {
						t.Errorf("%s is left: %v", o.ID, err)
					}
				}
			})
		}
	}
}

func TestThrottlingAndTroubleAreTriedAgainAndBounded(t *testing.T) {
	for name, c := range map[string]struct {
		code   string
		status int
		times  int
		fails  bool
	}{
		"throttled for a while":    {"TooManyRequestsException", http.StatusTooManyRequests, 2, false},
		"a server's trouble":       {"ServiceException", http.StatusInternalServerError, 1, false},
		"throttled without an end": {"TooManyRequestsException", http.StatusTooManyRequests, 1 << 20, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := shared(t)
			left, calls := c.times, 0
			w.server.Fail(func(op string) *lambdatest.Fault {
				if op != "GetFunction" {
					return nil
				}
				calls++
				if left--; left < 0 {
					return nil
				}
				return &lambdatest.Fault{Status: c.status, Code: c.code, Message: "slow down"}
			})
			_, err := w.target.Get(t.Context(), theFunction(t, spec()).ID, gitops.LambdaVersion)
			if (err != nil) != c.fails {
				t.Errorf("got %v", err)
			}
			if calls > 6 {
				t.Errorf("%d calls", calls)
			}
		})
	}
}

func TestReadsThatLagBehindAndUpdatesThatTakeTimeAreWaitedFor(t *testing.T) {
	w, server := fake(t, nil)
	server.Lag(2)
	server.Busy(3)
	for _, o := range []*gitops.Object{theRole(t), theFunction(t, wide()), theImage(t)} {
		asDesired(t, o, put(t, w.target, o))
	}
	s := wide()
	s.MemoryMiB, s.Environment = 1024, map[string]string{"MODEL": "small"}
	s.Code = &gitops.LambdaCode{Bucket: "code", Key: "captioner.zip", Version: "v2"}
	asDesired(t, theFunction(t, s), put(t, w.target, theFunction(t, s)))
}

func TestAWriteByAnotherMeanwhileIsAConflict(t *testing.T) {
	w, server := fake(t, nil)
	put(t, w.target, theRole(t))
	before := put(t, w.target, theFunction(t, spec()))
	stale := spec()
	stale.MemoryMiB = 1024
	once := true
	server.Fail(func(op string) *lambdatest.Fault {
		if op == "UpdateFunctionConfiguration" && once {
			once = false
			return &lambdatest.Fault{Status: http.StatusPreconditionFailed, Code: "PreconditionFailedException", Message: "the Revision Id does not match"}
		}
		return nil
	})
	if _, err := w.target.Apply(t.Context(), theFunction(t, stale), gitops.ApplyOptions{ResourceVersion: before.ResourceVersion}); !errors.Is(err, gitops.ErrConflict) {
		t.Errorf("got %v", err)
	}
	server.Fail(nil)
	live, err := w.target.Apply(t.Context(), theFunction(t, stale), gitops.ApplyOptions{ResourceVersion: before.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	asDesired(t, theFunction(t, stale), live)
}

func TestACalleeThatAnswersAboutAnotherAccountIsNotBelieved(t *testing.T) {
	w, _ := fake(t, nil)
	put(t, w.target, theRole(t))
	put(t, w.target, theFunction(t, spec()))
	w2, server2 := fake(t, nil)
	server2.SetAccount("999999999999")
	if _, err := w2.target.Get(t.Context(), theFunction(t, spec()).ID, gitops.LambdaVersion); !errors.Is(err, gitops.ErrForbidden) {
		t.Errorf("got %v", err)
	}
	get(t, w.target, theFunction(t, spec()))
}

func TestAFunctionIsHealthyWhenItCanBeCalled(t *testing.T) {
	w, server := fake(t, nil)
	put(t, w.target, theRole(t))
	o := theFunction(t, spec())
	put(t, w.target, o)
	if ok, why, err := w.target.Healthy(t.Context(), o); !ok || err != nil {
		t.Errorf("got %v, %q, %v", ok, why, err)
	}
	server.Busy(1)
	if _, err := w.lambda.UpdateFunctionConfiguration(t.Context(), &awslambda.UpdateFunctionConfigurationInput{FunctionName: fn, Timeout: aws.Int32(5)}); err != nil {
		t.Fatal(err)
	}
	if ok, why, err := w.target.Healthy(t.Context(), o); ok || why == "" || err != nil {
		t.Errorf("during an update: %v, %q, %v", ok, why, err)
	}
	if ok, _, err := w.target.Healthy(t.Context(), theRole(t)); !ok || err != nil {
		t.Errorf("the role: %v, %v", ok, err)
	}
	if ok, _, err := w.target.Healthy(t.Context(), theImage(t)); ok || !errors.Is(err, gitops.ErrNotFound) {
		t.Errorf("what is not there: %v, %v", ok, err)
	}
}

func TestTheDefaultsThatAFunctionGetsAreThoseThatADryRunTells(t *testing.T) {
	w, server := fake(t, nil)
	put(t, w.target, theRole(t))
	o := theImage(t)
	server.Writes()
	dry, err := w.target.Apply(t.Context(), o, gitops.ApplyOptions{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if wrote := server.Writes(); len(wrote) > 0 {
		t.Errorf("a dry run wrote %v", wrote)
	}
	if live := put(t, w.target, o); !contains(dry.Body["spec"], live.Body["spec"]) || !contains(live.Body["spec"], dry.Body["spec"]) {
		t.Errorf("told %v, got %v", dry.Body["spec"], live.Body["spec"])
	}
}

func TestWhatCannotBePutRightHoldsUpNothingElseAndOpensNothing(t *testing.T) {
	for name, c := range map[string]struct{ op, code string }{
		"an archive that is gone":             {"UpdateFunctionCode", "InvalidParameterValueException"},
		"a version that may not be deleted":   {"DeleteFunction", "AccessDeniedException"},
		"a statement that may not be removed": {"RemovePermission", "AccessDeniedException"},
	} {
		t.Run(name, func(t *testing.T) {
			w, server := fake(t, nil)
			put(t, w.target, theRole(t))
			o := theFunction(t, wide())
			put(t, w.target, o)
			if err := then(deployed("evil.zip"), publish, permit(func(*awslambda.AddPermissionInput) {}), config(func(in *awslambda.UpdateFunctionConfigurationInput) {
				in.Environment = &types.Environment{Variables: map[string]string{"SEND_TO": "evil"}}
			}), func(ctx context.Context, w *world) error {
				_, err := w.lambda.DeleteFunctionUrlConfig(ctx, &awslambda.DeleteFunctionUrlConfigInput{FunctionName: fn})
				return err
			})(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			server.Fail(func(op string) *lambdatest.Fault {
				if op == c.op {
					return &lambdatest.Fault{Status: http.StatusBadRequest, Code: c.code, Message: "no"}
				}
				return nil
			})
			if _, err := w.target.Apply(t.Context(), o, gitops.ApplyOptions{}); err == nil {
				t.Error("it is said to be right")
			}
			out, err := w.lambda.GetFunction(t.Context(), &awslambda.GetFunctionInput{FunctionName: fn})
			if err != nil {
				t.Fatal(err)
			}
			if out.Configuration.Environment.Variables["SEND_TO"] != "" {
				t.Error("the environment is as it was")
			}
			if _, err := w.lambda.GetFunctionUrlConfig(t.Context(), &awslambda.GetFunctionUrlConfigInput{FunctionName: fn}); err == nil {
				t.Error("it is opened, and is not what Git says")
			}
			server.Fail(nil)
			asDesired(t, o, put(t, w.target, o))
		})
	}
}
