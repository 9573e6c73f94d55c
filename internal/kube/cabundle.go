package kube

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The kinds of webhook configurations.
var (
	ValidatingWebhooks = Kind{"admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration"}
	MutatingWebhooks   = Kind{"admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration"}
)

// maxBundle bounds the certificates of a webhook: two authorities while one is
// rotated, with room to spare.
const maxBundle = 64 << 10

// SetCABundle makes every webhook of a configuration trust exactly the
// authorities of the bundle (PEM certificates), and says whether that changed
// anything. Nothing else of the configuration is touched.
func (c *Client) SetCABundle(ctx context.Context, kind Kind, name, manager string, bundle []byte) (changed bool, err error) {
	id := ID{Kind: kind, Name: name}
	if kind != ValidatingWebhooks && kind != MutatingWebhooks {
		return false, explain("set the CA bundle of", id, fmt.Errorf("%w: it has no webhooks", ErrInvalid))
	}
	if err := readBundle(bundle); err != nil {
		return false, explain("set the CA bundle of", id, fmt.Errorf("%w: %w", ErrInvalid, err))
	}
	want := base64.StdEncoding.EncodeToString(bundle)
	for range maxAttempts {
		patch, err := c.bundlePatch(ctx, id, want)
		if err != nil || patch == nil {
			return false, err
		}
		if _, err = c.Patch(ctx, id, manager, patch); !errors.Is(err, ErrConflict) {
			return err == nil, err
		}
	}
	return false, explain("set the CA bundle of", id, ErrConflict)
}

// bundlePatch returns the patch that is needed; nil when none is.
func (c *Client) bundlePatch(ctx context.Context, id ID, want string) ([]byte, error) {
	o, err := c.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	operations := []operation{{"test", "/metadata/resourceVersion", o.GetResourceVersion()}}
	hooks, _, err := unstructured.NestedSlice(o.Object, "webhooks")
	if err != nil {
		return nil, explain("set the CA bundle of", id, err)
	}
	for i, each := range hooks {
		hook, _ := each.(map[string]any)
		if have, _, _ := unstructured.NestedString(hook, "clientConfig", "caBundle"); have != want {
			operations = append(operations, operation{"add", fmt.Sprintf("/webhooks/%d/clientConfig/caBundle", i), want})
		}
	}
	if len(operations) == 1 {
		return nil, nil
	}
	return json.Marshal(operations)
}

// readBundle says what is wrong with a bundle: the server would take any bytes
// that are PEM, and every admission would fail from then on.
func readBundle(bundle []byte) error {
	if len(bundle) > maxBundle {
		return fmt.Errorf("the bundle has %d bytes, at most %d are needed", len(bundle), maxBundle)
	}
	found := 0
	for rest := bundle; ; found++ {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("the bundle holds a block of type %q", block.Type)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("certificate %d of the bundle: %w", found+1, err)
		}
	}
	if found == 0 {
		return errors.New("the bundle holds no certificate")
	}
	return nil
}
