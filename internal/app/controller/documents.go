package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/kube"
)

// settle is how long a change waits for the ones that come with it: kubectl
// apply of a folder is one generation, not twenty. It is a small part of the
// second in which a change has to be in force.
const settle = 50 * time.Millisecond

// documents brings what the cluster holds of our kinds into force.
type documents struct {
	client  *kube.Client
	publish func(context.Context, *config.Set) error
	log     *slog.Logger
	// inForce is called after each generation with what it was made of.
	inForce func(context.Context, *config.Set)
	// failed is told why what the cluster holds is not in force; nil when it is.
	failed func(error)
}

// run follows the kinds until the context ends. A set that cannot be published
// leaves the one before it in force. It returns early only when the kinds may
// not be read.
func (d *documents) run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	changed := make(chan struct{}, 1)
	kinds := config.Kinds()
	var synced, watching sync.WaitGroup
	synced.Add(len(kinds))
	for _, name := range kinds {
		var once sync.Once
		watching.Go(func() {
			err := d.client.Watch(ctx, kube.Selection{Kind: ours(name)}, func(e kube.Event) {
				if e.Kind == kube.Synced {
					once.Do(synced.Done)
					return
				}
				select {
				case changed <- struct{}{}:
				default: // one that is waiting covers this one too
				}
			})
			once.Do(synced.Done)
			if err != nil && ctx.Err() == nil {
				stop(fmt.Errorf("watch %s: %w", name, err))
			}
		})
	}
	defer watching.Wait()
	defer stop(nil)
	synced.Wait()
	for {
		select {
		case <-changed: // what the listings said is read now
		default:
		}
		err := d.load(ctx)
		if d.failed(err); err != nil && ctx.Err() == nil {
			d.log.Error("what the cluster says is not in force", "err", err)
		}
		var retry <-chan time.Time
		if err != nil && !errors.As(err, new(*config.Invalid)) {
			retry = time.After(time.Second)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-retry:
		case <-changed:
			time.Sleep(settle)
		}
	}
}

// load reads all documents and publishes them.
func (d *documents) load(ctx context.Context) error {
	var sources []config.Source
	for _, name := range config.Kinds() {
		list, err := d.client.List(ctx, ours(name), "", "")
		if errors.Is(err, kube.ErrUnknownKind) {
			continue // its CRD is not installed: there are none
		}
		if err != nil {
			return fmt.Errorf("list %s: %w", name, err)
		}
		for i := range list {
			data, err := document(&list[i])
			if err != nil {
				return err
			}
			sources = append(sources, config.Bytes(name+"/"+list[i].GetName(), data))
		}
	}
	set, err := config.Load(ctx, sources...)
	if err != nil {
		return err
	}
	if err := d.publish(ctx, set); err != nil {
		return err
	}
	d.inForce(ctx, set)
	return nil
}

func ours(kind string) kube.Kind {
	return kube.Kind{Group: v1alpha1.GroupVersion.Group, Version: v1alpha1.GroupVersion.Version, Kind: kind}
}

// document is what a person wrote of an object: what servers and controllers
// keep in it (managed fields, status) decides nothing.
func document(o *kube.Object) ([]byte, error) {
	metadata := map[string]any{"name": o.GetName()}
	if labels := o.GetLabels(); len(labels) > 0 {
		metadata["labels"] = labels
	}
	if annotations := o.GetAnnotations(); len(annotations) > 0 {
		metadata["annotations"] = annotations
	}
	return json.Marshal(map[string]any{"apiVersion": o.GetAPIVersion(), "kind": o.GetKind(), "metadata": metadata, "spec": o.Object["spec"]})
}
