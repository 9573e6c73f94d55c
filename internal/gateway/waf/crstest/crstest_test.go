package crstest

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAllCasesAreSpelledAsRequests(t *testing.T) {
	cases, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 4600 {
		t.Errorf("there are %d cases", len(cases))
	}
	seen := map[string]bool{}
	for _, c := range cases {
		if seen[c.ID] {
			t.Errorf("%s is there twice", c.ID)
		}
		seen[c.ID] = true
		for _, s := range c.Stages {
			if len(s.Request) == 0 || !strings.Contains(string(s.Request), "\n") {
				t.Errorf("%s sends %q", c.ID, s.Request)
			}
		}
	}
}

func TestWhatIsWantedIsToldFromWhatIsNot(t *testing.T) {
	for name, c := range map[string]struct {
		want Want
		seen Seen
		ok   bool
	}{
		"a rule that must match does":            {Want{IDs: []int{1}}, Seen{Status: 200, IDs: []int{1, 2}}, true},
		"a rule that must match does not":        {Want{IDs: []int{1}}, Seen{Status: 200, IDs: []int{2}}, false},
		"a rule that must not match does not":    {Want{NotIDs: []int{1}}, Seen{Status: 200}, true},
		"a rule that must not match does":        {Want{NotIDs: []int{1}}, Seen{Status: 200, IDs: []int{1}}, false},
		"the status is the one":                  {Want{Status: 400}, Seen{Status: 400}, true},
		"the status is another":                  {Want{Status: 400}, Seen{Status: 200}, false},
		"no answer, and none is needed":          {Want{Error: true, IDs: []int{1}}, Seen{}, true},
		"no answer, where one is needed":         {Want{}, Seen{}, false},
		"the log holds what it must":             {Want{Match: "a.c"}, Seen{Status: 200, Log: "abc"}, true},
		"the log does not hold what it must":     {Want{Match: "a.c"}, Seen{Status: 200, Log: "b"}, false},
		"the log does not hold what it must not": {Want{NotMatch: "a.c"}, Seen{Status: 200, Log: "b"}, true},
		"the log holds what it must not":         {Want{NotMatch: "a.c"}, Seen{Status: 200, Log: "abc"}, false},
	} {
		if err := c.want.Check(c.seen); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheBackendReflectsWhatItIsTold(t *testing.T) {
	server := httptest.NewServer(Backend())
	defer server.Close()
	for request, want := range map[string]int{
		"POST /reflect HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 14\r\n\r\n{\"status\":418}": 418,
		"POST /reflect HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\n{":                 400,
		"GET /get HTTP/1.1\r\nHost: a\r\n\r\n":                                                                 200,
		"GET\r\n\r\n":                                                                                          400,
	} {
		if got, err := Send(t.Context(), server.Listener.Addr().String(), []byte(request)); err != nil || got != want {
			t.Errorf("%q is answered %d, %v; not %d", request, got, err, want)
		}
	}
}
