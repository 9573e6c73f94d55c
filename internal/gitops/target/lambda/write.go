package lambda

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"github.com/apexlogic/apex/internal/gitops"
)

// writeFunction does the difference: what opens the function to others is closed
// first, then it is put in order, then it is opened as far as Git says.
func (t *Target) writeFunction(ctx context.Context, now, want *held, pinned bool) (bool, error) {
	if now == nil {
		return true, t.create(ctx, want)
	}
	if (now.function.Image == "") != (want.function.Image == "") {
		return false, fmt.Errorf("a function of an archive cannot become one of an image, nor the reverse: %w", gitops.ErrInvalid)
	}
	w := writer{Target: t, now: now, want: want, name: aws.String(want.id.Name)}
	if pinned {
		w.revision = aws.String(now.revision)
	}
	// One thing that cannot be put right (an archive that is gone) is no reason to
	// leave the others as they are; but nothing is opened before all are.
	var failed error
	for _, step := range []func(context.Context) error{
		w.close, w.cutAliases, w.cutVersions, w.cutDestinations, w.revoke,
		w.code, w.configuration, w.tags, w.concurrency,
	} {
		err := step(ctx)
		switch {
		case err == nil:
		case failed == nil:
			failed = err
		default:
			failed = fmt.Errorf("%w; and %w", failed, err)
		}
		if errors.Is(err, gitops.ErrConflict) || ctx.Err() != nil {
			return w.wrote, failed // somebody else writes: look again
		}
	}
	if failed != nil {
		return w.wrote, failed
	}
	for _, step := range []func(context.Context) error{w.grant, w.open} {
		if err := step(ctx); err != nil {
			return w.wrote, err
		}
	}
	return w.wrote, nil
}

// writer makes one function what is wanted.
type writer struct {
	*Target
	now, want *held
	name      *string
	revision  *string // for the first write only: the next ones have moved it
	wrote     bool
}

// insist tries again while an update is under way, or while a new role is not
// known everywhere yet.
func (t *Target) insist(ctx context.Context, try func() error) error {
	pause := pauses{next: t.opt.Pause}
	for {
		err := try()
		var api smithy.APIError
		if !errors.As(err, &api) {
			return err
		}
		busy := api.ErrorCode() == "ResourceConflictException" && !strings.Contains(api.ErrorMessage(), "already exist")
		unknown := api.ErrorCode() == "InvalidParameterValueException" && strings.Contains(api.ErrorMessage(), "cannot be assumed")
		if !busy && !unknown || pause.wait(ctx) != nil {
			return err
		}
	}
}

// do makes one write.
func (w *writer) do(ctx context.Context, doing string, open bool, call func() error) error {
	w.wrote = true
	err := w.insist(ctx, call)
	w.revision = nil
	if err != nil {
		return failure(doing, err, open)
	}
	return nil
}

// gone takes the error away where what is to be removed is not there any more.
func gone(err error) error {
	if notThere(err) {
		return nil
	}
	return err
}

func (t *Target) create(ctx context.Context, want *held) error {
	f := want.function
	role, err := t.roleARN(ctx, want)
	if err != nil {
		return err
	}
	tags, err := want.allTags(nil)
	if err != nil {
		return err
	}
	in := &lambda.CreateFunctionInput{
		FunctionName: aws.String(want.id.Name), Role: aws.String(role), Tags: tags, Code: &types.FunctionCode{}, PackageType: types.PackageTypeZip,
		Architectures: []types.Architecture{types.Architecture(f.Architecture)}, Description: aws.String(f.Description),
		Timeout: aws.Int32(int32(f.TimeoutSeconds)), MemorySize: aws.Int32(int32(f.MemoryMiB)), EphemeralStorage: &types.EphemeralStorage{Size: aws.Int32(int32(f.StorageMiB))},
		Environment: &types.Environment{Variables: f.Environment}, Layers: f.Layers, TracingConfig: &types.TracingConfig{Mode: types.TracingMode(f.Tracing)},
	}
	if f.KMSKey != "" {
		in.KMSKeyArn = aws.String(f.KMSKey)
	}
	if f.VPC != nil {
		in.VpcConfig = &types.VpcConfig{SubnetIds: f.VPC.Subnets, SecurityGroupIds: f.VPC.SecurityGroups}
	}
	if f.Image != "" {
		in.PackageType, in.Code.ImageUri = types.PackageTypeImage, aws.String(f.Image)
	} else {
		if f.Code == nil || f.Code.Bucket == "" {
			return fmt.Errorf("there is no archive to make it from: %w", gitops.ErrInvalid)
		}
		in.Runtime, in.Handler = types.Runtime(f.Runtime), aws.String(f.Handler)
		in.Code.S3Bucket, in.Code.S3Key, in.Code.S3ObjectVersion = aws.String(f.Code.Bucket), aws.String(f.Code.Key), aws.String(f.Code.Version)
	}
	var out *lambda.CreateFunctionOutput
	if err := t.insist(ctx, func() (err error) { out, err = t.lambda.CreateFunction(ctx, in); return err }); err != nil {
		return failure("make the function", err, false)
	}
	if f.Code != nil {
		t.learn(f.Code.LambdaCode, aws.ToString(out.CodeSha256))
	}
	return t.updated(ctx, in.FunctionName)
}

// updated waits until the function is what was written last.
func (t *Target) updated(ctx context.Context, name *string) error {
	pause := pauses{next: t.opt.Pause}
	for {
		c, err := t.lambda.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: name})
		switch {
		case notThere(err): // not yet, there
		case err != nil:
			return failure("wait for the function", err, false)
		case c.State == types.StateFailed:
			return fmt.Errorf("the function cannot run (%.60s): %w", c.StateReasonCode, gitops.ErrInvalid)
		case c.LastUpdateStatus == types.LastUpdateStatusFailed:
			return fmt.Errorf("the update failed (%.60s): %w", c.LastUpdateStatusReasonCode, gitops.ErrInvalid)
		case c.State != types.StatePending && c.LastUpdateStatus != types.LastUpdateStatusInProgress:
			return nil
		}
		if err := pause.wait(ctx); err != nil {
			return fmt.Errorf("wait for the function: %w", err)
		}
	}
}

// roleARN returns the ARN of the role, which has to be of this account; one that
// is named has to be of the same source, and is waited for.
func (t *Target) roleARN(ctx context.Context, want *held) (string, error) {
	name := want.function.Role
	if strings.HasPrefix(name, "arn:") {
		parts := strings.SplitN(name, ":", 6)
		if len(parts) != 6 || parts[2] != "iam" || parts[4] != t.opt.Account || !strings.HasPrefix(parts[5], "role/") {
			return "", fmt.Errorf("%.120q is no role of account %s: %w", name, t.opt.Account, gitops.ErrForbidden)
		}
		return name, nil
	}
	id := gitops.ID{Group: gitops.LambdaGroup, Kind: gitops.LambdaRoleKind, Name: name}
	if err := check(id, gitops.LambdaVersion); err != nil {
		return "", err
	}
	pause := pauses{next: t.opt.Pause}
	waiting, cancel := context.WithTimeout(ctx, t.opt.Settle)
	defer cancel()
	for {
		r, err := t.getRole(ctx, name)
		if err == nil {
			if err := t.mayWrite(r, id, want.source); err != nil {
				return "", fmt.Errorf("the function may only run as a role of its own source: %w", err)
			}
			return r.arn, nil
		}
		if !errors.Is(err, gitops.ErrNotFound) {
			return "", err
		}
		if pause.wait(waiting) != nil {
			return "", fmt.Errorf("the role %s that it runs as is not there: apply it first: %w", name, gitops.ErrInvalid)
		}
	}
}

// allTags are those of Git with ours.
func (h *held) allTags(now *held) (map[string]string, error) {
	tags := map[string]string{gitops.LabelSource: h.source}
	if h.role != nil {
		maps.Copy(tags, h.role.Tags)
		return tags, nil
	}
	f := h.function
	maps.Copy(tags, f.Tags)
	if !strings.HasPrefix(f.Role, "arn:") {
		tags[tagRole] = f.Role
	}
	switch {
	case f.Code == nil:
	case f.Code.SHA256 != "":
		if now != nil && now.tags[tagCode] != "" {
			tags[tagCode] = now.tags[tagCode]
		}
	default:
		tag, err := codeTag(f.Code.LambdaCode)
		if err != nil {
			return nil, err
		}
		tags[tagCode] = tag
	}
	return tags, nil
}

// retag returns what is to be set, and what is to be taken away.
func retag(now, want map[string]string) (set map[string]string, drop []string) {
	set = map[string]string{}
	for k, v := range want {
		if have, ok := now[k]; !ok || have != v {
			set[k] = v
		}
	}
	for _, k := range slices.Sorted(maps.Keys(now)) {
		if _, ok := want[k]; !ok && !strings.HasPrefix(k, platform) {
			drop = append(drop, k)
		}
	}
	return set, drop
}

// code deploys what runs.
func (w *writer) code(ctx context.Context) error {
	now, want := w.now.function, w.want.function
	if now.Image == want.Image && same(now.Code, want.Code) && now.Architecture == want.Architecture {
		return nil
	}
	in := &lambda.UpdateFunctionCodeInput{FunctionName: w.name, Architectures: []types.Architecture{types.Architecture(want.Architecture)}, RevisionId: w.revision}
	switch {
	case want.Image != "":
		in.ImageUri = aws.String(want.Image)
	case want.Code != nil && want.Code.Bucket != "":
		in.S3Bucket, in.S3Key, in.S3ObjectVersion = aws.String(want.Code.Bucket), aws.String(want.Code.Key), aws.String(want.Code.Version)
	default:
		return fmt.Errorf("there is no archive to deploy: %w", gitops.ErrInvalid)
	}
	var out *lambda.UpdateFunctionCodeOutput
	if err := w.do(ctx, "deploy the code", true, func() (err error) { out, err = w.lambda.UpdateFunctionCode(ctx, in); return err }); err != nil {
		return err
	}
	if want.Code != nil {
		w.learn(want.Code.LambdaCode, aws.ToString(out.CodeSha256))
	}
	return w.updated(ctx, w.name)
}

// configuration writes all of it when any of it differs.
func (w *writer) configuration(ctx context.Context) error {
	now, want := w.now.function, w.want.function
	type part = [2]any
	if !slices.ContainsFunc([]part{
		{now.Runtime, want.Runtime}, {now.Handler, want.Handler}, {now.Layers, want.Layers}, {now.Role, want.Role}, {now.Environment, want.Environment},
		{now.KMSKey, want.KMSKey}, {now.TimeoutSeconds, want.TimeoutSeconds}, {now.MemoryMiB, want.MemoryMiB}, {now.StorageMiB, want.StorageMiB},
		{now.VPC, want.VPC}, {now.Tracing, want.Tracing}, {now.Description, want.Description}, {now.ImageConfig, want.ImageConfig},
		{now.DeadLetter, want.DeadLetter}, {now.FileSystems, want.FileSystems}, {now.SnapStart, want.SnapStart},
	}, func(p part) bool { return !same(p[0], p[1]) }) {
		return nil
	}
	role, err := w.roleARN(ctx, w.want)
	if err != nil {
		return err
	}
	variables := want.Environment
	if variables == nil {
		variables = map[string]string{}
	}
	in := &lambda.UpdateFunctionConfigurationInput{
		FunctionName: w.name, RevisionId: w.revision, Role: aws.String(role), Environment: &types.Environment{Variables: variables},
		KMSKeyArn: aws.String(want.KMSKey), Timeout: aws.Int32(int32(want.TimeoutSeconds)), MemorySize: aws.Int32(int32(want.MemoryMiB)),
		EphemeralStorage: &types.EphemeralStorage{Size: aws.Int32(int32(want.StorageMiB))}, TracingConfig: &types.TracingConfig{Mode: types.TracingMode(want.Tracing)},
		Description: aws.String(want.Description), DeadLetterConfig: &types.DeadLetterConfig{TargetArn: aws.String(want.DeadLetter)},
		FileSystemConfigs: []types.FileSystemConfig{}, VpcConfig: &types.VpcConfig{SubnetIds: []string{}, SecurityGroupIds: []string{}},
	}
	for _, fs := range want.FileSystems {
		arn, path, _ := strings.Cut(fs, " ")
		in.FileSystemConfigs = append(in.FileSystemConfigs, types.FileSystemConfig{Arn: aws.String(arn), LocalMountPath: aws.String(path)})
	}
	if want.VPC != nil {
		in.VpcConfig = &types.VpcConfig{SubnetIds: want.VPC.Subnets, SecurityGroupIds: want.VPC.SecurityGroups}
	}
	if now.SnapStart != want.SnapStart {
		in.SnapStart = &types.SnapStart{ApplyOn: types.SnapStartApplyOnNone}
		if want.SnapStart != "" {
			in.SnapStart.ApplyOn = types.SnapStartApplyOn(want.SnapStart)
		}
	}
	if want.Image != "" {
		in.ImageConfig = &types.ImageConfig{}
		if i := want.ImageConfig; i != nil {
			in.ImageConfig = &types.ImageConfig{Command: i.Command, EntryPoint: i.EntryPoint, WorkingDirectory: aws.String(i.Directory)}
		}
	} else {
		in.Layers = append([]string{}, want.Layers...)
		if want.Runtime != "" {
			in.Runtime = types.Runtime(want.Runtime)
		}
		if want.Handler != "" {
			in.Handler = aws.String(want.Handler)
		}
	}
	if err := w.do(ctx, "change the configuration", false, func() error { _, err := w.lambda.UpdateFunctionConfiguration(ctx, in); return err }); err != nil {
		return err
	}
	return w.updated(ctx, w.name)
}

func (w *writer) tags(ctx context.Context) error {
	all, err := w.want.allTags(w.now)
	if err != nil {
		return err
	}
	set, drop := retag(w.now.tags, all)
	if len(set) > 0 {
		if err := w.do(ctx, "tag the function", true, func() error {
			_, err := w.lambda.TagResource(ctx, &lambda.TagResourceInput{Resource: aws.String(w.now.arn), Tags: set})
			return err
		}); err != nil {
			return err
		}
	}
	if len(drop) > 0 {
		return w.do(ctx, "take tags away", true, func() error {
			_, err := w.lambda.UntagResource(ctx, &lambda.UntagResourceInput{Resource: aws.String(w.now.arn), TagKeys: drop})
			return err
		})
	}
	return nil
}

func (w *writer) concurrency(ctx context.Context) error {
	now, want := w.now.function.ReservedConcurrency, w.want.function.ReservedConcurrency
	switch {
	case same(now, want):
		return nil
	case want == nil:
		return w.do(ctx, "give the reserved concurrency back", true, func() error {
			_, err := w.lambda.DeleteFunctionConcurrency(ctx, &lambda.DeleteFunctionConcurrencyInput{FunctionName: w.name})
			return gone(err)
		})
	}
	return w.do(ctx, "reserve concurrency", true, func() error {
		_, err := w.lambda.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{FunctionName: w.name, ReservedConcurrentExecutions: aws.Int32(int32(*want))})
		return err
	})
}

// deleteFunction closes the function, then deletes it: the reverse of making it.
func (t *Target) deleteFunction(ctx context.Context, now *held) error {
	w := writer{Target: t, now: now, want: &held{id: now.id, source: now.source, function: &function{}}, name: aws.String(now.id.Name)}
	for _, step := range []func(context.Context) error{w.close, w.cutAliases, w.revoke} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return w.do(ctx, "delete the function", true, func() error {
		_, err := t.lambda.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: w.name})
		return gone(err)
	})
}
