package egress

import (
	"context"
	"errors"
	"time"
)

// Recorder keeps what was decided and what was carried. Durable asks that the
// record survives the death of the machine before Record returns. A connection
// whose beginning was not kept does not begin.
type Recorder interface {
	Record(ctx context.Context, r *Record, durable bool) error
}

// RecordSchema is the value of Record.Schema.
const RecordSchema = "apex.egress/v1"

// The events of a connection. Every connection that was allowed has both.
const (
	Opened = "opened" // it was decided about, before anything was sent
	Closed = "closed" // it is over
)

// Record is what is kept of a connection: who went where, and how much was
// carried; never what.
type Record struct {
	Schema  string    `json:"schema"`
	Event   string    `json:"event"`
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Allowed bool      `json:"allowed"`
	Code    string    `json:"code,omitempty"` // of a refusal, or of why it was cut
	Detail  string    `json:"detail,omitempty"`

	Principal  string `json:"principal,omitempty"`
	Method     string `json:"identityMethod,omitempty"`
	Credential string `json:"credential,omitempty"`
	Kind       string `json:"kind,omitempty"` // "connect" or "http"
	Host       string `json:"host,omitempty"`
	Port       uint16 `json:"port,omitempty"`
	Address    string `json:"address,omitempty"` // that was connected to

	// Generation and Policies that decided.
	Generation string   `json:"generation,omitempty"`
	Policies   []string `json:"policies,omitempty"`

	Sent     int64         `json:"sent,omitempty"`     // bytes to the host
	Received int64         `json:"received,omitempty"` // bytes from it
	Lasted   time.Duration `json:"lasted,omitempty"`
}

// Why a connection was cut.
var (
	errStopped  = errors.New("the proxy stops")
	errExpired  = errors.New("the identity expired")
	errLifetime = errors.New("the connection lasted too long")
	errIdle     = errors.New("nothing was sent for too long")
	errBytes    = errors.New("the connection carried too much")
)
