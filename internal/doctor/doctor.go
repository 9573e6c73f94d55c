// Package doctor says what is wrong with an installation of Apex and how to
// mend it, the way a colleague would: one small check after the other, each
// with what it saw and the exact command that helps.
//
// Start with [Examine] on a [Patient]. The table of all checks is in table.go;
// a check is one function there. The caller hands in what only it can reach
// (documents, Git); everything else is looked at where it is. Nothing is changed.
package doctor

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
)

// Status is how a check came out.
type Status string

// The statuses. Skip means that there is nothing to look at.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "fail"
	Skip Status = "skip"
)

// Schema is the value of [Report.Schema].
const Schema = "apex.doctor/v1"

// Report is what was found, in the order of the table.
type Report struct {
	Schema string    `json:"schema"`
	At     time.Time `json:"at"`
	// OK is true when nothing failed; warnings may be there.
	OK     bool     `json:"ok"`
	Checks []Result `json:"checks"`
}

// Result is one check's answer.
type Result struct {
	ID     string `json:"id"`
	Status Status `json:"status"`
	// Evidence is what was seen, in one sentence.
	Evidence string `json:"evidence"`
	// Fix is a command for a POSIX shell that mends it; empty when nothing is wrong.
	Fix string `json:"fix,omitempty"`
}

// Patient is the installation that is examined. State is needed.
type Patient struct {
	// Workspace is its folder; empty: there is none.
	Workspace string
	// State is the directory with ledger, meter, registry and keys.
	State string
	// Head returns the commit in force, and Documents what it says. They are
	// called when there is a workspace.
	Head      func() (string, error)
	Documents func(context.Context) (*config.Set, error)
	// Ledgers are the directories of the ledgers; VerifierKey returns a ledger's.
	Ledgers     []string
	VerifierKey func(dir string) (string, error)
	// Registry and API are the host:port of a running apex up; empty: none ever ran.
	Registry, API string
	// RegistryUser and RegistryToken, and APIToken, are the local credentials.
	RegistryUser, RegistryToken, APIToken string
	// DockerConfig is the path of Docker's configuration file.
	DockerConfig string
	// Free returns the free bytes where a directory is; nil asks the system.
	Free func(dir string) (uint64, error)
	// Look finds a program on the PATH; nil asks the system.
	Look  func(program string) (string, error)
	Clock clock.Clock
}

// examined is a patient with what checks share.
type examined struct {
	*Patient
	client *http.Client
	now    time.Time
}

const (
	// checkTime bounds one check, and ledgerTime the one that reads ledgers.
	checkTime  = 5 * time.Second
	ledgerTime = 10 * time.Second
)

// Examine makes all checks, one after the other. It returns within the sum of
// their limits, whatever the disk and the network do.
func Examine(ctx context.Context, p Patient) Report {
	if p.Clock == nil {
		p.Clock = clock.System{}
	}
	x := &examined{Patient: &p, now: p.Clock.Now(), client: &http.Client{
		Timeout: checkTime,
		// Local listeners only: no proxy, and no redirect that takes a token elsewhere.
		Transport:     &http.Transport{Proxy: nil},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	defer x.client.CloseIdleConnections()
	r := Report{Schema: Schema, At: x.now, OK: true, Checks: []Result{}}
	for _, c := range checks {
		limit := c.limit
		if limit == 0 {
			limit = checkTime
		}
		one, cancel := context.WithTimeout(ctx, limit)
		f := c.look(one, x)
		cancel()
		r.Checks = append(r.Checks, Result{ID: c.id, Status: f.status, Evidence: f.evidence, Fix: f.fix})
		r.OK = r.OK && f.status != Fail
	}
	return r
}

// quote makes text one word of a POSIX shell.
func quote(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-:@=+", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

func quoteAll(texts []string) string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = quote(t)
	}
	return strings.Join(out, " ")
}
