package install

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/internal/kube"
)

// manager of the fields that the installation writes.
const manager = "apex-install"

// establishWithin is how long a definition may take; API servers take seconds.
const establishWithin = time.Minute

// Step is what became of one object.
type Step struct {
	Object string // "Kind namespace/name"
	Did    string // "made", "changed", "unchanged", "would be …", "removed", "was not there"
}

// Apply makes the cluster hold the objects that [Objects] returned for the
// options, in this order, and reports each one to did. What is as it should be
// stays untouched, so a broken run is mended by another one. Definitions are
// waited for. It refuses, before it writes anything, when the client's user
// could not change Apex afterwards. With dryRun the server is asked, and
// nothing is written.
func Apply(ctx context.Context, c *kube.Client, o Options, dryRun bool, did func(Step)) error {
	objects, err := Objects(o)
	if err != nil {
		return err
	}
	if err := o.complete(); err != nil {
		return err
	}
	if err := mayChange(ctx, c, &o); err != nil {
		return err
	}
	var definitions []string
	for _, body := range objects {
		if body["kind"] != "CustomResourceDefinition" && !dryRun {
			for _, name := range definitions {
				if err := established(ctx, c, name); err != nil {
					return err
				}
			}
			definitions = nil
		}
		step, err := apply(ctx, c, body, dryRun)
		if err != nil {
			return err
		}
		did(step)
		if body["kind"] == "StatefulSet" && idOf(body).Name == ServiceAccount {
			if err := replace(ctx, c, idOf(body), dryRun, did); err != nil {
				return err
			}
		}
		if body["kind"] == "CustomResourceDefinition" {
			definitions = append(definitions, idOf(body).Name)
		}
	}
	return nil
}

// replace removes the Deployment that the controller was before it kept its ledger
// on volumes, once a replica of its successor answers: until then nothing else does.
func replace(ctx context.Context, c *kube.Client, by kube.ID, dryRun bool, did func(Step)) error {
	old := by
	old.Kind.Kind = "Deployment"
	o, err := c.Get(ctx, old)
	if errors.Is(err, kube.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	step := Step{Object: called(o.Object), Did: "would be removed"}
	if !dryRun {
		successor, err := c.Get(ctx, by)
		if err != nil {
			return err
		}
		status, _ := successor.Object["status"].(Object)
		if ready, _ := status["readyReplicas"].(int64); ready == 0 {
			step.Did = "stays until its successor is ready: install again then"
			did(step)
			return nil
		}
		if err := c.Delete(ctx, old, kube.Precondition{UID: string(o.GetUID())}); err != nil {
			return err
		}
		step.Did = "removed"
	}
	did(step)
	return nil
}

func established(ctx context.Context, c *kube.Client, name string) error {
	within, stop := context.WithTimeout(ctx, establishWithin)
	defer stop()
	if err := c.AwaitEstablished(within, name); err != nil {
		return fmt.Errorf("the definition %s is not served: %w", name, err)
	}
	return nil
}

func apply(ctx context.Context, c *kube.Client, body Object, dryRun bool) (Step, error) {
	id := idOf(body)
	before, err := c.Get(ctx, id)
	if err != nil && !errors.Is(err, kube.ErrNotFound) {
		return Step{}, err
	}
	after, err := c.Apply(ctx, body, kube.ApplyOptions{Manager: manager, DryRun: dryRun})
	step := Step{Object: called(body)}
	switch {
	case dryRun && before == nil && id.Namespace != "" && errors.Is(err, kube.ErrNotFound):
		// Its namespace was not made either: there is nothing to ask about.
		step.Did = "would be made"
		return step, nil
	case err != nil:
		return Step{}, err
	case before == nil:
		step.Did = "made"
	case dryRun && before.GetGeneration() == after.GetGeneration() && before.GetResourceVersion() == after.GetResourceVersion(),
		!dryRun && before.GetResourceVersion() == after.GetResourceVersion():
		step.Did = "unchanged"
		return step, nil
	default:
		step.Did = "changed"
	}
	if dryRun {
		step.Did = "would be " + step.Did
	}
	return step, nil
}

func idOf(body Object) kube.ID { return kube.IDOf(&kube.Object{Object: body}) }

// mayChange refuses a user whom the protection would lock out.
func mayChange(ctx context.Context, c *kube.Client, o *Options) error {
	review, err := c.Create(ctx, &kube.Object{Object: Object{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": Object{}}})
	if err != nil {
		return fmt.Errorf("ask the API server who this is: %w", err)
	}
	status, _ := review.Object["status"].(Object)
	info, _ := status["userInfo"].(Object)
	user, _ := info["username"].(string)
	if slices.Contains(o.Users, user) {
		return nil
	}
	var groups []string
	all, _ := info["groups"].([]any)
	for _, g := range all {
		group, _ := g.(string)
		if slices.Contains(o.Groups, group) || slices.Contains(admission.ControllerGroups(), group) {
			return nil
		}
		groups = append(groups, group)
	}
	return fmt.Errorf("you are %q in the groups %s; after the installation only %s may change Apex: name yourself with --operator-user, or a group of yours with --operator-group",
		user, strings.Join(groups, ", "), strings.Join(slices.Concat(o.Users, o.Groups), ", "))
}
