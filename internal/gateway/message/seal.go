package message

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/seal"
	"github.com/apexlogic/apex/verdict"
)

// SealContext is what envelopes in events say that they are.
const SealContext = "apex.message/v1"

// SealedType is the attribute that holds the type of data that is sealed as a whole.
const SealedType = "apexsealedtype"

// sealedPrefix begins every envelope in base64: its twelve bytes of magic.
var sealedPrefix = []byte(`"` + base64.StdEncoding.EncodeToString([]byte("apex-seal/1\n")))

// binding is what an envelope belongs to: an event, a place of its data and the type
// that the content has. Moved elsewhere it cannot be opened.
func binding(e *Event, at, contentType string) []byte {
	to := []string{SealContext, e.Attributes["source"], e.Attributes["id"], e.Attributes["type"], at, contentType}
	if subject, ok := e.Attributes["subject"]; ok {
		to = append(to, subject)
	}
	b, err := json.Marshal(to)
	if err != nil {
		panic("message: strings are always JSON: " + err.Error())
	}
	return b
}

// Seal seals values of an event's data for the keys, each where a place says: a JSON
// pointer, in which * is every element of a list and ** every member of an object.
// The value becomes a string, the envelope in base64. Without places the data is
// sealed as a whole. Sign the event afterwards; its source, id, type and subject
// have to stay. It is an error when a place has no value.
func Seal(e *Event, keys []*seal.PublicKey, places []string, expires time.Time) error {
	if err := e.check(); err != nil {
		return err
	}
	if len(places) == 0 {
		t := e.Attributes["datacontenttype"]
		if slices.Contains(sealed, plainType(t)) {
			return errors.New("the data is sealed already")
		}
		b, err := sealBytes(e.Data, keys, seal.Options{Context: SealContext, AAD: binding(e, "", t), Expires: expires})
		if err != nil {
			return err
		}
		if t != "" {
			e.Attributes[SealedType] = t
		}
		e.Data, e.Attributes["datacontenttype"] = b, seal.MediaType
		return nil
	}
	parsed, err := parsePlaces(places)
	if err != nil {
		return err
	}
	if !isJSON(e.Attributes["datacontenttype"]) {
		return errors.New("the data is not JSON: it can be sealed as a whole")
	}
	found := make([]bool, len(places))
	data, err := splice(e.Data, func(path []segment, value []byte) ([]byte, error) {
		i := slices.IndexFunc(parsed, func(p place) bool { return p.has(path) })
		if i < 0 {
			return nil, nil
		}
		at := pointer(path)
		if bytes.HasPrefix(value, sealedPrefix) {
			return nil, fmt.Errorf("what stands at %s is sealed already", at)
		}
		found[i] = true
		b, err := sealBytes(value, keys, seal.Options{Context: SealContext, AAD: binding(e, at, "application/json"), Expires: expires})
		if err != nil {
			return nil, err
		}
		return []byte(`"` + base64.StdEncoding.EncodeToString(b) + `"`), nil
	})
	if err != nil {
		return err
	}
	if i := slices.Index(found, false); i >= 0 {
		return fmt.Errorf("the data has nothing at %s", places[i])
	}
	e.Data = data
	return nil
}

func sealBytes(content []byte, keys []*seal.PublicKey, o seal.Options) ([]byte, error) {
	var b bytes.Buffer
	w, err := seal.To(&b, keys, o)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}

// Open opens what of an event's data was sealed for the key, and returns where that
// stood, "" for the whole. Envelopes for other keys stay. One that was changed,
// belongs elsewhere or has expired is an error, and so is an event in which nothing
// is for the key.
func Open(e *Event, key *seal.PrivateKey, now time.Time) ([]string, error) {
	if plainType(e.Attributes["datacontenttype"]) == seal.MediaType {
		t := e.Attributes[SealedType]
		data, err := openBytes(e.Data, key, seal.Expected{Context: SealContext, AAD: binding(e, "", t), Now: now})
		if err != nil {
			return nil, err
		}
		delete(e.Attributes, SealedType)
		delete(e.Attributes, "datacontenttype")
		if t != "" {
			e.Attributes["datacontenttype"] = t
		}
		e.Data = data
		return []string{""}, nil
	}
	if !isJSON(e.Attributes["datacontenttype"]) {
		return nil, seal.ErrKey
	}
	var opened []string
	data, err := splice(e.Data, func(path []segment, value []byte) ([]byte, error) {
		if !bytes.HasPrefix(value, sealedPrefix) {
			return nil, nil
		}
		at := pointer(path)
		b, err := envelope(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		content, err := openBytes(b, key, seal.Expected{Context: SealContext, AAD: binding(e, at, "application/json"), Now: now})
		if errors.Is(err, seal.ErrKey) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		opened = append(opened, at)
		return content, nil
	})
	if err != nil {
		return nil, err
	}
	if opened == nil {
		return nil, seal.ErrKey
	}
	e.Data = data
	return opened, nil
}

func openBytes(b []byte, key *seal.PrivateKey, want seal.Expected) ([]byte, error) {
	r, _, err := seal.Open(bytes.NewReader(b), key, want)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r) // at most as long as the envelope
}

// envelope reads a JSON string that is an envelope in base64.
func envelope(value []byte) ([]byte, error) {
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return nil, errors.New("it is not a string")
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("it is not base64")
	}
	return b, nil
}

func plainType(contentType string) string {
	t, _, _ := mime.ParseMediaType(contentType)
	return t
}

// Sealing says what of the data has to be sealed, and for whom. It does not change,
// and is safe for concurrent use.
type Sealing struct {
	places     []place
	recipients []string
	whole      bool
}

// NewSealing returns what places demand: that whatever stands at one of them is an
// envelope; "" is the whole. Every envelope of an event has to be for recipients
// only, which are ids of keys; with none, for anybody.
func NewSealing(places, recipients []string) (*Sealing, error) {
	all, err := parsePlaces(places)
	if err != nil {
		return nil, err
	}
	return &Sealing{all, recipients, slices.Contains(places, "")}, nil
}

func parsePlaces(texts []string) (all []place, err error) {
	for _, text := range texts {
		p, err := parsePlace(text)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// Check holds an event to it: nothing stands in clear text where it has to be
// sealed, and each envelope has a header that says it is for an event, for whom,
// and that it has not expired. Nobody but its receiver can see whether an envelope
// holds anything, or belongs to this event. Errors are refusals.
func (s *Sealing) Check(e *Event, now time.Time) error {
	contentType := e.Attributes["datacontenttype"]
	if plainType(contentType) == seal.MediaType {
		return s.header(e.Data, "", now)
	}
	switch {
	case s.whole:
		return notSealed("", "the data has to be sealed as a whole, as %s", seal.MediaType)
	case len(e.Data) == 0:
		return nil
	case !isJSON(contentType):
		return notSealed("", "the data is neither sealed nor JSON, in which its sealed parts could be found")
	}
	return eachValue(e.Data, func(path []segment, start, end int) (bool, error) {
		value := e.Data[start:end]
		has := func(p place) bool { return p.has(path) }
		if !bytes.HasPrefix(value, sealedPrefix) {
			if slices.ContainsFunc(s.places, has) {
				return false, notSealed(pointer(path), "it has to be sealed")
			}
			return true, nil
		}
		at := pointer(path)
		b, err := envelope(value)
		if err != nil {
			return false, notSealed(at, "it begins as an envelope, but %v", err)
		}
		return false, s.header(b, at, now)
	})
}

func (s *Sealing) header(b []byte, at string, now time.Time) error {
	h, err := seal.ReadHeader(bytes.NewReader(b))
	switch {
	case err != nil:
		return notSealed(at, "the envelope cannot be read: %v", err)
	case h.Context != SealContext:
		return notSealed(at, "the envelope is not one for an event")
	case !h.Expires.IsZero() && !now.Before(h.Expires):
		return notSealed(at, "the envelope has expired")
	}
	for _, id := range h.Recipients {
		if len(s.recipients) > 0 && !slices.Contains(s.recipients, id) {
			return notSealed(at, "the envelope is for the key %s too, which the route does not name", id)
		}
	}
	return nil
}

func notSealed(at, format string, args ...any) error {
	return media.Refuse(verdict.MessageSealed, at, format, args...)
}

// SealedPlaces returns where envelopes stand in the data, "" for the whole.
func SealedPlaces(e *Event) []string {
	if slices.Contains(sealed, plainType(e.Attributes["datacontenttype"])) {
		return []string{""}
	}
	if !isJSON(e.Attributes["datacontenttype"]) {
		return nil
	}
	var all []string
	err := eachValue(e.Data, func(path []segment, start, end int) (bool, error) {
		if bytes.HasPrefix(e.Data[start:end], sealedPrefix) {
			all = append(all, pointer(path))
		}
		return true, nil
	})
	if err != nil {
		return nil // no JSON, so nothing is in it
	}
	return all
}
