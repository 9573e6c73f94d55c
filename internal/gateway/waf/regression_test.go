package waf

import (
	"errors"
	"io/fs"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
	"github.com/corazawaf/coraza/v3"
	corazahttp "github.com/corazawaf/coraza/v3/http"
	"github.com/corazawaf/coraza/v3/types"

	"github.com/apexlogic/apex/internal/gateway/waf/crstest"
)

// ignored cases cannot pass in front of Go's HTTP server, with the reason.
var ignored = map[string]string{
	"920100-5": "the tests expect httpd itself to refuse CONNECT to a name without a port",
	"920100-8": "the tests expect httpd itself to refuse a colon in a path on Windows' grounds",
	"920270-4": "the tests expect httpd itself to refuse an escape in Host",
	"920274-1": "the tests expect httpd itself to refuse an escape in Host",
	"920290-1": "the tests expect httpd itself to refuse an empty Host",
	"920290-4": "an empty Host and none are the same to Go: 920280 matches in its place",
	"920610-2": "the tests expect httpd itself to refuse a fragment in the request line",
	"920620-1": "httpd makes one Content-Type of two; here there are two, and the rule matches",
	"922130-1": "Coraza refuses the part's header in other words (rule 200002)",
	"922130-2": "Coraza refuses the part's header in other words (rule 200002)",
	"922130-7": "Coraza refuses the part's header in other words (rule 200002)",
}

// testSetup is how the authors of the rules configure them for their own tests.
const testSetup = `
SecResponseBodyMimeType text/plain text/html text/xml application/json
SecDefaultAction "phase:3,log,auditlog,pass"
SecDefaultAction "phase:4,log,auditlog,pass"
SecDefaultAction "phase:5,log,auditlog,pass"
SecAction "id:900005,phase:1,nolog,pass,ctl:ruleEngine=DetectionOnly,setvar:tx.blocking_paranoia_level=4,setvar:tx.crs_validate_utf8_encoding=1,setvar:tx.arg_name_length=100,setvar:tx.arg_length=400,setvar:tx.total_arg_length=64000,setvar:tx.max_num_args=255,setvar:tx.max_file_size=64100,setvar:tx.combined_file_sizes=65535"
`

// matches collects the rules that match.
type matches struct {
	mu  sync.Mutex
	ids []int
	log strings.Builder
}

func (m *matches) add(r types.MatchedRule) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ids = append(m.ids, r.Rule().ID())
	m.log.WriteString(r.ErrorLog() + "\n")
}

func (m *matches) take() (ids []int, log string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ids, log = m.ids, m.log.String()
	m.ids = nil
	m.log.Reset()
	return ids, log
}

// testServer serves the rules in front of the tests' server, with Coraza's own
// handling of bodies.
func testServer(t *testing.T, files fs.FS) (address string, seen *matches) {
	t.Helper()
	recommended, err := fs.ReadFile(coreruleset.FS, "@coraza.conf-recommended")
	if err != nil {
		t.Fatal(err)
	}
	seen = new(matches)
	setup := strings.ReplaceAll(string(recommended), "SecAuditEngine RelevantOnly", "SecAuditEngine Off")
	engine, err := coraza.NewWAF(coraza.NewWAFConfig().WithRootFS(files).WithErrorCallback(seen.add).
		WithDirectives(setup).WithDirectives(testSetup).
		WithDirectives("Include @crs-setup.conf.example\nInclude @owasp_crs/*.conf"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(corazahttp.WrapHandler(engine, crstest.Backend()))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), seen
}

// raced says that the race detector is on, under which each case takes ten times
// as long: one in ten is enough for it.
var raced bool

func TestTheRuleSetsOwnTestsPassWithOurOperators(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	register()
	f, err := newFilter(coreruleset.FS, 4)
	if err != nil {
		t.Fatal(err)
	}
	address, seen := testServer(t, &ruleFiles{FS: coreruleset.FS, filter: f})
	cases, err := crstest.Load()
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 4600 {
		t.Fatalf("only %d cases were found", len(cases))
	}
	passed, failed, earlier := 0, 0, 0
	for i, c := range cases {
		if raced && i%10 != 0 {
			continue
		}
		err := run(t, address, seen, c)
		if errors.Is(err, errEarlier) {
			err = nil
			earlier++
			t.Logf("%s is refused before the rules see it", c.ID)
		}
		if why, ok := ignored[c.ID]; ok {
			if err == nil {
				t.Errorf("%s passes; it is ignored because %s", c.ID, why)
			}
			continue
		}
		if err != nil {
			failed++
			t.Errorf("%s: %v", c.ID, strings.ReplaceAll(err.Error(), "\n", "; "))
			continue
		}
		passed++
	}
	t.Logf("%d of %d cases passed (%d of them were refused before the rules), %d failed, %d are ignored", passed, len(cases), earlier, failed, len(ignored))
}

var errEarlier = errors.New("refused before the rules")

func run(t *testing.T, address string, seen *matches, c crstest.Case) error {
	t.Helper()
	for _, stage := range c.Stages {
		status, err := crstest.Send(t.Context(), address, stage.Request)
		ids, log := seen.take()
		if err != nil {
			return err
		}
		what := crstest.Seen{Status: status, IDs: ids, Log: log}
		if err := stage.Want.Check(what); err != nil {
			if stage.Want.Refused(what) {
				return errEarlier
			}
			return err
		}
	}
	return nil
}
