package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/apexlogic/apex/verdict"
)

func TestEveryCodeOfARequestHasItsStatus(t *testing.T) {
	known := map[verdict.Code]bool{}
	for _, c := range verdict.Codes() {
		known[c.Code] = true
		if status, there := statuses[c.Code]; strings.HasPrefix(string(c.Code), "request.") && !there {
			t.Errorf("%s has no status: add it to statuses", c.Code)
		} else if there && (status < 400 || http.StatusText(status) == "") {
			t.Errorf("%s answers %d", c.Code, status)
		}
	}
	for c := range statuses {
		if !known[c] {
			t.Errorf("%s is no code", c)
		}
	}
}
