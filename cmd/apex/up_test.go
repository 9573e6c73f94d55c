package main

import (
	"bytes"
	"testing"
	"time"
)

func TestProgressIsForTerminals(t *testing.T) {
	var b bytes.Buffer
	p := newProgress(&b, 0)
	p.stage("stocking")
	p.end()
	if b.Len() > 0 {
		t.Errorf("a file got %q", &b)
	}
}

func TestProgressShowsOneLineAndRemovesIt(t *testing.T) {
	var b bytes.Buffer
	p := &progress{w: &b, timer: time.AfterFunc(time.Hour, func() {})}
	p.stage("reading")
	if b.Len() > 0 {
		t.Errorf("before it takes long: %q", &b)
	}
	p.shown = true // as the timer does
	p.stage("stocking")
	p.end()
	p.stage("verifying")
	if want := "\r\x1b[Kstocking …\r\x1b[K"; b.String() != want {
		t.Errorf("%q, want %q", &b, want)
	}
}
