package controller

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"

	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/internal/admission/cert"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// newCertificates keeps the webhook's certificates, and with them the webhook's
// configuration: it is written once there is something to believe it by.
func (c *controller) newCertificates() (*cert.Manager, error) {
	names := []string{c.o.Service + "." + c.o.Namespace + ".svc"}
	if c.o.WebhookURL != "" {
		u, err := url.Parse(c.o.WebhookURL)
		if err != nil || u.Hostname() == "" {
			return nil, fmt.Errorf("the webhook's URL %q is none", c.o.WebhookURL)
		}
		names = []string{u.Hostname()}
	}
	return cert.New(cert.Options{
		Store: &secret{c.client, kube.ID{Kind: kube.Kind{Version: "v1", Kind: "Secret"}, Namespace: c.o.Namespace, Name: "apex-webhook"}},
		Names: names, Publish: c.publishWebhooks, Clock: c.o.Clock, Logger: c.o.Logger,
	})
}

// publishWebhooks writes the configuration with the authorities in it. Whatever
// somebody else has changed there is put back each time.
func (c *controller) publishWebhooks(ctx context.Context, bundle []byte) error {
	w := admission.Webhooks{CABundle: bundle, Namespace: c.o.Namespace, GuardLabel: gitops.LabelSource, URL: c.o.WebhookURL}
	if c.o.WebhookURL == "" {
		w.Service = admission.Service{Namespace: c.o.Namespace, Name: c.o.Service}
	}
	for _, body := range admission.Configuration(w) {
		if _, err := c.client.Apply(ctx, body, kube.ApplyOptions{Manager: manager}); err != nil {
			return err
		}
	}
	return nil
}

// resolve returns the digest that a tag names now, when some policy asks about
// the image: nothing else is changed.
func (c *controller) resolve(ctx context.Context, q verdict.Question) (verdict.Digest, error) {
	ref, err := reference.Parse(q.Asked)
	if err != nil || ref.Digest != "" || !c.engine.Verifier.Selects(q.Labels) {
		return "", err
	}
	return c.engine.ResolveTag(ctx, ref)
}

// secret is a record in a Secret, replaced only by who has seen it.
type secret struct {
	client *kube.Client
	id     kube.ID
}

// Load implements [cert.Store].
func (s *secret) Load(ctx context.Context) ([]byte, string, error) {
	o, err := s.client.Get(ctx, s.id)
	if errors.Is(err, kube.ErrNotFound) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	data, _ := o.Object["data"].(map[string]any)
	text, _ := data["record"].(string)
	record, err := base64.StdEncoding.DecodeString(text)
	return record, o.GetResourceVersion(), err
}

// Save implements [cert.Store].
func (s *secret) Save(ctx context.Context, record []byte, version string) error {
	o := &kube.Object{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
		"metadata": map[string]any{"name": s.id.Name, "namespace": s.id.Namespace},
		"data":     map[string]any{"record": base64.StdEncoding.EncodeToString(record)},
	}}
	var err error
	if version == "" {
		_, err = s.client.Create(ctx, o)
	} else {
		o.SetResourceVersion(version)
		_, err = s.client.Update(ctx, o)
	}
	if errors.Is(err, kube.ErrConflict) || errors.Is(err, kube.ErrExists) {
		return fmt.Errorf("%w: %w", cert.ErrConflict, err)
	}
	return err
}
