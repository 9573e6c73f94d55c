package controller

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/verdict"
)

// What the record of the memory may hold. A Secret holds 1 MiB; an entry takes
// some 40 bytes of it compressed. What has no room is said once more after a
// change of the leader.
const (
	maxRemembered      = 10_000
	maxRememberedBytes = 700 << 10 // base64 makes a third more of it
	maxRememberedPlain = 16 << 20
)

// remembered is an object that did not comply. What is not in the record complied.
type remembered struct {
	Group     string       `json:"g,omitempty"`
	Version   string       `json:"v"`
	Kind      string       `json:"k"`
	Namespace string       `json:"n,omitempty"`
	Name      string       `json:"m"`
	UID       string       `json:"u"`
	Code      verdict.Code `json:"c"`
	Since     int64        `json:"s,omitempty"` // Unix time
	Stopped   string       `json:"t,omitempty"`
}

// encode writes what does not comply, in one order, so that the same memory is
// the same record.
func (m *memory) encode() ([]byte, error) {
	ids := m.denied()
	if len(ids) > maxRemembered {
		ids = ids[:maxRemembered]
	}
	for {
		entries := make([]remembered, len(ids))
		for i, id := range ids {
			s := m.all[id.Namespace][id]
			entries[i] = remembered{id.Group, id.Version, id.Kind.Kind, id.Namespace, id.Name, s.uid, s.saidCode, 0, s.stopped}
			if !s.since.IsZero() {
				entries[i].Since = s.since.Unix()
			}
		}
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		if err := json.NewEncoder(z).Encode(entries); err != nil {
			return nil, err
		}
		if err := z.Close(); err != nil {
			return nil, err
		}
		if out.Len() <= maxRememberedBytes {
			return out.Bytes(), nil
		}
		ids = ids[:len(ids)/2]
	}
}

// decode reads what encode wrote.
func (m *memory) decode(record []byte) error {
	if len(record) == 0 {
		return nil
	}
	z, err := gzip.NewReader(bytes.NewReader(record))
	if err != nil {
		return err
	}
	data, err := io.ReadAll(io.LimitReader(z, maxRememberedPlain+1))
	if err != nil {
		return err
	}
	if len(data) > maxRememberedPlain {
		return fmt.Errorf("it holds more than %d bytes", maxRememberedPlain)
	}
	var entries []remembered
	if err := json.Unmarshal(data, &entries); err != nil {
		return err
	}
	for _, e := range entries {
		id := kube.ID{Kind: kube.Kind{Group: e.Group, Version: e.Version, Kind: e.Kind}, Namespace: e.Namespace, Name: e.Name}
		if m.all[id.Namespace] == nil {
			m.all[id.Namespace] = map[kube.ID]standing{}
		}
		s := standing{finding: finding{level: denied, code: e.Code}, uid: e.UID, said: denied, saidCode: e.Code, stopped: e.Stopped}
		if e.Since > 0 {
			s.since = time.Unix(e.Since, 0).UTC()
		}
		m.all[id.Namespace][id] = s
	}
	return nil
}

func (b *background) record() *secret {
	return &secret{b.c.client, kube.ID{Kind: kube.Kind{Version: "v1", Kind: "Secret"}, Namespace: b.c.o.Namespace, Name: "apex-compliance"}}
}

// load reads what the leader before has said. A record that cannot be read means
// that it is said again.
func (b *background) load(ctx context.Context) error {
	record, at, err := b.record().Load(ctx)
	if err != nil {
		return err
	}
	m := newMemory()
	if err := m.decode(record); err != nil {
		b.c.o.Logger.Warn("what was said of what runs is said again", "err", err)
		m = newMemory()
	}
	m.saved, m.at = string(record), at
	b.memory = m
	b.c.holds.reset(m)
	return nil
}

// save keeps what was said, when that is another than was kept.
func (b *background) save(ctx context.Context) error {
	record, err := b.memory.encode()
	if err != nil || string(record) == b.memory.saved || b.memory.at == "" && len(b.memory.denied()) == 0 {
		return err
	}
	if err := b.record().Save(ctx, record, b.memory.at); err != nil {
		// Somebody else wrote it: only its version is taken over, since this
		// replica leads and has seen the cluster.
		if _, at, again := b.record().Load(ctx); again == nil {
			b.memory.at = at
		}
		return fmt.Errorf("what was said of what runs is not kept: %w", err)
	}
	_, at, err := b.record().Load(ctx)
	if err != nil {
		return err
	}
	b.memory.saved, b.memory.at = string(record), at
	return nil
}
