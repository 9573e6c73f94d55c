package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	rights "github.com/apexlogic/apex/internal/access"
	"github.com/apexlogic/apex/internal/access/authzen"
	"github.com/apexlogic/apex/internal/access/kinds"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/gateway/limit"
	"github.com/apexlogic/apex/internal/ledger"
	"github.com/apexlogic/apex/verdict"
)

// accessInForce is what enforcement points ask.
type accessInForce struct {
	set       *rights.Set
	directory *authzen.Directory
	labels    map[string]map[string]string // of workloads, by SPIFFE ID
}

func inForce(s *config.Set, set *rights.Set) *accessInForce {
	labels, _ := workloadLabels(s) // what is wrong with them is told where they are compiled
	return &accessInForce{set, accessDirectory(s, set, labels), labels}
}

// workloadLabels are the labels of workloads: those of the WorkloadIdentities that
// give them their identity, wherever their authority is. Who may write these says
// who a workload is; labels of a Pod are written by whoever may start it.
func workloadLabels(s *config.Set) (map[string]map[string]string, []config.Problem) {
	var all map[string]map[string]string
	var problems []config.Problem
	for i := range s.WorkloadIdentities {
		o := s.WorkloadIdentities[i]
		if len(o.Value.Labels) == 0 {
			continue
		}
		if all == nil {
			all = map[string]map[string]string{}
		}
		id := o.Value.Spec.SPIFFEID
		if all[id] == nil {
			all[id] = map[string]string{}
		}
		for key, value := range o.Value.Labels {
			if before, there := all[id][key]; there && before != value {
				problems = append(problems, o.Problem(verdict.PolicyInvalid, "metadata.labels",
					fmt.Sprintf("the label %s is %q here, and %q in another WorkloadIdentity of %s: write the same in both", key, value, before, id)))
				continue
			}
			all[id][key] = value
		}
	}
	return all, problems
}

// asked are the rules as a decision point has them; nil is none.
func (r *accessInForce) asked(g *config.Generation) authzen.Rules {
	if r == nil {
		return authzen.Rules{}
	}
	return authzen.Rules{Generation: g.Hash, Set: r.set, Directory: r.directory}
}

// compileAccessInForce is the share of a generation that enforcement points ask.
func compileAccessInForce(s *config.Set) (*accessInForce, error) {
	set, problems := compileTested(s)
	if len(problems) > 0 {
		return nil, &config.Invalid{Problems: problems}
	}
	if _, problems := workloadLabels(s); len(problems) > 0 {
		return nil, &config.Invalid{Problems: problems}
	}
	return inForce(s, set), nil
}

// compileTested compiles the access rules of a set, and asks their tests.
func compileTested(s *config.Set) (*rights.Set, []config.Problem) {
	set, problems := kinds.Compile(s, rights.Options{MaxAge: modelsStale})
	if set != nil {
		_, failed := kinds.Test(s, set)
		problems = append(problems, failed...)
	}
	return set, problems
}

// accessDirectory are whom and what the documents name: searches look through
// them. Beside the models of routes those are the identities, tools, topics and
// hosts that policies name one by one.
func accessDirectory(s *config.Set, set *rights.Set, labels map[string]map[string]string) *authzen.Directory {
	var subjects []authzen.Subject
	var resources []authzen.Resource
	for i := range s.ProtectedRoutes {
		doc := s.ProtectedRoutes[i].Value
		for _, m := range doc.Spec.Models {
			r := authzen.Resource{Entity: rights.Entity{Type: rights.Model, ID: m.Name}, Route: doc.Name, Properties: map[string]any{}}
			if m.Digest != "" {
				r.Properties["digest"] = m.Digest
			}
			if len(doc.Labels) > 0 {
				r.Properties["labels"] = doc.Labels
			}
			resources = append(resources, r)
		}
	}
	who, what := set.Named()
	known := map[string]bool{}
	for _, e := range who {
		subject := authzen.Subject{Entity: e}
		if own := labels[e.ID]; own != nil && e.Type == rights.Workload {
			subject.Attributes, known[e.ID] = map[string]any{"labels": own}, true
		}
		subjects = append(subjects, subject)
	}
	for id, own := range labels {
		if !known[id] {
			subjects = append(subjects, authzen.Subject{Entity: rights.Entity{Type: rights.Workload, ID: id}, Attributes: map[string]any{"labels": own}})
		}
	}
	for _, e := range what {
		if !slices.ContainsFunc(resources, func(r authzen.Resource) bool { return r.Entity == e }) {
			resources = append(resources, authzen.Resource{Entity: e})
		}
	}
	return authzen.NewDirectory(subjects, resources)
}

// DefaultQuestionRate is how many decisions a caller may ask for in a minute: 1,000
// in a second, which one enforcement point hardly needs, and a gateway has to spare.
const DefaultQuestionRate = 60_000

// pointOptions are the parts of a decision point.
type pointOptions struct {
	rules func() authzen.Rules
	url   string
	// authenticate returns the name of who asks, one of so many callers.
	authenticate func(*http.Request) (string, error)
	callers      int
	rate         int // decisions in a minute for each caller; 0 is [DefaultQuestionRate]
	ledger       *ledger.Ledger
	clock        clock.Clock
	log          *slog.Logger
}

// decisionPoint answers by the rules in force, and records what it answers.
func decisionPoint(o pointOptions) (http.Handler, error) {
	if o.rate == 0 {
		o.rate = DefaultQuestionRate
	}
	if o.rate < 0 {
		return nil, fmt.Errorf("a rate of %d decisions in a minute is none: say 1 or more", o.rate)
	}
	// Room for more than there are, because callers are not spread evenly over it.
	rates := limit.NewRates(o.clock, 64*max(o.callers, 1))
	return authzen.New(authzen.Config{
		Rules: o.rules, Authenticate: o.authenticate, URL: o.url, Clock: o.clock,
		Take: func(who string, n int) (time.Duration, bool) {
			// What is more than a minute's is the whole minute's: a large page of a
			// search may else never be asked for.
			return rates.Take(&limit.Bound{Route: doorAuthZEN, Who: who, Unit: limit.Requests, N: int64(min(n, o.rate)), Most: int64(o.rate), Per: time.Minute})
		},
		Record: func(ctx context.Context, asked *authzen.Asked) error {
			data, err := json.Marshal(asked)
			if err == nil {
				err = requestRecorder{o.ledger}.append(ctx, ledger.Record{Type: authzen.AskedSchema, Data: data}, ledger.Written)
			}
			if err != nil {
				o.log.Error("what an enforcement point asked was not recorded", "caller", asked.Caller, "error", err)
			}
			return err
		},
	})
}

// tokenHolder is the name in records of who shows the token of the state folder.
const tokenHolder = "token"

// bearerOf is the authentication by a local token.
func bearerOf(token string) func(*http.Request) (string, error) {
	return func(r *http.Request) (string, error) {
		if !sameToken(r, token) {
			return "", errors.New("the token is missing or another one")
		}
		return tokenHolder, nil
	}
}

// AccessServeOptions configure [AccessServe].
type AccessServeOptions struct {
	// Config is the directory with the policies; it is followed.
	Config string
	// State is the directory with the token, which callers show as bearer token, and
	// with the ledger of what was asked.
	State string
	// Address to listen on; without a certificate on loopback only.
	Address string
	// URL that callers know the decision point by; "" is the address.
	URL                      string
	CertificateFile, KeyFile string
	// Rate is how many decisions may be asked for in a minute; 0 is
	// [DefaultQuestionRate].
	Rate   int
	Clock  clock.Clock
	Logger *slog.Logger
	// Ready is called once it listens; Health whenever what is in force changes.
	// They may be nil.
	Ready  func(url string)
	Health func(config.Health)
}

// roleAccess is the ledger of a decision point alone.
const roleAccess = "access"

// AccessServe answers enforcement points by AuthZEN until the context ends.
func AccessServe(ctx context.Context, o AccessServeOptions) (err error) {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(o.State, 0o700); err != nil {
		return err
	}
	token, err := apiToken(o.State)
	if err != nil {
		return err
	}
	records, err := ledger.Open(ctx, filepath.Join(o.State, "ledger", roleAccess), ledger.Options{
		Origin: "apex/" + roleAccess, Clock: o.Clock, Logger: o.Logger, LockWait: lockWait,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	g := &runningGateway{o: GatewayOptions{CertificateFile: o.CertificateFile, KeyFile: o.KeyFile, Logger: o.Logger}}
	l, err := g.listen("the decision point", o.Address, "--address")
	if err != nil {
		return err
	}
	defer l.Close()
	url := pointURL(o.URL, o.CertificateFile != "", l.Addr())
	publisher := config.NewPublisher(o.Clock)
	part := config.Register(publisher, "access", compileAccessInForce)
	handler, err := decisionPoint(pointOptions{
		rules: func() authzen.Rules {
			now := publisher.Current()
			r, _ := part.Of(now)
			return r.asked(now)
		},
		url: url, authenticate: bearerOf(token), callers: 1, rate: o.Rate, ledger: records, clock: o.Clock, log: o.Logger,
	})
	if err != nil {
		return err
	}
	watcher := config.NewWatcher(publisher, o.Config, func(h config.Health) {
		for i := range h.Problems {
			o.Logger.Error("what the directory says is not in force", "problem", h.Problems[i].String())
		}
		if o.Health != nil {
			o.Health(h)
		}
	})
	following, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer stop()
	background.Go(func() { _ = watcher.Run(following) }) // Health has what is wrong
	background.Go(func() { g.keep(following, "sealing the ledger", records.Run) })
	server := apiServer(handler)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	if o.Ready != nil {
		o.Ready(url)
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), headersWithin)
	defer cancel()
	return server.Shutdown(ending)
}

// pointURL is by what callers know a decision point.
func pointURL(said string, secure bool, at net.Addr) string {
	switch {
	case said != "":
		return strings.TrimSuffix(said, "/")
	case secure:
		return fmt.Sprintf("https://%s", at)
	}
	return fmt.Sprintf("http://%s", at)
}
