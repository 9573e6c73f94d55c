package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/apexlogic/apex/internal/gitops"
)

// foreign says whether the object is of no interest to the source.
func (t *Target) foreign(h *held, source string) bool {
	return source != "" && h.source != source && t.sourceSeen(h.id) != source && (t.opt.Owned == nil || !t.opt.Owned(h.id))
}

// readFunction describes a function in six calls, and one more for each alias; in
// one when it is not the source's.
func (t *Target) readFunction(ctx context.Context, id gitops.ID, source string) (*held, error) {
	name := aws.String(id.Name)
	out, err := t.lambda.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: name})
	if err != nil {
		return nil, failure("describe the function", err, false)
	}
	c := out.Configuration
	if c == nil {
		return nil, fmt.Errorf("describe the function: AWS answered without its configuration: %w", errOdd)
	}
	arn := aws.ToString(c.FunctionArn)
	if !t.isOurs(arn, "lambda", "function:"+id.Name) {
		return nil, fmt.Errorf("AWS answered about %.120q, which is not in account %s and region %s: %w", arn, t.opt.Account, t.opt.Region, gitops.ErrForbidden)
	}
	if out.TagsError != nil {
		return nil, fmt.Errorf("the tags cannot be read (%.60s): allow lambda:ListTags: %w", aws.ToString(out.TagsError.ErrorCode), gitops.ErrForbidden)
	}
	f := &function{}
	h := &held{id: id, uid: arn, arn: arn, tags: out.Tags, source: out.Tags[gitops.LabelSource], revision: aws.ToString(c.RevisionId), function: f}
	if t.foreign(h, source) {
		return h, nil
	}
	if c.Environment != nil && c.Environment.Error != nil {
		return nil, fmt.Errorf("the environment cannot be read (%.60s): allow kms:Decrypt with the function's key: %w", aws.ToString(c.Environment.Error.ErrorCode), gitops.ErrForbidden)
	}
	f.Role = t.roleAsWritten(aws.ToString(c.Role), out.Tags[tagRole])
	f.Tags = foreignTags(out.Tags)
	configuration(f, c)
	if out.Concurrency != nil && out.Concurrency.ReservedConcurrentExecutions != nil {
		n := int(*out.Concurrency.ReservedConcurrentExecutions)
		f.ReservedConcurrency = &n
	}
	if err := t.readCode(ctx, h, out); err != nil {
		return nil, err
	}
	return h, t.readWays(ctx, h)
}

// isOurs says whether the ARN is of the account and region, and of that resource.
func (t *Target) isOurs(arn, service, resource string) bool {
	parts := strings.SplitN(arn, ":", 6)
	region := t.opt.Region
	if service == "iam" {
		region = ""
	}
	return len(parts) == 6 && parts[0] == "arn" && parts[2] == service && parts[3] == region && parts[4] == t.opt.Account && parts[5] == resource
}

// roleAsWritten returns the role's name where the tag says that Git writes it so
// and it is that role, else the ARN.
func (t *Target) roleAsWritten(arn, tag string) string {
	if tag != "" && !strings.Contains(tag, "/") && strings.Contains(arn, ":iam::"+t.opt.Account+":role/") && strings.HasSuffix(arn, "/"+tag) {
		return tag
	}
	return arn
}

// configuration copies what is compared.
func configuration(f *function, c *types.FunctionConfiguration) {
	f.Runtime, f.Handler, f.Description = string(c.Runtime), aws.ToString(c.Handler), aws.ToString(c.Description)
	f.KMSKey = aws.ToString(c.KMSKeyArn)
	f.TimeoutSeconds, f.MemoryMiB, f.StorageMiB = int(aws.ToInt32(c.Timeout)), int(aws.ToInt32(c.MemorySize)), defaultStorage
	if c.EphemeralStorage != nil {
		f.StorageMiB = int(aws.ToInt32(c.EphemeralStorage.Size))
	}
	f.Architecture, f.Tracing = defaultArch, defaultTracing
	if len(c.Architectures) > 0 {
		f.Architecture = string(c.Architectures[0])
	}
	if c.TracingConfig != nil && c.TracingConfig.Mode != "" {
		f.Tracing = string(c.TracingConfig.Mode)
	}
	if c.Environment != nil {
		f.Environment = c.Environment.Variables
	}
	for _, l := range c.Layers {
		f.Layers = append(f.Layers, aws.ToString(l.Arn))
	}
	if v := c.VpcConfig; v != nil && len(v.SubnetIds)+len(v.SecurityGroupIds) > 0 {
		f.VPC = &gitops.LambdaVPC{Subnets: slices.Sorted(slices.Values(v.SubnetIds)), SecurityGroups: slices.Sorted(slices.Values(v.SecurityGroupIds))}
	}
	if c.DeadLetterConfig != nil {
		f.DeadLetter = aws.ToString(c.DeadLetterConfig.TargetArn)
	}
	for _, fs := range c.FileSystemConfigs {
		f.FileSystems = append(f.FileSystems, aws.ToString(fs.Arn)+" "+aws.ToString(fs.LocalMountPath))
	}
	if s := c.SnapStart; s != nil && s.ApplyOn != "" && s.ApplyOn != types.SnapStartApplyOnNone {
		f.SnapStart = string(s.ApplyOn)
	}
	if r := c.ImageConfigResponse; r != nil && r.ImageConfig != nil {
		i := imageConfig{r.ImageConfig.Command, r.ImageConfig.EntryPoint, aws.ToString(r.ImageConfig.WorkingDirectory)}
		if len(i.Command)+len(i.EntryPoint) > 0 || i.Directory != "" {
			f.ImageConfig = &i
		}
	}
}

// readWays reads the ways into the function and out of it that stand beside its
// configuration: five calls, none of which waits for another.
func (t *Target) readWays(ctx context.Context, h *held) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f, name := h.function, aws.String(h.id.Name)
	var all sync.WaitGroup
	for _, read := range []func() error{
		func() (err error) { f.Permissions, err = t.readPolicy(ctx, name, nil, h.arn); return err },
		func() (err error) { f.URL, err = t.readURL(ctx, name, nil); return err },
		func() error { return t.readAliases(ctx, h) },
		func() error { return t.readVersions(ctx, h) },
		func() error { return t.readDestinations(ctx, h) },
	} {
		all.Go(func() {
			if err := read(); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	f.fold()
	return context.Cause(ctx)
}

func (t *Target) readURL(ctx context.Context, name, alias *string) (*address, error) {
	url, err := t.lambda.GetFunctionUrlConfig(ctx, &lambda.GetFunctionUrlConfigInput{FunctionName: name, Qualifier: alias})
	if notThere(err) {
		return nil, nil
	}
	if err != nil {
		return nil, failure("read the function URL", err, true)
	}
	a := &address{LambdaURL: gitops.LambdaURL{Auth: string(url.AuthType)}}
	if m := string(url.InvokeMode); m != "" && !strings.EqualFold(m, string(types.InvokeModeBuffered)) {
		a.Mode = string(url.InvokeMode)
	}
	if c := url.Cors; c != nil && (len(c.AllowOrigins)+len(c.AllowHeaders)+len(c.AllowMethods)+len(c.ExposeHeaders) > 0 || aws.ToBool(c.AllowCredentials) || aws.ToInt32(c.MaxAge) != 0) {
		if a.CORS, err = json.Marshal(c); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// tooMany is the error of a list that is longer than is read: what is beyond
// could not be compared.
func tooMany(of string) error {
	return fmt.Errorf("there are more than %d %s: delete those that nobody needs: %w", maxParts, of, errOdd)
}

func (t *Target) readAliases(ctx context.Context, h *held) error {
	in := &lambda.ListAliasesInput{FunctionName: aws.String(h.id.Name)}
	for {
		out, err := t.lambda.ListAliases(ctx, in)
		if err != nil {
			return failure("list the aliases", err, true)
		}
		for _, a := range out.Aliases {
			if len(h.function.Aliases) == maxParts {
				return tooMany("aliases")
			}
			found := alias{Name: aws.ToString(a.Name), Version: aws.ToString(a.FunctionVersion)}
			if a.RoutingConfig != nil {
				found.Weights = a.RoutingConfig.AdditionalVersionWeights
			}
			url, err := t.readURL(ctx, in.FunctionName, a.Name)
			if err != nil {
				return err
			}
			if url != nil {
				found.URL = url.Auth
			}
			h.function.Aliases = append(h.function.Aliases, found)
		}
		if aws.ToString(out.NextMarker) == "" {
			slices.SortFunc(h.function.Aliases, func(a, b alias) int { return strings.Compare(a.Name, b.Name) })
			return nil
		}
		in.Marker = out.NextMarker
	}
}

// readDestinations reads where results of asynchronous calls are sent: an
// address that was added there gets them all.
func (t *Target) readDestinations(ctx context.Context, h *held) error {
	in := &lambda.ListFunctionEventInvokeConfigsInput{FunctionName: aws.String(h.id.Name)}
	for {
		out, err := t.lambda.ListFunctionEventInvokeConfigs(ctx, in)
		if notThere(err) {
			return nil
		}
		if err != nil {
			return failure("list the destinations", err, true)
		}
		for _, c := range out.FunctionEventInvokeConfigs {
			if len(h.function.Destinations) >= maxParts {
				return tooMany("destinations")
			}
			qualifier := strings.TrimPrefix(strings.TrimPrefix(aws.ToString(c.FunctionArn), h.arn), ":")
			if qualifier == "" {
				qualifier = "$LATEST"
			}
			if d := c.DestinationConfig; d != nil {
				if d.OnSuccess != nil && aws.ToString(d.OnSuccess.Destination) != "" {
					h.function.Destinations = append(h.function.Destinations, qualifier+" success "+*d.OnSuccess.Destination)
				}
				if d.OnFailure != nil && aws.ToString(d.OnFailure.Destination) != "" {
					h.function.Destinations = append(h.function.Destinations, qualifier+" failure "+*d.OnFailure.Destination)
				}
			}
		}
		if aws.ToString(out.NextMarker) == "" {
			slices.Sort(h.function.Destinations)
			return nil
		}
		in.Marker = out.NextMarker
	}
}
