package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/apexlogic/apex/internal/gitops"
)

// getRole reads a role without its policies.
func (t *Target) getRole(ctx context.Context, name string) (*held, error) {
	out, err := t.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String(name)})
	if err != nil {
		return nil, failure("describe the role", err, true)
	}
	r := out.Role
	if r == nil {
		return nil, fmt.Errorf("describe the role: AWS answered without it: %w", errOdd)
	}
	path, arn := aws.ToString(r.Path), aws.ToString(r.Arn)
	if path == "" {
		path = "/"
	}
	if !t.isOurs(arn, "iam", "role"+path+name) {
		return nil, fmt.Errorf("AWS answered about %.120q, which is not in account %s: %w", arn, t.opt.Account, gitops.ErrForbidden)
	}
	trust, err := document(aws.ToString(r.AssumeRolePolicyDocument))
	if err != nil {
		return nil, err
	}
	h := &held{id: gitops.ID{Group: gitops.LambdaGroup, Kind: gitops.LambdaRoleKind, Name: name}, uid: aws.ToString(r.RoleId), arn: arn, tags: map[string]string{}}
	for _, tag := range r.Tags {
		h.tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	h.source = h.tags[gitops.LabelSource]
	h.role = &role{LambdaRole: gitops.LambdaRole{Trust: trust, Path: path}, Tags: foreignTags(h.tags)}
	if b := r.PermissionsBoundary; b != nil {
		h.role.Boundary = aws.ToString(b.PermissionsBoundaryArn)
	}
	if n := int(aws.ToInt32(r.MaxSessionDuration)); n != 0 && n != defaultSession {
		h.role.SessionSeconds = n
	}
	return h, nil
}

// maxDocument bounds a policy document; AWS's limit for a role's is 10 KB.
const maxDocument = 256 << 10

// document reads a policy document as IAM sends it: URL-encoded JSON (RFC 3986).
func document(text string) (json.RawMessage, error) {
	if len(text) > maxDocument {
		return nil, fmt.Errorf("a policy document has %d bytes: %d are read: %w", len(text), maxDocument, errOdd)
	}
	plain, err := url.PathUnescape(text)
	if err != nil || !json.Valid([]byte(plain)) {
		return nil, fmt.Errorf("AWS sent a policy document that is no JSON: %w", errOdd)
	}
	return json.RawMessage(plain), nil
}

// readRole describes a role in three calls, and one more for each inline policy.
func (t *Target) readRole(ctx context.Context, id gitops.ID, source string) (*held, error) {
	h, err := t.getRole(ctx, id.Name)
	if err != nil {
		return nil, err
	}
	if t.foreign(h, source) {
		return h, nil
	}
	name := aws.String(id.Name)
	inline := iam.NewListRolePoliciesPaginator(t.iam, &iam.ListRolePoliciesInput{RoleName: name})
	for inline.HasMorePages() {
		page, err := inline.NextPage(ctx)
		if err != nil {
			return nil, failure("list the role's policies", err, true)
		}
		for _, policy := range page.PolicyNames {
			if len(h.role.Inline) == maxParts {
				return nil, tooMany("policies in the role")
			}
			out, err := t.iam.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: name, PolicyName: aws.String(policy)})
			if notThere(err) {
				continue // taken away meanwhile
			}
			if err != nil {
				return nil, failure("read a policy of the role", err, true)
			}
			text, err := document(aws.ToString(out.PolicyDocument))
			if err != nil {
				return nil, err
			}
			if h.role.Inline == nil {
				h.role.Inline = map[string]json.RawMessage{}
			}
			h.role.Inline[policy] = text
		}
	}
	attached := iam.NewListAttachedRolePoliciesPaginator(t.iam, &iam.ListAttachedRolePoliciesInput{RoleName: name})
	for attached.HasMorePages() {
		page, err := attached.NextPage(ctx)
		if err != nil {
			return nil, failure("list the attached policies", err, true)
		}
		for _, p := range page.AttachedPolicies {
			if len(h.role.Managed) == maxParts {
				return nil, tooMany("policies attached to the role")
			}
			h.role.Managed = append(h.role.Managed, aws.ToString(p.PolicyArn))
		}
	}
	slices.Sort(h.role.Managed)
	return h, nil
}

// writeRole does the difference: rights that Git does not give go first, and the
// boundary comes before those that it bounds.
func (t *Target) writeRole(ctx context.Context, now, want *held) (bool, error) {
	if now == nil {
		return true, t.createRole(ctx, want)
	}
	if now.role.Path != want.role.Path {
		return false, fmt.Errorf("the path of a role cannot be changed: %w", gitops.ErrInvalid)
	}
	w := roleWriter{Target: t, now: now, want: want, name: aws.String(want.id.Name)}
	for _, step := range []func(context.Context) error{w.trust, w.boundary, w.detach, w.drop, w.put, w.attach, w.tags} {
		if err := step(ctx); err != nil {
			return w.wrote, err
		}
	}
	return w.wrote, nil
}

type roleWriter struct {
	*Target
	now, want *held
	name      *string
	wrote     bool
}

func (w *roleWriter) do(doing string, call func() error) error {
	w.wrote = true
	if err := gone(call()); err != nil {
		return failure(doing, err, true)
	}
	return nil
}

func (t *Target) createRole(ctx context.Context, want *held) error {
	r := want.role
	in := &iam.CreateRoleInput{RoleName: aws.String(want.id.Name), Path: aws.String(r.Path), AssumeRolePolicyDocument: aws.String(string(r.Trust)),
		Tags: iamTags(map[string]string{gitops.LabelSource: want.source})}
	if r.Boundary != "" {
		in.PermissionsBoundary = aws.String(r.Boundary)
	}
	if _, err := t.iam.CreateRole(ctx, in); err != nil {
		return failure("make the role", err, true)
	}
	return nil // its policies come with the next round
}

func (w *roleWriter) trust(ctx context.Context) error {
	if !same(w.now.role.Trust, w.want.role.Trust) {
		if err := w.do("write who may assume the role", func() error {
			_, err := w.iam.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: w.name, PolicyDocument: aws.String(string(w.want.role.Trust))})
			return err
		}); err != nil {
			return err
		}
	}
	if w.now.role.SessionSeconds == w.want.role.SessionSeconds {
		return nil
	}
	return w.do("write how long a session lasts", func() error {
		_, err := w.iam.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: w.name, MaxSessionDuration: aws.Int32(int32(or(w.want.role.SessionSeconds, defaultSession)))})
		return err
	})
}

func (w *roleWriter) boundary(ctx context.Context) error {
	switch want := w.want.role.Boundary; {
	case w.now.role.Boundary == want:
		return nil
	case want == "":
		return w.do("take the boundary away", func() error {
			_, err := w.iam.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: w.name})
			return err
		})
	default:
		return w.do("set the boundary", func() error {
			_, err := w.iam.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: w.name, PermissionsBoundary: aws.String(want)})
			return err
		})
	}
}

func (w *roleWriter) detach(ctx context.Context) error {
	for _, arn := range w.now.role.Managed {
		if slices.Contains(w.want.role.Managed, arn) {
			continue
		}
		if err := w.do("detach "+arn, func() error {
			_, err := w.iam.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: w.name, PolicyArn: aws.String(arn)})
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

func (w *roleWriter) drop(ctx context.Context) error {
	for policy := range w.now.role.Inline {
		if _, ok := w.want.role.Inline[policy]; ok {
			continue
		}
		if err := w.do("delete a policy of the role", func() error {
			_, err := w.iam.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: w.name, PolicyName: aws.String(policy)})
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

func (w *roleWriter) put(ctx context.Context) error {
	for policy, text := range w.want.role.Inline {
		if have, ok := w.now.role.Inline[policy]; ok && same(have, text) {
			continue
		}
		if err := w.do("write a policy of the role", func() error {
			_, err := w.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: w.name, PolicyName: aws.String(policy), PolicyDocument: aws.String(string(text))})
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

func (w *roleWriter) attach(ctx context.Context) error {
	for _, arn := range w.want.role.Managed {
		if slices.Contains(w.now.role.Managed, arn) {
			continue
		}
		w.wrote = true // unlike with the others, that it is not there is an error
		if _, err := w.iam.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: w.name, PolicyArn: aws.String(arn)}); err != nil {
			return failure("attach "+arn, err, true)
		}
	}
	return nil
}

func (w *roleWriter) tags(ctx context.Context) error {
	all, err := w.want.allTags(w.now)
	if err != nil {
		return err
	}
	set, drop := retag(w.now.tags, all)
	if len(set) > 0 {
		if err := w.do("tag the role", func() error {
			_, err := w.iam.TagRole(ctx, &iam.TagRoleInput{RoleName: w.name, Tags: iamTags(set)})
			return err
		}); err != nil {
			return err
		}
	}
	if len(drop) > 0 {
		return w.do("take tags away", func() error {
			_, err := w.iam.UntagRole(ctx, &iam.UntagRoleInput{RoleName: w.name, TagKeys: drop})
			return err
		})
	}
	return nil
}

func iamTags(tags map[string]string) (out []types.Tag) {
	for k, v := range tags {
		out = append(out, types.Tag{Key: aws.String(k), Value: aws.String(v)})
	}
	slices.SortFunc(out, func(a, b types.Tag) int { return strings.Compare(*a.Key, *b.Key) })
	return out
}

// deleteRole takes the role's rights, then the role.
func (t *Target) deleteRole(ctx context.Context, now *held) error {
	w := roleWriter{Target: t, now: now, want: &held{id: now.id, source: now.source, role: &role{}}, name: aws.String(now.id.Name)}
	for _, step := range []func(context.Context) error{w.detach, w.drop} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return w.do("delete the role", func() error {
		_, err := t.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: w.name})
		return err
	})
}
