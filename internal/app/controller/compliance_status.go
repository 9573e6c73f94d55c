package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/kube"
)

// condition is one of an object's, as it was last written.
type condition struct {
	status, reason, message string
	since                   string // RFC 3339
	more                    string // what else the status says
}

// writeStatuses says of each source whether what it put there complies and, after
// a pass about everything, of each document whether it is in force.
func (b *background) writeStatuses(ctx context.Context, all bool) error {
	set := b.c.set.Load()
	var errs error
	if all {
		clear(b.conditions) // a document may have been made anew: what it says is read
	}
	for _, g := range set.GitSources {
		errs = errors.Join(errs, b.writeCondition(ctx, "GitSource", g.Value.Name, "Compliant", b.memory.compliance(g.Value.Name), nil))
	}
	if !all || set.Hash() != b.c.engine.Generation() {
		return errs
	}
	for _, d := range documentStates(set, b.c) {
		status := map[string]any{"ready": d.ready.status == "True", "summary": d.summary, "generation": set.Hash()}
		errs = errors.Join(errs, b.writeCondition(ctx, d.kind, d.name, "Ready", d.ready, status))
	}
	return errs
}

// compliance sums up how the objects of a source stand.
func (m *memory) compliance(source string) condition {
	var counts [3]int
	first := map[level]string{}
	for _, namespace := range m.namespaces() {
		ids := make([]kube.ID, 0, len(m.all[namespace]))
		for id, s := range m.all[namespace] {
			if s.source == source || strings.HasPrefix(s.source, source+".") { // or a stage of it
				ids = append(ids, id)
			}
		}
		slices.SortFunc(ids, compareIDs)
		for _, id := range ids {
			s := m.all[namespace][id]
			counts[s.level]++
			if first[s.level] == "" {
				first[s.level] = id.String() + ": " + s.reason
			}
		}
	}
	total := counts[unknown] + counts[denied] + counts[complies]
	switch {
	case counts[denied] > 0:
		return condition{status: "False", reason: "NotCompliant", message: clip(fmt.Sprintf("%d of %d objects do not comply, %d could not be judged; the first: %s", counts[denied], total, counts[unknown], first[denied]))}
	case counts[unknown] > 0:
		return condition{status: "Unknown", reason: "NotJudged", message: clip(fmt.Sprintf("%d of %d objects could not be judged; the first: %s", counts[unknown], total, first[unknown]))}
	case total == 0:
		return condition{status: "True", reason: "NothingRuns", message: "it runs nothing that is judged"}
	}
	return condition{status: "True", reason: "Compliant", message: fmt.Sprintf("all %d objects comply", total)}
}

// documentState is whether a document is in force as it says.
type documentState struct {
	kind, name, summary string
	ready               condition
}

func documentStates(set *config.Set, c *controller) []documentState {
	var out []documentState
	wrong := map[string]string{}
	if g := c.engine.Verifier.Generation(); g != nil {
		for _, p := range g.Problems() {
			if key := p.Kind + "/" + p.Name; wrong[key] == "" {
				wrong[key] = string(p.Code) + ": " + p.Detail
			}
		}
	}
	add := func(kind, name, summary string, r config.Readiness) {
		d := documentState{kind, name, summary, condition{status: "True", reason: "InForce", message: "it is in force"}}
		switch {
		case !r.Ready && len(r.Reasons) > 0:
			d.ready = condition{status: "False", reason: "NotReady", message: clip(r.Reasons[0].Path + ": " + r.Reasons[0].Message)}
		case !r.Ready:
			d.ready = condition{status: "False", reason: "NotReady", message: "a name that it refers to is not defined"}
		case wrong[kind+"/"+name] != "":
			d.ready = condition{status: "False", reason: "Problem", message: clip(wrong[kind+"/"+name])}
		}
		out = append(out, d)
	}
	ready := config.Readiness{Ready: true}
	for _, p := range set.ImageSecurityPolicies {
		add("ImageSecurityPolicy", p.Value.Name, rulesSummary(len(p.Value.Spec.Rules), "images", p.Value.Spec.Enforcement), set.Readiness(p.Value.Name))
	}
	for _, p := range set.ModelSecurityPolicies {
		add("ModelSecurityPolicy", p.Value.Name, rulesSummary(len(p.Value.Spec.Rules), "models", p.Value.Spec.Enforcement), set.ModelReadiness(p.Value.Name))
	}
	for _, p := range set.FunctionSecurityPolicies {
		add("FunctionSecurityPolicy", p.Value.Name, rulesSummary(len(p.Value.Spec.Rules), "functions", p.Value.Spec.Enforcement), set.FunctionReadiness(p.Value.Name))
	}
	for _, r := range set.TrustRoots {
		add("TrustRoot", r.Value.Name, fmt.Sprintf("names %d", len(r.Value.Spec.Entries)), ready)
	}
	return out
}

// rulesSummary says in words what a policy does.
func rulesSummary(rules int, about string, e v1alpha1.Enforcement) string {
	does := "enforces"
	switch e {
	case v1alpha1.Observe:
		does = "observes"
	case v1alpha1.Warn:
		does = "warns of"
	}
	if rules == 1 {
		return does + " 1 rule about " + about
	}
	return fmt.Sprintf("%s %d rules about %s", does, rules, about)
}

// writeCondition writes a condition, beside what else the status says, when it
// is not written yet. The time of the transition is that of the status.
func (b *background) writeCondition(ctx context.Context, kind, name, typ string, c condition, more map[string]any) error {
	key := kind + "/" + name
	was, known := b.conditions[key]
	if !known {
		o, err := b.c.client.Get(ctx, kube.ID{Kind: app.OurKind(kind), Name: name})
		if errors.Is(err, kube.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		was = readCondition(o, typ)
		was.more = moreOf(o, more)
	}
	c.more, c.since = fmt.Sprint(more), was.since // maps print sorted
	if was.status != c.status || was.since == "" {
		c.since = b.c.o.Clock.Now().UTC().Format(time.RFC3339)
	}
	if was == c {
		return nil
	}
	status := map[string]any{"conditions": []any{map[string]any{
		"type": typ, "status": c.status, "reason": c.reason, "message": c.message, "lastTransitionTime": c.since,
	}}}
	for field, value := range more {
		status[field] = value
	}
	body := map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": kind, "metadata": map[string]any{"name": name}, "status": status,
	}
	_, err := b.c.client.ApplyStatus(ctx, body, complianceManager)
	if errors.Is(err, kube.ErrNotFound) {
		delete(b.conditions, key)
		return nil
	}
	if err == nil {
		b.conditions[key] = c
	}
	return err
}

// moreOf is what the status of an object says of the fields.
func moreOf(o *kube.Object, fields map[string]any) string {
	if fields == nil {
		return fmt.Sprint(fields)
	}
	status, _ := o.Object["status"].(map[string]any)
	have := map[string]any{}
	for name := range fields {
		have[name] = status[name]
	}
	return fmt.Sprint(have)
}

func readCondition(o *kube.Object, typ string) condition {
	status, _ := o.Object["status"].(map[string]any)
	list, _ := status["conditions"].([]any)
	for _, e := range list {
		c, _ := e.(map[string]any)
		if c["type"] != typ {
			continue
		}
		text := func(name string) string { s, _ := c[name].(string); return s }
		return condition{status: text("status"), reason: text("reason"), message: text("message"), since: text("lastTransitionTime")}
	}
	return condition{}
}
