package message

import (
	"bytes"
	"testing"
)

func TestAnEventInStructuredModeIsReadAsItWasWritten(t *testing.T) {
	p := newPost(t, nil)
	for name, change := range map[string]func(*Event){
		"JSON":                 func(*Event) {},
		"JSON with <&>":        func(e *Event) { e.Data = []byte(`{"a":"<&>é\u2028","b": 1.50}`) },
		"several lines":        func(e *Event) { e.Data = []byte("{\n \"a\": 1\n}") },
		"no JSON by its bytes": func(e *Event) { e.Data = []byte("\x00{") },
		"no JSON by its type": func(e *Event) {
			e.Data, e.Attributes["datacontenttype"] = []byte(`{"a":1}`), "application/octet-stream"
		},
		"no type":            func(e *Event) { delete(e.Attributes, "datacontenttype") },
		"no data":            func(e *Event) { e.Data = nil },
		"words in attribute": func(e *Event) { e.Attributes["subject"] = "a \"<quoted>\" é" },
	} {
		e := p.signed(t, "1", change)
		whole := e.Structured()
		read, err := ReadStructured(whole)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(read.Data, e.Data) {
			t.Errorf("%s: %q became %q", name, e.Data, read.Data)
		}
		if _, err := p.gate.Verify(t.Context(), read); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		e.Compact()
		if bytes.ContainsRune(e.Structured(), '\n') {
			t.Errorf("%s: more than one line", name)
		}
	}
}

func TestWhatNobodySignedIsNamed(t *testing.T) {
	p := newPost(t, nil)
	e := p.signed(t, "1", nil)
	if got := e.Unsigned(); len(got) != 0 {
		t.Error(got)
	}
	e.Attributes["traceparent"], e.Attributes["added"] = "x", "y"
	if got := e.Unsigned(); len(got) != 2 || got[0] != "added" || got[1] != "traceparent" {
		t.Error(got)
	}
}
