package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/kube"
)

// KubeSource says which cluster a gateway's routes and policies are read from,
// in place of a directory.
type KubeSource struct {
	// Enabled reads from a cluster.
	Enabled bool
	// Kubeconfig is a file. Default: the cluster that the process runs in.
	Kubeconfig string
	// Namespace of the lease by which gateways agree on who writes conditions, and
	// of the keys that an authority publishes. Default: apex-system.
	Namespace string
}

const (
	defaultNamespace = "apex-system"
	gatewayManager   = "apex-gateway" // of the fields that gateways write, and their lease
	// maxMessage bounds the message of a condition.
	maxMessage = 1024
)

// gatewayKinds are what a gateway decides by, about requests and about the models
// behind its routes, and to whom it gives identities; it needs no right to read others.
var gatewayKinds = []string{"ProtectedRoute", "AccessPolicy", "WorkloadIdentity", "Revocation", "ModelSecurityPolicy", "TrustRoot", "PolicyException"}

// clusterSource follows a cluster, as config.Watcher follows a directory.
type clusterSource struct {
	g      *runningGateway
	client *kube.Client
	wake   chan struct{} // the conditions may have to be written

	mu      sync.Mutex
	health  config.Health
	read    []kube.Object    // when it was last read
	inForce map[string]int64 // generation of each object, by kind/name
}

func newClusterSource(g *runningGateway) (*clusterSource, error) {
	client, err := kube.Open(kube.Config{Kubeconfig: g.o.Kube.Kubeconfig, UserAgent: "apex/" + roleGateway, Clock: g.o.Clock})
	if err != nil {
		return nil, err
	}
	return &clusterSource{g: g, client: client, wake: make(chan struct{}, 1), inForce: map[string]int64{}}, nil
}

// Health says how things stand.
func (c *clusterSource) Health() config.Health {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.health
}

// Run follows the cluster until the context ends. Without the API server, what
// is in force stays.
func (c *clusterSource) Run(ctx context.Context) error {
	documents := &ClusterDocuments{
		Client: c.client, Kinds: gatewayKinds, Log: c.g.o.Logger,
		Publish: c.g.publisher.Publish,
		Read: func(all []kube.Object) {
			c.mu.Lock()
			c.read = all
			c.mu.Unlock()
		},
		Failed: c.settle,
	}
	return documents.Run(ctx)
}

// settle records how a reading of the cluster ended.
func (c *clusterSource) settle(err error) {
	next := healthAfter(err, c.g.publisher, c.client.Host(), c.g.o.Clock.Now())
	c.mu.Lock()
	if err == nil {
		clear(c.inForce)
		for i := range c.read {
			c.inForce[nameOfObject(&c.read[i])] = c.read[i].GetGeneration()
		}
	}
	same := !c.health.Since.IsZero() && c.health.Generation == next.Generation && slices.Equal(c.health.Problems, next.Problems)
	if !same {
		c.health = next
	}
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	if !same {
		c.g.changed(next)
	}
}

func nameOfObject(o *kube.Object) string { return o.GetKind() + "/" + o.GetName() }

// tell has one of the gateways write into the conditions of routes and access
// policies whether they are in force.
func (c *clusterSource) tell(ctx context.Context) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	var own [4]byte
	rand.Read(own[:])
	namespace := c.g.o.Kube.Namespace
	if namespace == "" {
		namespace = defaultNamespace
	}
	lease := kube.Lease{Namespace: namespace, Name: gatewayManager, Identity: host + "-" + hex.EncodeToString(own[:])}
	return c.client.Lead(ctx, lease, func(ctx context.Context) error {
		for {
			var retry <-chan time.Time
			if err := c.writeConditions(ctx); err != nil && ctx.Err() == nil {
				c.g.o.Logger.Warn("conditions of routes are not written yet", "err", err)
				retry = time.After(retryInterval)
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-c.wake:
			case <-retry:
			}
		}
	})
}

// writeConditions writes those that do not say yet how things stand.
func (c *clusterSource) writeConditions(ctx context.Context) error {
	c.mu.Lock()
	read, problems := c.read, c.health.Problems
	want := make([]metav1.Condition, len(read))
	for i := range read {
		want[i] = c.condition(&read[i], problems)
	}
	c.mu.Unlock()
	var errs error
	for i := range read {
		o := &read[i]
		if o.GetKind() != "ProtectedRoute" && o.GetKind() != "AccessPolicy" {
			continue // the controller writes the others'
		}
		was := readyOf(o)
		if was.Status == want[i].Status && was.Reason == want[i].Reason && was.Message == want[i].Message && was.ObservedGeneration == want[i].ObservedGeneration {
			continue
		}
		want[i].LastTransitionTime = was.LastTransitionTime
		if was.Status != want[i].Status || was.LastTransitionTime.IsZero() {
			want[i].LastTransitionTime = metav1.NewTime(c.g.o.Clock.Now())
		}
		_, err := c.client.ApplyStatus(ctx, map[string]any{
			"apiVersion": v1alpha1.GroupVersion.String(), "kind": o.GetKind(), "metadata": map[string]any{"name": o.GetName()},
			"status": map[string]any{"ready": want[i].Status == metav1.ConditionTrue, "conditions": []any{map[string]any{
				"type": "Ready", "status": string(want[i].Status), "reason": want[i].Reason, "message": want[i].Message,
				"observedGeneration": want[i].ObservedGeneration, "lastTransitionTime": want[i].LastTransitionTime.UTC().Format(time.RFC3339),
			}}},
		}, gatewayManager)
		if err != nil && !errors.Is(err, kube.ErrNotFound) {
			errs = errors.Join(errs, err)
		}
	}
	return errs
}

// condition is how an object stands, as it was read.
func (c *clusterSource) condition(o *kube.Object, problems []config.Problem) metav1.Condition {
	name, generation := nameOfObject(o), o.GetGeneration()
	ready := metav1.Condition{Status: metav1.ConditionTrue, Reason: "InForce", Message: "it is in force", ObservedGeneration: generation}
	first := ""
	for i := range problems {
		if problems[i].Object == name {
			ready.Status, ready.Reason = metav1.ConditionFalse, "Invalid"
			ready.Message = fmt.Sprintf("%s: %s; until that is mended what was in force stays, and only a Revocation stops what that lets pass", problems[i].Path, problems[i].Message)
			break
		}
		if first == "" {
			first = problems[i].Object
		}
	}
	if ready.Status == metav1.ConditionTrue && c.inForce[name] != generation {
		ready.Status, ready.Reason = metav1.ConditionFalse, "HeldBack"
		ready.Message = fmt.Sprintf("what it says comes into force together with %s, which is not valid", first)
	}
	if len(ready.Message) > maxMessage {
		ready.Message = strings.ToValidUTF8(ready.Message[:maxMessage], "")
	}
	return ready
}

// readyOf is the condition as the object says it.
func readyOf(o *kube.Object) metav1.Condition {
	var c metav1.Condition
	status, _ := o.Object["status"].(map[string]any)
	list, _ := status["conditions"].([]any)
	for _, item := range list {
		m, _ := item.(map[string]any)
		if m["type"] != "Ready" {
			continue
		}
		state, _ := m["status"].(string)
		c.Status = metav1.ConditionStatus(state)
		c.Reason, _ = m["reason"].(string)
		c.Message, _ = m["message"].(string)
		c.ObservedGeneration, _ = m["observedGeneration"].(int64)
		if at, err := time.Parse(time.RFC3339, fmt.Sprint(m["lastTransitionTime"])); err == nil {
			c.LastTransitionTime = metav1.NewTime(at)
		}
	}
	return c
}
