package gateway

import (
	"net/http"
	"sync/atomic"
	"testing"
)

// watched has a snapshot say when it has ended.
func watched(t *testing.T, w *world, generation string) (*Snapshot, <-chan struct{}) {
	t.Helper()
	s, err := NewSnapshot(generation, []*Route{w.route}, w.gateway.Current())
	if err != nil {
		t.Fatal(err)
	}
	ended, again := make(chan struct{}), atomic.Bool{}
	s.Ended = func() {
		if again.Swap(true) {
			t.Error("a snapshot ended twice")
			return
		}
		close(ended)
	}
	return s, ended
}

func TestASnapshotEndsWithItsLastRequest(t *testing.T) {
	w := newWorld(t, nil)
	arrived, answer := make(chan struct{}), make(chan struct{})
	w.behind.answer(func(rw http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-answer
		rw.Header().Set("Content-Type", "application/json")
		rw.Write([]byte(`{}`))
	})
	s, ended := watched(t, w, "two")
	w.gateway.Use(s)
	answered := make(chan int)
	go func() {
		status, _, _ := w.ask(t, "POST", "/v1/chat/completions", hello, nil)
		answered <- status
	}()
	<-arrived
	w.use(t, "three", w.route)
	select {
	case <-ended:
		t.Error("a snapshot ended while a request went by it")
	default:
	}
	close(answer)
	if status := <-answered; status != http.StatusOK {
		t.Errorf("the request was answered %d", status)
	}
	<-ended
}

func TestASnapshotWithoutRequestsEndsAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	s, ended := watched(t, w, "two")
	w.gateway.Use(s)
	select {
	case <-ended:
		t.Error("a snapshot in force has ended")
	default:
	}
	w.gateway.Use(nil)
	select {
	case <-ended:
	default:
		t.Error("a snapshot that nobody needs has not ended")
	}
	if status, _, _ := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != http.StatusServiceUnavailable {
		t.Errorf("without rules a request is answered %d", status)
	}
}

// Requests and reloads at once: no request holds what has ended.
func TestNoRequestGoesByASnapshotThatHasEnded(t *testing.T) {
	w := newWorld(t, func(r *Route) { r.Limits = Limits{} })
	w.use(t, "first", w.route)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 300 {
			s := w.gateway.held()
			if s == nil || s.holders.Load() < 1 {
				t.Error("a request holds nothing")
				return
			}
			s.release()
		}
	}()
	for range 300 {
		s, err := NewSnapshot("next", []*Route{w.route}, w.gateway.Current())
		if err != nil {
			t.Fatal(err)
		}
		w.gateway.Use(s)
	}
	<-done
}
