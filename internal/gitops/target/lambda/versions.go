package lambda

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/apexlogic/apex/internal/gitops"
)

// A published version keeps the code and configuration that it was published
// with, and can be called by its number. One that runs what a revision of Git
// said is history, and stays; but a policy of its own would be a way in that Git
// does not have, and goes. One that runs anything else was made behind Git's
// back, and goes too.

// maxRevisions of one function are remembered by a process.
const maxRevisions = 10

// revisionsOf returns what revisions of Git have the function run.
func (t *Target) revisionsOf(ctx context.Context, id gitops.ID) ([]*function, error) {
	t.mu.Lock()
	all := slices.Clone(t.revisions[id])
	t.mu.Unlock()
	if t.opt.Revisions == nil {
		return all, nil
	}
	kept, err := t.opt.Revisions(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("find the revisions that are kept: %w: %w", err, errOdd)
	}
	for i := range kept {
		// One that could not be applied today vouches for no version.
		if h, err := wanted(&kept[i]); err == nil && h.function != nil && h.id == id {
			all = append(all, h.function)
		}
	}
	return all, nil
}

// runsAs says whether both run the same way, whatever code and as whatever role.
func (f *function) runsAs(g *function) bool {
	type part = [2]any
	return !slices.ContainsFunc([]part{
		{f.Runtime, g.Runtime}, {f.Handler, g.Handler}, {f.Layers, g.Layers}, {f.Environment, g.Environment}, {f.KMSKey, g.KMSKey},
		{f.TimeoutSeconds, g.TimeoutSeconds}, {f.MemoryMiB, g.MemoryMiB}, {f.StorageMiB, g.StorageMiB}, {f.VPC, g.VPC}, {f.Tracing, g.Tracing},
		{f.Architecture, g.Architecture}, {f.ImageConfig, g.ImageConfig}, {f.DeadLetter, g.DeadLetter}, {f.FileSystems, g.FileSystems}, {f.SnapStart, g.SnapStart},
	}, func(p part) bool { return !same(p[0], p[1]) })
}

func (f *function) codeAs(g *function) bool {
	return f.Role == g.Role && f.Image == g.Image && same(f.Code, g.Code)
}

// isRevision says whether a version is what a revision of Git has the function run.
func (t *Target) isRevision(ctx context.Context, v *types.FunctionConfiguration, f *function) bool {
	if v.Environment != nil && v.Environment.Error != nil {
		return false // it cannot be compared
	}
	is := &function{}
	configuration(is, v)
	arn, sum := aws.ToString(v.Role), aws.ToString(v.CodeSha256)
	if !is.runsAs(f) || arn != f.Role && t.roleAsWritten(arn, f.Role) != f.Role {
		return false
	}
	if f.Image != "" {
		return v.PackageType == types.PackageTypeImage && sum != "" && digestOf(f.Image) == "sha256:"+sum
	}
	return v.PackageType != types.PackageTypeImage && f.Code != nil && t.holds(ctx, f.Code.LambdaCode, sum, v.CodeSize)
}

// isLatest says whether a version is what runs without one: it adds nothing to it.
func isLatest(v, latest *types.FunctionConfiguration) bool {
	if latest == nil || v.Environment != nil && v.Environment.Error != nil {
		return false
	}
	a, b := &function{}, &function{}
	configuration(a, v)
	configuration(b, latest)
	return a.runsAs(b) && v.PackageType == latest.PackageType && aws.ToString(v.Role) == aws.ToString(latest.Role) &&
		aws.ToString(v.CodeSha256) != "" && aws.ToString(v.CodeSha256) == aws.ToString(latest.CodeSha256)
}

// readVersions reads which versions are not of Git, and the ways into those that are.
func (t *Target) readVersions(ctx context.Context, h *held) error {
	in := &lambda.ListVersionsByFunctionInput{FunctionName: aws.String(h.id.Name)}
	var latest *types.FunctionConfiguration
	var all []types.FunctionConfiguration
	for {
		out, err := t.lambda.ListVersionsByFunction(ctx, in)
		if err != nil {
			return failure("list the versions", err, false)
		}
		for i, v := range out.Versions {
			switch {
			case aws.ToString(v.Version) == "$LATEST":
				latest = &out.Versions[i]
			case len(all) == maxParts:
				return tooMany("versions")
			default:
				all = append(all, v)
			}
		}
		if aws.ToString(out.NextMarker) == "" {
			break
		}
		in.Marker = out.NextMarker
	}
	if len(all) == 0 {
		return nil
	}
	revisions, err := t.revisionsOf(ctx, h.id)
	if err != nil {
		return err
	}
	for i := range all {
		v, number := &all[i], aws.ToString(all[i].Version)
		if !isLatest(v, latest) && !slices.ContainsFunc(revisions, func(f *function) bool { return t.isRevision(ctx, v, f) }) {
			h.function.Versions = append(h.function.Versions, number)
			continue
		}
		ways, err := t.readPolicy(ctx, in.FunctionName, aws.String(number), h.arn+":"+number)
		if err != nil {
			return err
		}
		for _, p := range ways {
			h.function.Ways = append(h.function.Ways, way{Version: number, permission: p})
		}
	}
	slices.Sort(h.function.Versions)
	slices.SortFunc(h.function.Ways, func(a, b way) int { return strings.Compare(a.Version+" "+a.ID, b.Version+" "+b.ID) })
	return nil
}

// readPolicy reads the resource policy of the function, or of one version.
func (t *Target) readPolicy(ctx context.Context, name, version *string, arn string) ([]permission, error) {
	policy, err := t.lambda.GetPolicy(ctx, &lambda.GetPolicyInput{FunctionName: name, Qualifier: version})
	if notThere(err) {
		return nil, nil
	}
	if err != nil {
		return nil, failure("read the resource policy", err, true)
	}
	return statements(aws.ToString(policy.Policy), arn)
}

// cutVersions deletes published versions that are not of Git, and the ways into
// the others.
func (w *writer) cutVersions(ctx context.Context) error {
	for _, p := range w.now.function.Ways {
		if slices.ContainsFunc(w.want.function.Ways, func(q way) bool { return same(p, q) }) {
			continue
		}
		if err := w.do(ctx, "remove a permission of version "+p.Version, true, func() error {
			_, err := w.lambda.RemovePermission(ctx, &lambda.RemovePermissionInput{FunctionName: w.name, StatementId: aws.String(p.ID), Qualifier: aws.String(p.Version)})
			return gone(err)
		}); err != nil {
			return err
		}
	}
	for _, v := range w.now.function.Versions {
		if slices.Contains(w.want.function.Versions, v) {
			continue
		}
		if err := w.do(ctx, "delete version "+v, true, func() error {
			_, err := w.lambda.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: w.name, Qualifier: aws.String(v)})
			return gone(err)
		}); err != nil {
			return err
		}
	}
	return nil
}
