package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/cache"
	"github.com/apexlogic/apex/internal/identity/chain"
	"github.com/apexlogic/apex/internal/identity/oidc"
	"github.com/apexlogic/apex/internal/identity/own"
	"github.com/apexlogic/apex/internal/identity/svid"
)

// remembered is how many credentials of a route are remembered as accepted.
const remembered = 50_000

// known is an authenticator with what it has learnt: keys of issuers, and
// credentials that were accepted.
type known struct {
	authenticator identity.Authenticator
	used          bool
}

// authenticator recognises the identities of a route; nil when it has none.
func (c *gatewayCompiler) authenticator(spec *v1alpha1.ProtectedRouteSpec) (identity.Authenticator, error) {
	if len(spec.Identities) == 0 {
		return nil, nil
	}
	name := nameOf(spec.Identities)
	if k, ok := c.known[name]; ok {
		k.used = true
		return k.authenticator, nil
	}
	all, err := c.workloadsOf(spec.Identities)
	if err != nil {
		return nil, err
	}
	for i := range spec.Identities {
		o := spec.Identities[i].OIDC
		if o == nil {
			continue
		}
		p, err := oidc.New(oidc.Options{
			Issuer: o.Issuer, Audiences: []string{o.Audience}, Groups: o.GroupsClaim, Claims: o.Claims,
			Private: slices.Contains(c.o.PrivateIssuers, o.Issuer), Authorities: c.issuers, Clock: c.o.Clock,
		})
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	ask, err := chain.New(all...)
	if err != nil {
		return nil, err
	}
	k := &known{authenticator: cache.New(ask, c.o.Clock, remembered), used: true}
	c.known[name] = k
	return k.authenticator, nil
}

// workloadsOf recognises the workloads of a route's trust domains.
func (c *gatewayCompiler) workloadsOf(sources []v1alpha1.IdentitySource) ([]identity.Generational, error) {
	var domains, withTokens []string
	for i := range sources {
		if s := sources[i].SPIFFE; s != nil {
			domains = append(domains, s.TrustDomain)
			if s.Audience != "" {
				withTokens = append(withTokens, s.TrustDomain)
			}
		}
	}
	if len(domains) == 0 {
		return nil, nil
	}
	bundles, err := c.trust.only(domains)
	if err != nil {
		return nil, err
	}
	all := []identity.Generational{svid.NewX509(bundles, c.o.Clock)}
	switch names := audiences(sources); len(names) {
	case 0:
	case 1:
		// Of a trust domain that names no audience no token is taken.
		if bundles, err = c.trust.only(withTokens); err != nil {
			return nil, err
		}
		tokens, err := svid.NewJWT(bundles, names, c.o.Clock)
		if err != nil {
			return nil, err
		}
		all = append(all, tokens)
	default: // a token for one of them would do for the other's trust domain
		return nil, errors.New("the trust domains of one route have one audience; make a route for each audience")
	}
	return all, nil
}

// trustDomains are the trust domains that the gateway believes, with their keys.
type trustDomains struct {
	dir string
	own *own.Identity

	mu   sync.Mutex
	now  map[string]own.Bundle
	sets map[string]*svid.Bundles // those of one route, by their names
}

func openTrustDomains(dir string, id *own.Identity) (*trustDomains, error) {
	t := &trustDomains{dir: dir, own: id, sets: map[string]*svid.Bundles{}}
	_, err := t.read()
	return t, err
}

// read reads all bundles, replaces the keys wherever they are used, and says
// whether they changed.
func (t *trustDomains) read() (changed bool, err error) {
	next := map[string]own.Bundle{}
	if t.dir != "" {
		all, err := own.Domains(t.dir)
		if err != nil {
			return false, err
		}
		for _, b := range all {
			next[b.TrustDomain().Name()] = b
		}
	}
	if t.own != nil && t.own.CA != nil {
		b := t.own.CA.Bundle()
		if _, twice := next[b.TrustDomain().Name()]; twice {
			return false, fmt.Errorf("the trust domain %s is the gateway's own, and has a bundle in %s as well; remove that", b.TrustDomain().Name(), t.dir)
		}
		next[b.TrustDomain().Name()] = b
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if maps.EqualFunc(t.now, next, own.Bundle.Equal) {
		return false, nil // what was accepted by these keys is remembered
	}
	for names, set := range t.sets {
		var list []own.Bundle
		if names == everyDomain {
			list = slices.Collect(maps.Values(next))
		} else {
			for name := range strings.SplitSeq(names, " ") {
				if b, there := next[name]; there {
					list = append(list, b) // of one that is gone nobody is believed
				}
			}
		}
		if err := set.Set(list...); err != nil {
			return true, err
		}
	}
	t.now = next
	return true, nil
}

// everyDomain is the name of the set that holds all trust domains; it is no name
// of one.
const everyDomain = "*"

// all returns the keys of all trust domains; they follow what is read later, also
// domains that come to be known.
func (t *trustDomains) all() (*svid.Bundles, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if set, ok := t.sets[everyDomain]; ok {
		return set, nil
	}
	set, err := svid.NewBundles(slices.Collect(maps.Values(t.now))...)
	if err != nil {
		return nil, err
	}
	t.sets[everyDomain] = set
	return set, nil
}

// only returns the keys of these trust domains; they follow what is read later.
func (t *trustDomains) only(names []string) (*svid.Bundles, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	key := strings.Join(names, " ")
	if set, ok := t.sets[key]; ok {
		return set, nil
	}
	var list []own.Bundle
	for _, name := range names {
		b, there := t.now[name]
		if !there && t.own != nil && t.own.CA == nil && strings.HasPrefix(t.own.ID, "spiffe://"+name+"/") {
			continue // its authority is still starting: nobody of it is let in before its keys are there
		}
		if !there {
			return nil, fmt.Errorf("nothing says which keys the trust domain %s has: put its bundle as %s.json or %s.pem into the folder of --trust-bundles", name, name, name)
		}
		list = append(list, b)
	}
	set, err := svid.NewBundles(list...)
	if err != nil {
		return nil, err
	}
	t.sets[key] = set
	return set, nil
}

// readBundles is how often the folder with bundles is read again: whoever is not
// believed any more is cut within five seconds.
const readBundles = 2 * time.Second

// follow reads again until the context ends, and says when keys changed. What
// cannot be read changes nothing.
func (t *trustDomains) follow(ctx context.Context, changed func(), failed func(error)) {
	ticker := time.NewTicker(readBundles)
	defer ticker.Stop()
	for {
		var rotated <-chan struct{}
		if t.own != nil && t.own.CA != nil {
			rotated = t.own.CA.Changed()
		}
		different, err := t.read()
		if err != nil {
			failed(err)
		}
		if different {
			changed()
		}
		select {
		case <-ctx.Done():
			return
		case <-rotated:
		case <-ticker.C:
		}
	}
}
