package oci_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
)

// account adds up what it is charged.
type account struct{ requests, bytes atomic.Int64 }

func (a *account) charge(requests, bytes int64) {
	a.requests.Add(requests)
	a.bytes.Add(bytes)
}

func (a *account) has(t *testing.T, who string, requests, bytes int64) {
	t.Helper()
	if r, b := a.requests.Load(), a.bytes.Load(); r != requests || b != bytes {
		t.Errorf("%s is charged %d requests and %d bytes, want %d and %d", who, r, b, requests, bytes)
	}
}

func TestAnExchangeIsChargedToItsOwnerOrElseToTheMeter(t *testing.T) {
	srv := ocitest.Registry(t)
	image, _ := signed(t, srv)
	var meter, owner account
	c := newClientWith(t, oci.Options{Meter: meter.charge}, srv)
	if _, err := c.Resolve(oci.ChargeTo(t.Context(), owner.charge), parse(t, srv.Repo("app:1"))); err != nil {
		t.Fatal(err)
	}
	owner.has(t, "the owner", 1, image.Size)
	meter.has(t, "the meter", 0, 0)
	if _, err := c.Resolve(t.Context(), parse(t, srv.Repo("app:1"))); err != nil {
		t.Fatal(err)
	}
	owner.has(t, "the owner", 1, image.Size)
	meter.has(t, "the meter", 1, image.Size)
	// A nil owner is nobody.
	if _, err := c.Resolve(oci.ChargeTo(t.Context(), nil), parse(t, srv.Repo("app:1"))); err != nil {
		t.Fatal(err)
	}
	meter.has(t, "the meter", 2, 2*image.Size)
}

func TestAnExchangeThatFailsIsChargedToo(t *testing.T) {
	srv := ocitest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	var owner account
	c := newClient(t, srv)
	if _, err := c.Resolve(oci.ChargeTo(t.Context(), owner.charge), parse(t, srv.Repo("app:1"))); err == nil {
		t.Fatal("no error")
	}
	owner.has(t, "the owner", int64(len(srv.Requests())), 0)
}

func TestWhoAsksFirstPaysForAllWhoWait(t *testing.T) {
	img := ocitest.RawImage(t, "linux/amd64", "app")
	asked, answer := make(chan struct{}), make(chan struct{})
	srv := ocitest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-answer
		w.Header().Set("Content-Type", oci.MediaTypeManifest)
		w.Write(img.Manifest)
	}))
	c := newClient(t, srv)
	var first, second account
	var wg sync.WaitGroup
	resolve := func(ctx context.Context) {
		if _, err := c.Resolve(ctx, parse(t, srv.Repo("app:1"))); err != nil {
			t.Error(err)
		}
	}
	wg.Go(func() { resolve(oci.ChargeTo(t.Context(), first.charge)) })
	<-asked
	wg.Go(func() { resolve(oci.ChargeTo(t.Context(), second.charge)) })
	waitFor(t, func() bool { return oci.Waiting(c) == 2 })
	close(answer)
	wg.Wait()
	first.has(t, "who asked first", 1, int64(len(img.Manifest)))
	second.has(t, "who came second", 0, 0)
}
