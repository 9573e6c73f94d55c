package lambda_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/target/lambda"
	"github.com/apexlogic/apex/internal/gitops/target/lambda/lambdatest"
	"github.com/apexlogic/apex/internal/gitops/targettest"
	"github.com/apexlogic/apex/verdict"
)

// mapped shows functions as ConfigMaps, whose data is the environment, so that
// the cases that all targets share can be asked of this one.
type mapped struct{ *lambda.Target }

const mappedRole = "arn:aws:iam::" + lambdatest.Account + ":role/mapped"

func toFunction(id gitops.ID) gitops.ID {
	if id.Kind == "ConfigMap" {
		return gitops.ID{Group: gitops.LambdaGroup, Kind: gitops.LambdaFunctionKind, Name: id.Namespace + "--" + id.Name}
	}
	return id
}

func toConfigMap(id gitops.ID) gitops.ID {
	namespace, name, _ := strings.Cut(id.Name, "--")
	return gitops.ID{Kind: "ConfigMap", Namespace: namespace, Name: name}
}

func (m mapped) live(id gitops.ID, live *gitops.Live, err error) (*gitops.Live, error) {
	if err != nil {
		return nil, err
	}
	meta := live.Body["metadata"].(map[string]any)
	meta["name"], meta["namespace"] = id.Name, id.Namespace
	live.Body["apiVersion"], live.Body["kind"] = "v1", "ConfigMap"
	if env := live.Body["spec"].(map[string]any)["environment"]; env != nil {
		live.Body["data"] = env
	}
	delete(live.Body, "spec")
	return live, nil
}

func (m mapped) Get(ctx context.Context, id gitops.ID, _ string) (*gitops.Live, error) {
	live, err := m.Target.Get(ctx, toFunction(id), gitops.LambdaVersion)
	return m.live(id, live, err)
}

func (m mapped) Apply(ctx context.Context, o *gitops.Object, opt gitops.ApplyOptions) (*gitops.Live, error) {
	data, _ := o.Body["data"].(map[string]any)
	env := map[string]string{}
	for k, v := range data {
		env[k] = v.(string)
	}
	f, err := gitops.LambdaFunction{Image: "r/app" + digest, Role: mappedRole, Environment: env}.Object(toFunction(o.ID).Name, verdict.Origin{})
	if err != nil {
		return nil, err
	}
	if f, err = gitops.Labelled(f, gitops.SourceOf(o.Body)); err != nil {
		return nil, err
	}
	live, err := m.Target.Apply(ctx, &f, opt)
	return m.live(o.ID, live, err)
}

func (m mapped) Patch(ctx context.Context, id gitops.ID, _ string, patch []byte) (*gitops.Live, error) {
	patch = bytes.ReplaceAll(patch, []byte(`"/data/`), []byte(`"/spec/environment/`))
	live, err := m.Target.Patch(ctx, toFunction(id), gitops.LambdaVersion, patch)
	return m.live(id, live, err)
}

func (m mapped) Delete(ctx context.Context, id gitops.ID, _ string, only gitops.Precondition) error {
	return m.Target.Delete(ctx, toFunction(id), gitops.LambdaVersion, only)
}

func (m mapped) Healthy(ctx context.Context, o *gitops.Object) (bool, string, error) {
	f := *o
	f.ID, f.Version = toFunction(o.ID), gitops.LambdaVersion
	return m.Target.Healthy(ctx, &f)
}

func (m mapped) List(ctx context.Context, _ gitops.Kind, each func(gitops.Held)) error {
	return m.Target.List(ctx, gitops.Kind{Group: gitops.LambdaGroup, Version: gitops.LambdaVersion, Kind: gitops.LambdaFunctionKind}, func(h gitops.Held) {
		h.ID = toConfigMap(h.ID)
		each(h)
	})
}

func (m mapped) Watch(ctx context.Context, source string, kinds []gitops.Kind, each func(gitops.Event)) error {
	for i, k := range kinds {
		if k.Kind == "ConfigMap" {
			kinds[i] = gitops.Kind{Group: gitops.LambdaGroup, Version: gitops.LambdaVersion, Kind: gitops.LambdaFunctionKind}
		}
	}
	return m.Target.Watch(ctx, source, kinds, func(e gitops.Event) {
		if e.Kind != gitops.Synced {
			e.ID = toConfigMap(e.ID)
		}
		each(e)
	})
}

func TestItDoesWhatEveryTargetDoes(t *testing.T) {
	targettest.Target(t, func(t *testing.T) targettest.Harness {
		w, _ := fake(t, nil)
		role(t, w, "mapped")
		m := mapped{w.target}
		arn := func(id gitops.ID) *string {
			return aws.String("arn:aws:lambda:" + lambdatest.Region + ":" + lambdatest.Account + ":function:" + toFunction(id).Name)
		}
		return targettest.Harness{Target: m, Namespace: "shop", StableUID: true,
			Write: func(t testing.TB, id gitops.ID, _ string, change func(map[string]any)) {
				t.Helper()
				live, err := m.Get(t.Context(), id, "v1")
				if err != nil {
					t.Fatal(err)
				}
				was := gitops.SourceOf(live.Body)
				change(live.Body)
				data, _ := live.Body["data"].(map[string]any)
				env := map[string]string{}
				for k, v := range data {
					env[k] = v.(string)
				}
				name := aws.String(toFunction(id).Name)
				if _, err := w.lambda.UpdateFunctionConfiguration(t.Context(), &awslambda.UpdateFunctionConfigurationInput{FunctionName: name, Environment: &types.Environment{Variables: env}}); err != nil {
					t.Fatal(err)
				}
				switch now := gitops.SourceOf(live.Body); {
				case now == was:
				case now == "":
					_, err = w.lambda.UntagResource(t.Context(), &awslambda.UntagResourceInput{Resource: arn(id), TagKeys: []string{gitops.LabelSource}})
				default:
					_, err = w.lambda.TagResource(t.Context(), &awslambda.TagResourceInput{Resource: arn(id), Tags: map[string]string{gitops.LabelSource: now}})
				}
				if err != nil {
					t.Fatal(err)
				}
			},
			Remove: func(t testing.TB, id gitops.ID) {
				t.Helper()
				if _, err := w.lambda.DeleteFunction(t.Context(), &awslambda.DeleteFunctionInput{FunctionName: aws.String(toFunction(id).Name)}); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}
