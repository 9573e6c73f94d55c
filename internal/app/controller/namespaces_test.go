package controller

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/internal/kube"
)

// watchedOnce is a server that says once that a namespace has changed.
type watchedOnce struct {
	mu    sync.Mutex
	fails error // of reading; nil: it is read
	reads int
}

func (w *watchedOnce) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fails = nil
}

func (w *watchedOnce) Watch(ctx context.Context, _ kube.Selection, each func(kube.Event)) error {
	each(kube.Event{Kind: kube.Changed, Name: "free"})
	each(kube.Event{Kind: kube.Synced})
	<-ctx.Done()
	return ctx.Err()
}

func (w *watchedOnce) Get(context.Context, kube.ID) (*kube.Object, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads++
	if w.fails != nil {
		return nil, w.fails
	}
	return &kube.Object{Object: map[string]any{"metadata": map[string]any{"labels": map[string]any{admission.EnforceLabel: "false"}}}}, nil
}

// A server that did not answer once must not leave a namespace as one that
// enforces until somebody changes it.
func TestANamespaceThatCouldNotBeReadIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &watchedOnce{fails: errors.New("the server is starting")}
		n := newNamespaces(server)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- n.run(ctx) }()
		synctest.Wait()
		if labels, known := n.labels("free"); known || !n.synced() {
			t.Errorf("known before it was read: %v", labels)
		}
		time.Sleep(2*retryInterval + time.Second)
		synctest.Wait()
		if server.reads != 3 {
			t.Errorf("it was read %d times in two intervals", server.reads)
		}
		server.mend()
		time.Sleep(retryInterval)
		synctest.Wait()
		if labels, known := n.labels("free"); !known || labels[admission.EnforceLabel] != "false" {
			t.Errorf("once the server answers: %v, known %t", labels, known)
		}
		time.Sleep(10 * retryInterval)
		synctest.Wait()
		if server.reads != 4 {
			t.Errorf("what is known was read %d times", server.reads)
		}
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestANamespaceThatIsNotThereIsNotReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &watchedOnce{fails: kube.ErrNotFound}
		n := newNamespaces(server)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- n.run(ctx) }()
		time.Sleep(10 * retryInterval)
		synctest.Wait()
		if _, known := n.labels("free"); known || server.reads != 1 {
			t.Errorf("known %t, read %d times", known, server.reads)
		}
		stop()
		<-done
	})
}
