package stream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/apexlogic/apex/verdict"
)

// read gives the frames of a client to a reader of messages.
func read(t *testing.T, r io.Reader, most int64) (messages []string, controls []byte, err error) {
	t.Helper()
	f := frames{from: bufio.NewReader(r), masked: true, most: most, control: func(kind byte, _ []byte) error {
		controls = append(controls, kind)
		return nil
	}}
	for {
		_, m, err := f.next()
		if err != nil {
			return messages, controls, err
		}
		messages = append(messages, string(m))
	}
}

// raw is a masked frame, byte for byte: its mask is zero.
func raw(first byte, payload string) string {
	return string([]byte{first, 0x80 | byte(len(payload)), 0, 0, 0, 0}) + payload
}

func TestFramesAreHeldToTheirForm(t *testing.T) {
	for _, tc := range []struct {
		name, bytes string
		messages    []string
		code        verdict.Code // "": the end is one between two messages
	}{
		{"a message", raw(0x81, "abc"), []string{"abc"}, ""},
		{"a message in pieces, with a ping between them", raw(0x01, "ab") + raw(0x89, "p") + raw(0x00, "") + raw(0x80, "c"), []string{"abc"}, ""},
		{"a character in two pieces", raw(0x01, "gr\xc3") + raw(0x80, "\xbcn"), []string{"grün"}, ""},
		{"half a character", raw(0x81, "gr\xc3"), nil, verdict.StreamInvalid},
		{"half a character in a binary message", raw(0x82, "gr\xc3"), []string{"gr\xc3"}, ""},
		{"a piece of nothing", raw(0x80, "a"), nil, verdict.StreamInvalid},
		{"a message within a message", raw(0x01, "a") + raw(0x81, "b"), nil, verdict.StreamInvalid},
		{"a bit of an extension", raw(0xc1, "a"), nil, verdict.StreamInvalid},
		{"a kind that is reserved", raw(0x83, "a"), nil, verdict.StreamInvalid},
		{"a control kind that is reserved", raw(0x8b, "a"), nil, verdict.StreamInvalid},
		{"a ping in pieces", raw(0x09, "a"), nil, verdict.StreamInvalid},
		{"a ping that is long", "\x89\xfe\x00\x7e\x00\x00\x00\x00" + strings.Repeat("a", 126), nil, verdict.StreamInvalid},
		{"no mask", "\x81\x01a", nil, verdict.StreamInvalid},
		{"a length in two bytes", "\x81\xfe\x00\x7e\x00\x00\x00\x00" + strings.Repeat("a", 126), []string{strings.Repeat("a", 126)}, ""},
		{"a length in two bytes that needs one", "\x81\xfe\x00\x01\x00\x00\x00\x00a", nil, verdict.StreamInvalid},
		{"a length in eight bytes that needs two", "\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff", nil, verdict.StreamInvalid},
		{"a length without measure", "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", nil, verdict.StreamLimit},
		{"a length that is negative", "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", nil, verdict.StreamInvalid},
		{"pieces that are too long together", raw(0x01, strings.Repeat("a", 100)) + raw(0x80, strings.Repeat("a", 101)), nil, verdict.StreamLimit},
		{"pieces that are as long as may be", raw(0x01, strings.Repeat("a", 100)) + raw(0x80, strings.Repeat("a", 100)), []string{strings.Repeat("a", 200)}, ""},
		{"too many pieces", raw(0x01, "") + strings.Repeat(raw(0x00, ""), maxFragments), nil, verdict.StreamLimit},
		{"many pieces", raw(0x01, "") + strings.Repeat(raw(0x00, ""), maxFragments-2) + raw(0x80, ""), []string{""}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(tc.bytes), iotest.OneByteReader(strings.NewReader(tc.bytes))} {
				got, _, err := read(t, r, 200)
				c, _ := errors.AsType[*Cut](err)
				if fmt.Sprint(got) != fmt.Sprint(tc.messages) || tc.code == "" && err != io.EOF || tc.code != "" && (c == nil || c.Code != tc.code) {
					t.Errorf("%q %v", got, err)
				}
			}
		})
	}
	for _, half := range []string{"\x81", "\x81\xfe\x00", raw(0x81, "abc")[:8], raw(0x01, "abc")} {
		if got, _, err := read(t, strings.NewReader(half), 200); len(got) > 0 || half[0] == 0x81 && err != io.ErrUnexpectedEOF {
			t.Errorf("%q: %q %v", half, got, err)
		}
	}
}

func TestACloseIsHeldToItsForm(t *testing.T) {
	for payload, ok := range map[string]bool{
		"": true, "\x03\xe8": true, "\x03\xe8bye": true, "\x0f\xa0": true, "\x03": false, "\x03\xed": false, "\x03\xee": false, "\x03\xe7": false, "\x13\x88": false, "\x03\xe8\xff": false,
	} {
		if _, _, err := closing([]byte(payload)); (err == nil) != ok {
			t.Errorf("%q: %v", payload, err)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte(raw(0x81, "abc")+raw(0x01, "ab")+raw(0x89, "p")+raw(0x80, "c")), true)
	f.Add([]byte("\x82\x7e\x00\x80"+strings.Repeat("a", 128)), false)
	f.Fuzz(func(t *testing.T, data []byte, masked bool) {
		fr := frames{from: bufio.NewReader(bytes.NewReader(data)), masked: masked, most: 1 << 12, control: func(_ byte, payload []byte) error {
			closing(payload)
			return nil
		}}
		for {
			kind, message, err := fr.next()
			if err != nil {
				return
			}
			if len(message) > 1<<12 {
				t.Fatalf("a message of %d bytes", len(message))
			}
			want := string(message)
			again := frames{from: bufio.NewReader(bytes.NewReader(frame(kind, fr.message, true))), masked: true, most: 1 << 12}
			if k, got, err := again.next(); err != nil || k != kind || string(got) != want {
				t.Fatalf("%q became %q: %v", want, got, err)
			}
		}
	})
}
