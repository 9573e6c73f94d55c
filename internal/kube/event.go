package kube

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var eventKind = Kind{"events.k8s.io", "v1", "Event"}

// Note is what an Event says of an object.
type Note struct {
	Regarding ID
	UID       string // of the object, may be empty
	Warning   bool
	Reason    string // one word: "DriftHealed"
	Action    string // what was done: "Apply"
	Text      string // for people; cut to a kilobyte
}

// Limits of the API (events.k8s.io/v1 validation).
const (
	maxNote  = 1024
	maxWord  = 128
	reporter = "apexlogic.com/apex"
)

// Record makes an Event, or counts it up when the same was said before, so that
// what repeats each second stays one object.
func (c *Client) Record(ctx context.Context, n Note) error {
	if n.Reason == "" || n.Action == "" || len(n.Reason) > maxWord || len(n.Action) > maxWord {
		return fmt.Errorf("record an event: %w: a reason and an action of at most %d bytes are needed", ErrInvalid, maxWord)
	}
	text := n.Text
	if len(text) > maxNote {
		text = strings.ToValidUTF8(text[:maxNote-len("…")], "") + "…"
	}
	kind := "Normal"
	if n.Warning {
		kind = "Warning"
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	now := c.clock.Now().UTC().Format("2006-01-02T15:04:05.000000Z07:00")
	namespace := cmp.Or(n.Regarding.Namespace, "default") // where those of cluster-scoped objects go
	sum := sha256.Sum256([]byte(strings.Join([]string{n.Regarding.String(), n.UID, kind, n.Reason, n.Action, text, host}, "\x00")))
	id := ID{eventKind, namespace, "apex." + hex.EncodeToString(sum[:12])}
	_, err = c.Create(ctx, &Object{Object: map[string]any{
		"apiVersion": eventKind.APIVersion(), "kind": eventKind.Kind,
		"metadata":  map[string]any{"namespace": namespace, "name": id.Name},
		"eventTime": now, "type": kind, "reason": n.Reason, "action": n.Action, "note": text,
		"reportingController": reporter, "reportingInstance": host[:min(len(host), maxWord)],
		"regarding": map[string]any{
			"apiVersion": n.Regarding.APIVersion(), "kind": n.Regarding.Kind.Kind,
			"namespace": n.Regarding.Namespace, "name": n.Regarding.Name, "uid": n.UID,
		},
	}})
	if !errors.Is(err, ErrExists) {
		return err
	}
	for range maxAttempts {
		if err = c.countUp(ctx, id, now); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return err
}

func (c *Client) countUp(ctx context.Context, id ID, now string) error {
	o, err := c.Get(ctx, id)
	if err != nil {
		return err
	}
	count, _, _ := unstructured.NestedInt64(o.Object, "series", "count")
	series := map[string]any{"count": max(count, 1) + 1, "lastObservedTime": now}
	if err := unstructured.SetNestedMap(o.Object, series, "series"); err != nil {
		return fmt.Errorf("record an event: %w", err)
	}
	_, err = c.Update(ctx, o)
	return err
}
