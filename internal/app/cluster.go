package app

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

// ClusterDocuments bring what a cluster holds of our kinds into force.
type ClusterDocuments struct {
	Client *kube.Client
	// Kinds that are read. Default: all of them.
	Kinds []string
	// Publish is [config.Publisher.Publish], or does as that.
	Publish func(context.Context, *config.Set) (*config.Generation, error)
	Log     *slog.Logger
	// InForce is called after each generation with what it was made of; it may be nil.
	InForce func(context.Context, *config.Set)
	// Failed is told why what the cluster holds is not in force; nil when it is.
	Failed func(error)
	// Read is called with what was read, before it is published; it may be nil.
	Read func([]kube.Object)
}

// Run follows the kinds until the context ends. A set that cannot be published
// leaves the one before it in force. It returns early only when the kinds may
// not be read.
func (d *ClusterDocuments) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	changed := make(chan struct{}, 1)
	if d.Kinds == nil {
		d.Kinds = config.Kinds()
	}
	kinds := d.Kinds
	var synced, watching sync.WaitGroup
	synced.Add(len(kinds))
	for _, name := range kinds {
		var once sync.Once
		watching.Go(func() {
			err := d.Client.Watch(ctx, kube.Selection{Kind: OurKind(name)}, func(e kube.Event) {
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
		if d.Failed(err); err != nil && ctx.Err() == nil {
			d.Log.Error("what the cluster says is not in force", "err", err)
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
func (d *ClusterDocuments) load(ctx context.Context) error {
	var sources []config.Source
	var all []kube.Object
	for _, name := range d.Kinds {
		list, err := d.Client.List(ctx, OurKind(name), "", "")
		if errors.Is(err, kube.ErrUnknownKind) {
			continue // its CRD is not installed: there are none
		}
		if err != nil {
			return fmt.Errorf("list %s: %w", name, err)
		}
		all = append(all, list...)
		for i := range list {
			data, err := document(&list[i])
			if err != nil {
				return err
			}
			sources = append(sources, config.Bytes(name+"/"+list[i].GetName(), data))
		}
	}
	if d.Read != nil {
		d.Read(all)
	}
	set, err := config.Load(ctx, sources...)
	if err != nil {
		return err
	}
	g, err := d.Publish(ctx, set)
	if g != nil && d.InForce != nil { // beside an error too: what is revoked is in force
		d.InForce(ctx, g.Set)
	}
	return err
}

// OurKind is one of our kinds as a cluster knows it.
func OurKind(kind string) kube.Kind {
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
