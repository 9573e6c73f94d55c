package message

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/seal"
	"github.com/apexlogic/apex/verdict"
)

func sealKey(t testing.TB) *seal.PrivateKey {
	t.Helper()
	k, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const visit = `{"note":"a \"dent\"","patient":{"name":"M. Doe","born":1970},"pictures":[{"owner":"a"},{"owner":"b","size":2}],"more":null}`

func sealed4(t testing.TB, key *seal.PrivateKey, expires time.Time, places ...string) *Event {
	t.Helper()
	e := event("1")
	e.Attributes["subject"] = "claim/7"
	e.Data = []byte(visit)
	if err := Seal(e, []*seal.PublicKey{key.Public()}, places, expires); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestWhatIsSealedIsOpenedByItsReceiverAndNobodyElse(t *testing.T) {
	key, other := sealKey(t), sealKey(t)
	for _, places := range [][]string{nil, {"/patient"}, {"/patient/name", "/pictures/*/owner"}, {"/more"}, {"/**"}} {
		e := sealed4(t, key, time.Time{}, places...)
		// With a space within: what is sealed is in base64, where chance makes any three letters.
		if strings.Contains(string(e.Data), "M. Doe") != (len(places) == 1 && places[0] == "/more") {
			t.Errorf("%v: %s", places, e.Data)
		}
		if _, err := Open(e.Clone(), other, epoch); !errors.Is(err, seal.ErrKey) {
			t.Errorf("%v: %v", places, err)
		}
		opened, err := Open(e, key, epoch)
		if err != nil || string(e.Data) != visit || e.Attributes["datacontenttype"] != "application/json" || e.Attributes[SealedType] != "" {
			t.Errorf("%v: %v %v %s", places, opened, err, e.Data)
		}
	}
	if e := event("1"); Seal(e, []*seal.PublicKey{key.Public()}, []string{"/a", "/patient"}, time.Time{}) == nil {
		t.Error("a place that is not there was sealed")
	}
	e := sealed4(t, key, time.Time{}, "/patient")
	if Seal(e, []*seal.PublicKey{key.Public()}, []string{"/patient"}, time.Time{}) == nil {
		t.Error("sealed twice")
	}
}

func TestAnEnvelopeCannotBeMovedOrOpenedTooLate(t *testing.T) {
	key := sealKey(t)
	for name, change := range map[string]func(*Event){
		"to another event":     func(e *Event) { e.Attributes["id"] = "2" },
		"to another source":    func(e *Event) { e.Attributes["source"] = "/elsewhere" },
		"to another type":      func(e *Event) { e.Attributes["type"] = "claim.closed" },
		"to another subject":   func(e *Event) { e.Attributes["subject"] = "claim/8" },
		"to no subject":        func(e *Event) { delete(e.Attributes, "subject") },
		"to another place":     func(e *Event) { e.Data = []byte(strings.Replace(string(e.Data), `"patient":`, `"person":`, 1)) },
		"with other last bits": func(e *Event) { e.Data = []byte(strings.Replace(string(e.Data), `","pictures"`, `A","pictures"`, 1)) },
	} {
		e := sealed4(t, key, time.Time{}, "/patient")
		change(e)
		if _, err := Open(e, key, epoch); err == nil {
			t.Errorf("moved %s it was opened", name)
		}
	}
	whole := sealed4(t, key, time.Time{})
	whole.Attributes[SealedType] = "text/html"
	if _, err := Open(whole, key, epoch); !errors.Is(err, seal.ErrChanged) {
		t.Errorf("as another type: %v", err)
	}
	e := sealed4(t, key, epoch.Add(time.Hour), "/patient")
	if _, err := Open(e.Clone(), key, epoch.Add(time.Hour)); !errors.Is(err, seal.ErrExpired) {
		t.Error(err)
	}
	if _, err := Open(e, key, epoch.Add(time.Minute)); err != nil {
		t.Error(err)
	}
}

func TestARouteSaysWhatHasToBeSealedAndForWhom(t *testing.T) {
	key, other := sealKey(t), sealKey(t)
	s, err := NewSealing([]string{"/patient", "/pictures/*/owner"}, []string{key.ID()})
	if err != nil {
		t.Fatal(err)
	}
	good := sealed4(t, key, epoch.Add(time.Hour), "/patient", "/pictures/*/owner")
	both := event("1")
	both.Data = []byte(visit)
	if err := Seal(both, []*seal.PublicKey{key.Public(), other.Public()}, []string{"/patient", "/pictures/*/owner"}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	with := func(data string) *Event { e := event("1"); e.Data = []byte(data); return e }
	envelope := string(sealedPrefix[1:])
	for _, tc := range []struct {
		name  string
		e     *Event
		at    time.Time
		taken bool
	}{
		{"all is sealed", good, epoch, true},
		{"the whole is sealed", sealed4(t, key, time.Time{}), epoch, true},
		{"nothing of it is there", with(`{"note":"x"}`), epoch, true},
		{"there is no data", with(""), epoch, true},
		{"it has expired", good, epoch.Add(time.Hour), false},
		{"one part is in clear text", sealed4(t, key, time.Time{}, "/patient"), epoch, false},
		{"it is sealed for another", sealed4(t, other, time.Time{}, "/patient", "/pictures/*/owner"), epoch, false},
		{"it is sealed for another as a whole", sealed4(t, other, time.Time{}), epoch, false},
		{"it is sealed for another, too", both, epoch, false},
		{"it is null", with(`{"patient":null}`), epoch, false},
		{"only its parts are sealed", sealed4(t, key, time.Time{}, "/patient/name", "/pictures/*/owner"), epoch, false},
		{"it is base64 of something else", with(`{"patient":"` + base64.StdEncoding.EncodeToString([]byte("M. Doe")) + `"}`), epoch, false},
		{"it is the beginning of an envelope", with(`{"patient":"` + envelope + `"}`), epoch, false},
		{"it is no base64 behind the beginning", with(`{"patient":"` + envelope + `!"}`), epoch, false},
		{"an envelope elsewhere is none", with(`{"note":"` + envelope + `"}`), epoch, false},
		{"the data is no JSON", with(`{"patient"`), epoch, false},
		{"a key is there twice", with(`{"patient":1,"patient":"` + envelope + `"}`), epoch, false},
	} {
		err := s.Check(tc.e, tc.at)
		if (err == nil) != tc.taken || err != nil && refused(err) != verdict.MessageSealed && refused(err) != verdict.MessageMalformed {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	if s, err = NewSealing([]string{""}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(good, epoch); refused(err) != verdict.MessageSealed {
		t.Error(err)
	}
	if err := s.Check(sealed4(t, other, time.Time{}), epoch); err != nil {
		t.Error(err)
	}
	if _, err := NewSealing([]string{"patient"}, nil); err == nil {
		t.Error("a place that is no pointer")
	}
	if got := SealedPlaces(good); !slices.Equal(got, []string{"/patient", "/pictures/0/owner", "/pictures/1/owner"}) {
		t.Error(got)
	}
}

// FuzzPlaces holds that every value of a document is found where it stands, and
// that replacing each by itself changes nothing.
func FuzzPlaces(f *testing.F) {
	f.Add([]byte(visit))
	f.Add([]byte(" [1, {\"a\\u0062\" : \"\\\\\\\"\"}, [], {} ,-1.5e3,true ] "))
	f.Add([]byte(`{"a/b~":[[[0]]]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		out, err := splice(data, func(path []segment, value []byte) ([]byte, error) {
			n++
			p, err := parsePlace(pointer(path))
			if err != nil || len(p) != len(path) {
				t.Fatalf("%v %v", p, err)
			}
			if value[0] == '{' || value[0] == '[' {
				return nil, nil
			}
			return slices.Clone(value), nil
		})
		if err == nil && (string(out) != string(data) || n == 0) {
			t.Fatalf("%q became %q", data, out)
		}
	})
}
