package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/verdict"
)

// rescan is how often everything that runs is asked about, also when nothing
// is known to have changed: evidence and reports grow old.
const rescan = 10 * time.Minute

// background asks again and again whether what runs still may: when policies,
// trust, exceptions or revocations change, and every [rescan].
type background struct {
	c    *controller
	wake chan struct{}
}

func (b *background) look() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *background) run(ctx context.Context) {
	tick := time.NewTicker(rescan)
	defer tick.Stop()
	for {
		if err := b.pass(ctx); err != nil && ctx.Err() == nil {
			b.c.o.Logger.Error("what runs could not be asked about", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-b.wake:
		case <-tick.C:
		}
	}
}

// running are the kinds that run something. Pods that a controller made are
// asked about as well: what was injected shows there alone.
var running = []kube.Kind{
	{Version: "v1", Kind: "Pod"},
	{Group: "apps", Version: "v1", Kind: "Deployment"}, {Group: "apps", Version: "v1", Kind: "StatefulSet"}, {Group: "apps", Version: "v1", Kind: "DaemonSet"},
	{Group: "batch", Version: "v1", Kind: "CronJob"}, {Group: "batch", Version: "v1", Kind: "Job"},
	{Group: "serving.knative.dev", Version: "v1", Kind: "Service"},
	{Group: "serving.kserve.io", Version: "v1beta1", Kind: "InferenceService"},
}

// pass asks about everything once, and says of each object that may not run why.
func (b *background) pass(ctx context.Context) error {
	if b.c.set.Load() == nil {
		return nil
	}
	var asked app.Asked
	about := map[string]kube.ID{} // by what stands for the file in verdicts
	for _, kind := range running {
		list, err := b.c.client.List(ctx, kind, "", "")
		if errors.Is(err, kube.ErrUnknownKind) {
			continue
		}
		if err != nil {
			return err
		}
		for i := range list {
			o := &list[i]
			if o.GetNamespace() == b.c.o.Namespace || o.GetNamespace() == "kube-system" {
				continue // what admission leaves alone
			}
			data, err := json.Marshal(o.Object)
			if err != nil {
				return err
			}
			id := kube.IDOf(o)
			about[id.String()] = id
			found := app.AskManifest(id.String(), data)
			asked.Questions = append(asked.Questions, found.Questions...)
			asked.Unresolved = append(asked.Unresolved, found.Unresolved...)
		}
	}
	report := b.c.engine.Ask(ctx, asked)
	denied := map[kube.ID][]string{}
	for i := range report.Verdicts {
		v := &report.Verdicts[i]
		id := about[v.Where.File]
		if v.Decision == verdict.Deny && (v.Code != verdict.Unselected || b.enforced(id.Namespace)) {
			denied[id] = append(denied[id], fmt.Sprintf("%s: %s: %s", v.Asked, v.Code, v.Reason))
		}
	}
	for _, u := range report.Unresolved {
		id := about[u.Where.File]
		denied[id] = append(denied[id], fmt.Sprintf("%s: %s: %s", u.Text, u.Code, u.Why))
	}
	ids := make([]kube.ID, 0, len(denied))
	for id := range denied {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b kube.ID) int { return strings.Compare(a.String(), b.String()) })
	for _, id := range ids {
		b.c.note(ctx, kube.Note{Regarding: id, Warning: true, Reason: "NotCompliant", Action: "Report", Text: clip(fmt.Sprint(denied[id]))})
	}
	return b.c.engine.Record(ctx, "apex.background.pass/v1", map[string]any{
		"generation": b.c.engine.Generation(), "questions": len(asked.Questions), "denied": len(ids), "at": b.c.o.Clock.Now(),
	})
}

func (b *background) enforced(namespace string) bool {
	labels, known := b.c.namespaces.labels(namespace)
	return !known || labels["apexlogic.com/enforce"] == "true"
}
