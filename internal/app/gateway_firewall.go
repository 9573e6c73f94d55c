package app

import (
	"cmp"
	"fmt"
	"log/slog"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gateway"
	"github.com/apexlogic/apex/internal/gateway/waf"
)

// The Core Rule Set's own defaults.
const (
	defaultParanoia        = 1
	defaultThreshold       = 5
	defaultAnswerThreshold = 4
)

// firewalls are the engines of all profiles in use: one takes 200 ms of CPU to
// make, so routes and generations with the same profile share it. An engine is
// closed when neither what was compiled last nor any snapshot whose requests are
// still under way has it.
type firewalls struct {
	clock   clock.Clock
	log     *slog.Logger
	engines map[string]*engine
	live    map[*gateway.Snapshot][]*engine // from when it is in force until it has ended
}

// engine is a compiled profile.
type engine struct {
	*waf.WAF
	used bool // by what was compiled last
}

// begin forgets which engines are used.
func (f *firewalls) begin() {
	for _, e := range f.engines {
		e.used = false
	}
}

// of returns what looks at requests and at answers by a profile, which is one
// engine; nil where nothing is to be looked at.
func (f *firewalls) of(route string, spec *v1alpha1.RouteWAF) (gateway.Firewall, gateway.AnswerFirewall, error) {
	mode, err := modeOf(spec.Mode)
	if err != nil {
		return nil, nil, err
	}
	answers, err := modeOf(cmp.Or(spec.Answers, spec.Mode))
	if err != nil {
		return nil, nil, err
	}
	if mode == 0 && answers == 0 {
		return nil, nil, nil
	}
	name := nameOf(spec)
	e, ok := f.engines[name]
	if !ok {
		p := waf.Profile{
			Paranoia: int(cmp.Or(spec.Paranoia, defaultParanoia)), BlockingThreshold: int(cmp.Or(spec.Threshold, defaultThreshold)),
			Mode: cmp.Or(mode, waf.Observe), Answers: answers, AnswerThreshold: int(cmp.Or(spec.AnswerThreshold, defaultAnswerThreshold)), Clock: f.clock,
		}
		for _, e := range spec.Exclusions {
			p.Exclusions = append(p.Exclusions, waf.Exclusion{Rule: int(e.Rule), Where: e.Where, Until: e.Until.Time, Reason: e.Reason})
		}
		w, err := waf.New(p)
		if err != nil {
			return nil, nil, err
		}
		if f.engines == nil {
			f.engines = map[string]*engine{}
		}
		e = &engine{WAF: w}
		f.engines[name] = e
	}
	e.used = true
	f.warn(route, e)
	var requests gateway.Firewall
	if mode != 0 {
		requests = e.WAF
	}
	if answers == 0 {
		return requests, nil, nil
	}
	return requests, e.WAF, nil
}

// modeOf reads a mode; 0 is that nothing is looked at.
func modeOf(name string) (waf.Mode, error) {
	switch name {
	case "", "Block":
		return waf.Block, nil
	case "Detect":
		return waf.Observe, nil
	case "Disabled":
		return 0, nil
	}
	return 0, fmt.Errorf("%q is no mode", name)
}

// warn tells of exclusions that hold no more, which somebody should take out.
func (f *firewalls) warn(route string, e *engine) {
	for _, x := range e.Expired() {
		f.log.Warn("an exclusion of the firewall has expired; its rule holds again", "route", route, "rule", x.Rule, "where", x.Where, "until", x.Until)
	}
}

// keep has the engines in use last as long as a snapshot that is in force now.
func (f *firewalls) keep(s *gateway.Snapshot) {
	if f.live == nil {
		f.live = map[*gateway.Snapshot][]*engine{}
	}
	for _, e := range f.engines {
		if e.used {
			f.live[s] = append(f.live[s], e)
		}
	}
}

// ended lets go of what a snapshot needed.
func (f *firewalls) ended(s *gateway.Snapshot) {
	delete(f.live, s)
	f.sweep()
}

// sweep closes the engines that nobody needs.
func (f *firewalls) sweep() {
	needed := map[*engine]bool{}
	for _, all := range f.live {
		for _, e := range all {
			needed[e] = true
		}
	}
	for name, e := range f.engines {
		if e.used || needed[e] {
			continue
		}
		delete(f.engines, name)
		if err := e.Close(); err != nil {
			f.log.Error("an engine of the firewall was not closed", "err", err)
		}
	}
}
