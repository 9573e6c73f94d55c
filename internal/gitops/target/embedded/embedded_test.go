package embedded_test

import (
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/target/embedded"
	"github.com/apexlogic/apex/internal/gitops/targettest"
)

func open(t testing.TB, opt embedded.Options) *embedded.Store {
	t.Helper()
	s, err := embedded.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestTheEmbeddedStoreIsATarget(t *testing.T) {
	for name, dir := range map[string]func(*testing.T) string{
		"in a directory": func(t *testing.T) string { return t.TempDir() },
		"in memory":      func(*testing.T) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			targettest.Target(t, func(t *testing.T) targettest.Harness {
				opt := embedded.Options{Dir: dir(t)}
				s := open(t, opt)
				h := targettest.Harness{
					Target: s, Namespace: "vision",
					Write: func(t testing.TB, id gitops.ID, manager string, change func(map[string]any)) {
						t.Helper()
						if _, err := s.Update(t.Context(), id, manager, "", func(body map[string]any) error { change(body); return nil }); err != nil {
							t.Fatal(err)
						}
					},
					Remove: func(t testing.TB, id gitops.ID) {
						t.Helper()
						if err := s.Delete(t.Context(), id, "v1", gitops.Precondition{}); err != nil {
							t.Fatal(err)
						}
					},
				}
				if opt.Dir != "" {
					h.Reopen = func(t testing.TB) gitops.Target {
						if err := s.Close(); err != nil {
							t.Fatal(err)
						}
						return open(t, opt)
					}
				}
				return h
			})
		})
	}
}
