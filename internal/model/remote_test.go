package model_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/model"
	"github.com/apexlogic/apex/internal/model/scan"
	"github.com/apexlogic/apex/internal/model/source"
)

// hub starts a fake Hub whose model has n files of one content, and returns
// the model there.
func hub(t *testing.T, n int, content string, late <-chan struct{}) source.Source {
	t.Helper()
	const commit = "0123456789abcdef0123456789abcdef01234567"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Path, "/revision/"):
			fmt.Fprintf(w, `{"sha":%q}`, commit)
		case strings.Contains(r.URL.Path, "/tree/"):
			var files []map[string]any
			for i := range n {
				files = append(files, map[string]any{"type": "file", "path": fmt.Sprintf("%04d.pkl", i), "size": len(content)})
			}
			json.NewEncoder(w).Encode(files)
		default:
			if late != nil {
				select {
				case <-late:
				case <-r.Context().Done():
				}
			}
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
		}
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	src, err := source.Open(t.Context(), "hf://a/b", source.Options{Getenv: func(name string) string {
		if name == "HF_ENDPOINT" {
			return server.URL
		}
		return ""
	}})
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestAWholeModelAfarIsBounded(t *testing.T) {
	s := model.New(scan.Limits{})
	n := 0
	count := func(*model.File) error {
		n++
		return nil
	}
	src := hub(t, 4, harmless, nil)
	if err := s.RemoteWithin(t.Context(), src, 4, 3*int64(len(harmless)), time.Minute, count); err != nil || n != 4 {
		t.Errorf("within the bounds: %d files, %v", n, err)
	}
	n = 0
	if err := s.RemoteWithin(t.Context(), src, 3, 1<<20, time.Minute, count); err == nil || !strings.Contains(err.Error(), "has 4 files") || n != 0 {
		t.Errorf("too many files: %d, %v", n, err)
	}
	if err := s.RemoteWithin(t.Context(), src, 4, int64(len(harmless)), time.Minute, count); err == nil || !strings.Contains(err.Error(), "after 2 of 4 files") || n != 2 {
		t.Errorf("too many bytes: %d, %v", n, err)
	}
	late := make(chan struct{})
	t.Cleanup(func() { close(late) })
	n = 0
	err := s.RemoteWithin(t.Context(), hub(t, 4, harmless, late), 4, 1<<20, 100*time.Millisecond, count)
	if err == nil || !strings.Contains(err.Error(), "was not read within 100ms") || n != 0 {
		t.Errorf("too late: %d, %v", n, err)
	}
}
