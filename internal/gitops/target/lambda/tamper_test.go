package lambda_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/verdict"
)

func victims(t testing.TB, w *world) map[string]*gitops.Object {
	all := map[string]*gitops.Object{onRole: theRole(t), onFunction: theFunction(t, wide()), onImage: theImage(t), onPublic: thePublic(t)}
	if w.real {
		s := spec()
		s.Code.Version = w.good
		all[onFunction] = theFunction(t, s)
		delete(all, onImage)
		delete(all, onPublic)
	}
	return all
}

// testTampers finds each, and puts it back by applying.
func testTampers(t *testing.T, w *world) {
	all := victims(t, w)
	put(t, w.target, all[onRole])
	for _, o := range all {
		put(t, w.target, o)
	}
	for _, c := range tampers {
		t.Run(c.name, func(t *testing.T) {
			if w.real && c.fake != "" {
				t.Skip(c.fake)
			}
			o := all[c.on]
			before := get(t, w.target, o)
			if err := c.do(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			if now, err := w.target.Get(t.Context(), o.ID, o.Version); err == nil && now.ResourceVersion == before.ResourceVersion {
				t.Error("it was not found")
			}
			after := put(t, w.target, o)
			asDesired(t, o, after)
			if got := get(t, w.target, o); after.ResourceVersion != got.ResourceVersion || c.name != "the function deleted" && got.ResourceVersion != before.ResourceVersion {
				t.Errorf("it was %v, and is %v", before.Body["spec"], got.Body["spec"])
			}
		})
	}
}

func TestEveryTamperIsFoundAndPutBack(t *testing.T) {
	w, _ := fake(t, nil)
	testTampers(t, w)
}

// The healer's own way: what it does not desire it removes by patches, and it
// learns what the platform fills in.
func TestTheHealerPutsEveryTamperBackAndLeavesTheRest(t *testing.T) {
	w, _ := fake(t, nil)
	reports := make(chan heal.Report, 1000)
	h, err := heal.New(heal.Config{Target: w.target, Source: source, Report: func(r heal.Report) { reports <- r }, FightHeals: 1000})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	all := victims(t, w)
	for _, name := range []string{onRole, onFunction, onImage, onPublic} {
		if err := h.Desire(all[name]); err != nil {
			t.Fatal(err)
		}
		h.Applied(all[name], put(t, w.target, all[name]))
	}
	for _, c := range tampers {
		t.Run(c.name, func(t *testing.T) {
			o := all[c.on]
			before := get(t, w.target, o)
			strike(t, w, c)
			// A tamper of several steps may be healed in several, too: what is
			// said of it is not left to the next one.
			defer func() {
				healed(t, "at rest", h.Idle)
				for len(reports) > 0 {
					if r := <-reports; r.Code != verdict.DriftHealed || r.ID != o.ID {
						t.Errorf("reported %s about %s: %+v", r.Code, r.ID, r.Changes)
					}
				}
			}()
			deadline := time.After(2 * time.Minute)
			for {
				var r heal.Report
				select {
				case r = <-reports:
				case <-deadline:
					t.Fatal("it was not healed")
				}
				if r.Code == verdict.DriftStuck {
					t.Fatalf("stuck: %v", r.Err)
				}
				if r.Code != verdict.DriftHealed || r.ID != o.ID {
					t.Errorf("reported %s about %s: %+v", r.Code, r.ID, r.Changes)
					continue
				}
				after, err := w.target.Get(t.Context(), o.ID, o.Version)
				if err == nil && after.ResourceVersion == before.ResourceVersion {
					return
				}
			}
		})
	}
}

func TestWhatThePlatformKeepsForItselfIsLeftAlone(t *testing.T) {
	w, server := fake(t, nil)
	all := victims(t, w)
	for _, name := range []string{onRole, onFunction} {
		put(t, w.target, all[name])
	}
	for name, c := range map[string]struct {
		on string
		do act
	}{
		"where it logs to": {onFunction, config(func(in *awslambda.UpdateFunctionConfigurationInput) {
			in.LoggingConfig = &types.LoggingConfig{LogGroup: aws.String("/shared"), LogFormat: types.LogFormatJson}
		})},
		"the time of the last change, and the revision": {onFunction, config(func(in *awslambda.UpdateFunctionConfigurationInput) { in.Timeout = aws.Int32(30) })},
		"the same code, deployed again": {onFunction, func(ctx context.Context, w *world) error {
			_, err := w.lambda.UpdateFunctionCode(ctx, &awslambda.UpdateFunctionCodeInput{FunctionName: fn, S3Bucket: aws.String("code"), S3Key: aws.String("captioner.zip"), S3ObjectVersion: aws.String("v1")})
			return err
		}},
		"a tag of the platform's": {onFunction, tagged(map[string]string{"aws:cloudformation:stack-name": "vision"})},
		"the network's lists in another order": {onFunction, config(func(in *awslambda.UpdateFunctionConfigurationInput) {
			in.VpcConfig = &types.VpcConfig{SubnetIds: []string{"subnet-2", "subnet-1"}, SecurityGroupIds: []string{"sg-1"}}
		})},
		"how often a failed call is tried": {onFunction, func(ctx context.Context, w *world) error {
			_, err := w.lambda.PutFunctionEventInvokeConfig(ctx, &awslambda.PutFunctionEventInvokeConfigInput{FunctionName: fn, MaximumRetryAttempts: aws.Int32(1)})
			return err
		}},
		"a version published of what Git says": {onFunction, publish},
		"SnapStart that is off": {onFunction, config(func(in *awslambda.UpdateFunctionConfigurationInput) {
			in.SnapStart = &types.SnapStart{ApplyOn: types.SnapStartApplyOnNone}
		})},
		"the same document in another layout": {onRole, func(ctx context.Context, w *world) error {
			_, err := w.iam.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: rn,
				PolicyDocument: aws.String("{\n \"Statement\": [{\"Action\": \"sts:AssumeRole\", \"Principal\": {\"Service\": \"lambda.amazonaws.com\"}, \"Effect\": \"Allow\"}],\n \"Version\": \"2012-10-17\"}")})
			return err
		}},
		"an update that is under way": {onFunction, func(ctx context.Context, w *world) error {
			server.Busy(1)
			defer server.Busy(0)
			return config(func(in *awslambda.UpdateFunctionConfigurationInput) { in.MemorySize = aws.Int32(512) })(ctx, w)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			o := all[c.on]
			before := get(t, w.target, o)
			server.Writes()
			if err := c.do(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			others := len(server.Writes())
			after := put(t, w.target, o)
			if after.ResourceVersion != before.ResourceVersion {
				t.Errorf("it counts as a change: %v, then %v", before.Body, after.Body)
			}
			if wrote := server.Writes(); others == 0 || len(wrote) > 0 {
				t.Errorf("applying wrote %v after %d of the other's", wrote, others)
			}
			// The update ends when somebody looks.
			if _, err := w.lambda.GetFunctionConfiguration(t.Context(), &awslambda.GetFunctionConfigurationInput{FunctionName: fn}); err != nil {
				t.Fatal(err)
			}
		})
	}
}
