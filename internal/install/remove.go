package install

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/internal/kube"
)

// ErrSources is why [Remove] refuses: GitSources are there, and what they
// applied would be healed no longer.
var ErrSources = errors.New("GitSources are there")

// Remove takes Apex out of the cluster, what fails closed first. The definitions
// and all policies stay, so that another installation finds them; so does
// what sources have applied. With force it does not mind that there are sources.
// A run that broke off is completed by another one.
func Remove(ctx context.Context, c *kube.Client, namespace string, force bool, did func(Step)) error {
	if namespace == "" {
		namespace = Namespace
	}
	// The installation's other options name nothing that is removed.
	objects, err := Objects(Options{Namespace: namespace, Image: "apex@sha256:" + strings.Repeat("0", 64), Gateway: Gateway{Enabled: true, TrustDomain: "any"}})
	if err != nil {
		return err
	}
	if !force {
		if err := noSources(ctx, c); err != nil {
			return err
		}
	}
	remove := func(id kube.ID) error {
		step := Step{Object: strings.TrimPrefix(id.String(), id.Kind.APIVersion()+" "), Did: "removed"}
		if _, err := c.Get(ctx, id); errors.Is(err, kube.ErrNotFound) || errors.Is(err, kube.ErrUnknownKind) {
			step.Did = "was not there"
		} else if err != nil {
			return err
		} else if err := c.Delete(ctx, id, kube.Precondition{}); err != nil {
			return err
		}
		did(step)
		return nil
	}
	first := []kube.ID{
		// Before the webhooks the right to write them: the controller puts back
		// what somebody else takes away.
		{Kind: kube.Kind{Group: rbac, Version: "v1", Kind: "ClusterRoleBinding"}, Name: "apex-webhooks"},
		{Kind: kube.ValidatingWebhooks, Name: admission.ConfigurationName},
		{Kind: kube.MutatingWebhooks, Name: admission.ConfigurationName},
	}
	for _, id := range first {
		if err := remove(id); err != nil {
			return err
		}
	}
	slices.Reverse(objects)
	for _, body := range append(objects, made("apps/v1", "Deployment", namespace, ServiceAccount, "controller", nil)) { // of older releases
		id := idOf(body)
		if body["kind"] == "CustomResourceDefinition" || slices.Contains(first, id) {
			continue
		}
		if err := remove(id); err != nil {
			return err
		}
	}
	// A controller that was just writing may have done so with a right that it
	// no longer has.
	for _, id := range first[1:] {
		if err := c.Delete(ctx, id, kube.Precondition{}); err != nil {
			return err
		}
	}
	return nil
}

func noSources(ctx context.Context, c *kube.Client) error {
	list, err := c.List(ctx, kube.Kind{Group: "security.apexlogic.com", Version: "v1alpha1", Kind: "GitSource"}, "", "")
	if errors.Is(err, kube.ErrUnknownKind) || err == nil && len(list) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %d, among them %s; what they applied would be healed no longer: delete them first, or use --force", ErrSources, len(list), list[0].GetName())
}
