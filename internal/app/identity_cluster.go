package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/identity/ca"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/verdict"
)

// Trust is the name of the ConfigMap in which an authority that reads from a
// cluster publishes its keys, as TRUST-DOMAIN.json: mounted, it is a folder of
// trust bundles.
const Trust = "apex-trust"

// identityKinds are what an authority issues by; it needs no right to read others.
var identityKinds = []string{"WorkloadIdentity", "Revocation"}

// publishAgain is how often the keys are written although they have not changed:
// somebody may have taken them away.
const publishAgain = 5 * time.Minute

// inCluster is an authority's cluster.
type inCluster struct {
	o      *KubeSource
	client *kube.Client
	ca     *ca.CA
}

func openInCluster(o *IdentityServerOptions, authority *ca.CA) (*inCluster, error) {
	client, err := kube.Open(kube.Config{Kubeconfig: o.Kube.Kubeconfig, UserAgent: "apex/" + roleIdentity, Clock: o.Clock})
	if err != nil {
		return nil, err
	}
	return &inCluster{&o.Kube, client, authority}, nil
}

// follow has WorkloadIdentities and Revocations of the cluster in force until the
// context ends.
func (c *inCluster) follow(ctx context.Context, i *issuer, p *config.Publisher, changed func(config.Health)) error {
	documents := &ClusterDocuments{
		Client: c.client, Kinds: identityKinds, Log: i.log,
		Publish: p.Publish,
		Failed:  func(err error) { changed(healthAfter(err, p, c.client.Host(), i.clock.Now())) },
	}
	return documents.Run(ctx)
}

// healthAfter is how things stand after a cluster was read.
func healthAfter(err error, p *config.Publisher, host string, now time.Time) config.Health {
	h := config.Health{Since: now}
	if g := p.Current(); g != nil {
		h.Generation = g.Hash
	}
	invalid, is := errors.AsType[*config.Invalid](err)
	switch {
	case is:
		h.Problems = invalid.Problems
	case err != nil:
		h.Problems = []config.Problem{{Position: config.Position{File: host}, Code: verdict.PolicyInvalid, Message: err.Error()}}
	}
	return h
}

// publish keeps the authority's public keys in the cluster until the context ends.
func (c *inCluster) publish(ctx context.Context) error {
	namespace := c.o.Namespace
	if namespace == "" {
		namespace = defaultNamespace
	}
	for {
		rotated := c.ca.Changed()
		b := c.ca.Bundle()
		data, err := b.Marshal()
		if err != nil {
			return err
		}
		_, err = c.client.Apply(ctx, map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": Trust, "namespace": namespace},
			"data": map[string]any{b.TrustDomain().Name() + ".json": string(data)},
		}, kube.ApplyOptions{Manager: "apex-identity"})
		if err != nil {
			return fmt.Errorf("publish the keys of %s in the ConfigMap %s/%s: %w", b.TrustDomain().Name(), namespace, Trust, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-rotated:
		case <-time.After(publishAgain):
		}
	}
}
