package app

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/apexlogic/apex/internal/gateway"
	"github.com/apexlogic/apex/internal/ledger"
)

// requestRecorder writes what the gateway decides to the ledger.
type requestRecorder struct{ ledger *ledger.Ledger }

// Record keeps a decision.
func (r requestRecorder) Record(ctx context.Context, d *gateway.Decision, durable bool) error {
	data, err := json.Marshal(d)
	if err != nil {
		return err
	}
	how := ledger.Written
	if durable {
		how = ledger.Durable
	}
	return r.append(ctx, ledger.Record{Type: gateway.DecisionSchema, Data: data}, how)
}

// lagging is how long a request waits for a disk that does not keep up.
const lagging = 5 * time.Second

// append appends a record. One that the ledger does not take as Written, because
// others wait too long for the disk, waits for the disk itself: a machine that is
// busy for a moment makes requests slower and loses none of them, and what is
// passed on is recorded all the same.
func (r requestRecorder) append(ctx context.Context, record ledger.Record, how ledger.Durability) error {
	_, err := r.ledger.Append(ctx, record, how)
	if how != ledger.Written || !errors.Is(err, ledger.ErrLagging) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lagging)
	defer cancel()
	_, err = r.ledger.Append(ctx, record, ledger.Durable)
	return err
}

// Strangers keeps denials that come too fast to be recorded one by one.
func (r requestRecorder) Strangers(ctx context.Context, s *gateway.Strangers) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return r.append(ctx, ledger.Record{Type: gateway.StrangersSchema, Data: data}, ledger.Durable)
}

// Outcome keeps what became of a request.
func (r requestRecorder) Outcome(ctx context.Context, o *gateway.Outcome) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return r.append(ctx, ledger.Record{Type: gateway.OutcomeSchema, Data: data}, ledger.Written)
}
