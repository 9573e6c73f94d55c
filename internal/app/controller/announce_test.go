package controller

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apexlogic/apex/internal/kube"
)

func aboutPod(name string) kube.Note {
	return kube.Note{Regarding: kube.ID{Kind: kube.Kind{Version: "v1", Kind: "Pod"}, Namespace: "n", Name: name}, Reason: "Healed", Action: "Heal"}
}

func TestTheSameIsAnnouncedOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		written := 0
		a := newAnnouncer(func(context.Context, kube.Note) { written++ }, time.Now)
		ctx, stop := context.WithCancel(t.Context())
		go a.run(ctx, func(int) {})
		step := func(want int, name, about string) {
			t.Helper()
			a.announce(aboutPod(name), about)
			synctest.Wait()
			if written != want {
				t.Errorf("%d were written, want %d", written, want)
			}
		}
		step(1, "a", "x")
		step(1, "a", "x")
		step(2, "a", "y")
		step(3, "b", "x")
		time.Sleep(announceAgain)
		step(4, "a", "x")
		stop()
		synctest.Wait()
	})
}

func TestWhatHasNoRoomIsCountedAndNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		written, lost := 0, 0
		a := newAnnouncer(func(context.Context, kube.Note) { written++ }, time.Now)
		for i := range 10_000 { // nobody writes yet
			a.announce(aboutPod(fmt.Sprint("p", i)))
		}
		ctx, stop := context.WithCancel(t.Context())
		go a.run(ctx, func(n int) { lost += n })
		synctest.Wait()
		if written != maxAnnounced || written+lost != 10_000 {
			t.Errorf("%d were written and %d were not", written, lost)
		}
		if len(a.said) > maxSaid {
			t.Errorf("%d are remembered", len(a.said))
		}
		stop()
		synctest.Wait()
	})
}
