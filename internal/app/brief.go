package app

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/apexlogic/apex/internal/access/authzen"
	"github.com/apexlogic/apex/internal/gateway"
	"github.com/apexlogic/apex/internal/gateway/egress"
	"github.com/apexlogic/apex/internal/gateway/message"
	"github.com/apexlogic/apex/internal/gitops/source"
	"github.com/apexlogic/apex/internal/ledger"
	"github.com/apexlogic/apex/internal/meter"
	"github.com/apexlogic/apex/verdict"
)

// briefs tell a record of a type in one line; "" where its data are of no known form.
var briefs = map[string]func(data []byte) string{
	ledger.TypeVerdict: brief(func(v *verdict.Verdict) string {
		asked := v.Asked
		if asked == "" {
			asked = v.Ref.String()
		}
		return line(v.Decision.String(), string(v.Code), asked)
	}),
	ledger.TypeUsage:        brief(func(u *meter.Usage) string { return fmt.Sprintf("%d totals", len(u.Lines)) }),
	ledger.TypeErasure:      brief(func(e *ledger.Erasure) string { return fmt.Sprintf("%d records: %s", len(e.IDs), e.Reason) }),
	gateway.DecisionSchema:  brief(briefDecision),
	gateway.OutcomeSchema:   brief(briefOutcome),
	gateway.StrangersSchema: brief(briefStrangers),
	message.RecordSchema:    brief(briefMessage),
	egress.RecordSchema:     brief(briefEgress),
	authzen.AskedSchema: brief(func(a *authzen.Asked) string {
		return fmt.Sprintf("%d of %d allowed, asked by %s", a.Allowed, a.Decisions, a.Caller)
	}),
	IssuedSchema: brief(func(i *issued) string { return line("issued", i.ID, "by", i.Evidence) }),
	source.RecordRevision: brief(func(e *source.Event) string {
		refused := ""
		if e.Refused != nil {
			refused = line(string(e.Refused.Code), e.Refused.Why)
		}
		return line(e.Kind, e.Source, short(e.Commit), refused)
	}),
	source.RecordDrift: brief(func(d *source.DriftRecord) string {
		return line(string(d.Code), d.Object.String(), strings.Join(d.Changes, ", "))
	}),
	source.RecordRollback: brief(func(r *source.RollbackRecord) string {
		return line("rolled back", r.Source, "to", short(r.To.Commit), r.Reason)
	}),
}

// brief reads what a line is made of.
func brief[T any](tell func(*T) string) func([]byte) string {
	return func(data []byte) string {
		var v T
		if json.Unmarshal(data, &v) != nil {
			return ""
		}
		return tell(&v)
	}
}

// line is what is known, with spaces between.
func line(parts ...string) string {
	var known []string
	for _, p := range parts {
		if p != "" {
			known = append(known, p)
		}
	}
	return strings.Join(known, " ")
}

// short is the beginning of a commit's id, as git writes it.
func short(commit string) string { return commit[:min(12, len(commit))] }

func briefDecision(d *gateway.Decision) string {
	return line(judged(d.Allowed).String(), d.Code, somebody(d.Principal), d.Action, d.Model, d.ID)
}

func briefOutcome(o *gateway.Outcome) string { return line(endOf(o), o.Code, o.ID) }

func briefStrangers(s *gateway.Strangers) string {
	n := 0
	for _, ids := range s.Denied {
		n += len(ids)
	}
	return fmt.Sprintf("deny %d requests of strangers %s", n, strings.Join(codesOf(s), " "))
}

func briefMessage(m *message.Record) string {
	return line(judged(m.Allowed).String(), m.Code, somebody(m.Principal), m.Type, m.Request)
}

func briefEgress(c *egress.Record) string {
	return line(judged(c.Allowed).String(), c.Code, somebody(c.Principal), c.Event, c.Host, c.ID)
}
