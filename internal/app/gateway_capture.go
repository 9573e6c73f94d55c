package app

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gateway/capture"
	"github.com/apexlogic/apex/internal/ledger"
	"github.com/apexlogic/apex/internal/seal"
)

// What captures have where a route says nothing; docs/kinds/ProtectedRoute.md tells.
const (
	defaultExpire       = 24 * time.Hour
	defaultCaptureBytes = 4 << 20
	defaultCaptureKeep  = 256 << 20
)

// capturesDir is where captures lie below a state directory.
func capturesDir(state string) string { return filepath.Join(state, "captures") }

// openCaptures returns the gateway's store of captures.
func (g *runningGateway) openCaptures() *capture.Store {
	return capture.NewStore(capture.Options{
		Dir: capturesDir(g.o.State), Clock: g.o.Clock, Log: g.o.Logger,
		Record: func(ctx context.Context, r *capture.Record) error {
			data, err := json.Marshal(r)
			if err != nil {
				return err
			}
			return requestRecorder{g.ledger}.append(ctx, ledger.Record{Type: capture.RecordSchema, Data: data}, ledger.Written)
		},
	})
}

// captureOf is what a route says of captures; nil when there are none.
func captureOf(route string, spec *v1alpha1.RouteCapture, into *capture.Store) (*capture.Rule, error) {
	if spec == nil {
		return nil, nil
	}
	sample, err := partsPerMillion(spec.Sample)
	if err != nil {
		return nil, &fieldError{"spec.capture.sample", err}
	}
	r := capture.Rule{
		Route: route, Sample: sample, Expire: durationOr(spec.ExpireAfter, defaultExpire),
		Bytes: cmp.Or(spec.MaxBytes, defaultCaptureBytes), Keep: cmp.Or(spec.KeepBytes, defaultCaptureKeep), Answers: spec.Answers,
		Allowed: spec.Only != "Denied", Denied: spec.Only != "Allowed",
	}
	if len(spec.SealTo) == 0 {
		return nil, wrongField("spec.capture.sealTo", "captures are sealed: name a public key that apex capture keygen made")
	}
	known := map[string]bool{}
	for i, text := range spec.SealTo {
		key, err := seal.ParsePublicKey([]byte(text))
		if err != nil {
			return nil, &fieldError{fmt.Sprintf("spec.capture.sealTo[%d]", i), err}
		}
		if known[key.ID()] {
			return nil, wrongField(fmt.Sprintf("spec.capture.sealTo[%d]", i), "the key %s is there twice", key.ID())
		}
		known[key.ID()] = true
		r.Recipients = append(r.Recipients, key)
	}
	return into.Rule(r), nil
}

// partsPerMillion reads a percentage with up to four decimals.
func partsPerMillion(percentage string) (int64, error) {
	share, ok := new(big.Rat).SetString(strings.TrimSuffix(percentage, "%"))
	if !ok || !strings.HasSuffix(percentage, "%") {
		return 0, fmt.Errorf("%q is not a percentage such as 1%%", percentage)
	}
	share.Mul(share, big.NewRat(capture.Million/100, 1))
	if !share.IsInt() || share.Sign() <= 0 || share.Num().Int64() > capture.Million {
		return 0, fmt.Errorf("%q is not a percentage above 0 up to 100, with at most four decimals", percentage)
	}
	return share.Num().Int64(), nil
}
