package oci

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/apexlogic/apex/verdict"
)

// token is an Authorization header's value and when it stops being used.
type token struct {
	header string
	until  time.Time
}

const (
	// tokenLife is what the token specification says when a service gives none.
	tokenLife = 60 * time.Second
	// tokenMaxLife is how long credentials and tokens are kept at most.
	tokenMaxLife = 5 * time.Minute
	// tokenSlack is taken off, so that a token does not expire on its way.
	tokenSlack = 10 * time.Second
)

// target is how a keychain is asked for one repository.
type target struct{ host, path string }

func (t target) String() string      { return t.host + "/" + t.path }
func (t target) RegistryStr() string { return t.host }

var _ authn.Resource = target{}

// keychainHost is the name under which the Docker configuration keeps a
// registry's credentials.
func keychainHost(host string) string {
	if host == "registry-1.docker.io" {
		return "index.docker.io" // which package authn turns into the historical key
	}
	return host
}

// loginCommand is what a person runs to get credentials for a registry.
func loginCommand(host string) string {
	if host == "registry-1.docker.io" {
		return "docker login"
	}
	return "docker login " + host
}

// authorize returns the Authorization header for actions on the call's
// repository. Without ch it uses only what is known already and "" means: try
// without. With ch, which has just come with a 401, it makes a new one; "" then
// means that there is nothing to offer.
//
// Tokens are kept by exact host, repository and actions, so that none can
// reach a registry with a similar name.
func (c *call) authorize(ctx context.Context, h *host, actions string, ch *challenge) (string, error) {
	key := c.repo.path + "|" + actions
	h.mu.Lock()
	if ch == nil {
		known := h.challenge
		t, ok := h.tokens[key]
		h.mu.Unlock()
		if ok && c.clock.Now().Before(t.until) {
			return t.header, nil
		}
		if known.scheme == "" {
			return "", nil
		}
		ch = &known
	} else {
		h.challenge = *ch
		delete(h.tokens, key)
		h.mu.Unlock()
	}
	cred, err := c.credentials(ctx)
	if err != nil {
		return "", err
	}
	var t token
	switch {
	case cred.RegistryToken != "":
		t = token{"Bearer " + cred.RegistryToken, c.clock.Now().Add(tokenMaxLife)}
	case ch.scheme == "basic":
		if cred.Username == "" && cred.Password == "" {
			return "", nil
		}
		t = token{basic(cred), c.clock.Now().Add(tokenMaxLife)}
	default:
		if t, err = c.fetchToken(ctx, h, *ch, cred, actions); err != nil {
			return "", err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.tokens) >= maxTokens {
		for other := range h.tokens {
			delete(h.tokens, other)
			break
		}
	}
	h.tokens[key] = t
	return t.header, nil
}

func basic(cred authn.AuthConfig) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(cred.Username+":"+cred.Password))
}

// credentials asks the keychain. Credential helpers are programs that know
// nothing of contexts, so the wait for them is what ends.
func (c *call) credentials(ctx context.Context) (authn.AuthConfig, error) {
	if c.keychain == nil {
		return authn.AuthConfig{}, nil
	}
	type answer struct {
		cred *authn.AuthConfig
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		a, err := authn.Resolve(ctx, c.keychain, target{keychainHost(c.repo.host), c.repo.path})
		if err != nil {
			done <- answer{err: err}
			return
		}
		cred, err := authn.Authorization(ctx, a)
		done <- answer{cred, err}
	}()
	select {
	case a := <-done:
		if a.err != nil {
			// The helper's own words may hold what it was given.
			return authn.AuthConfig{}, faultf(verdict.RegistryUnauthorized,
				"the credentials for %s could not be read from the Docker configuration or its credential helper; try %s", c.repo.host, loginCommand(c.repo.host))
		}
		cred := *a.cred
		if cred.Username == "" && cred.Password == "" && cred.Auth != "" {
			if raw, err := base64.StdEncoding.DecodeString(cred.Auth); err == nil {
				cred.Username, cred.Password, _ = strings.Cut(string(raw), ":")
			}
		}
		return cred, nil
	case <-ctx.Done():
		return authn.AuthConfig{}, context.Cause(ctx)
	}
}

// fetchToken asks the service that the registry named (Docker registry token
// specification; with an identity token, its OAuth2 form). The scope is ours:
// what the challenge asks for is not the registry's to choose.
func (c *call) fetchToken(ctx context.Context, h *host, ch challenge, cred authn.AuthConfig, actions string) (token, error) {
	realm, err := url.Parse(ch.realm)
	if err != nil || !realm.IsAbs() {
		return token{}, faultf(verdict.RegistryUnauthorized, "%s names a token service (realm) that is not a URL", h.name)
	}
	transport, err := c.hop(h, realm)
	if err != nil {
		return token{}, err
	}
	scope := "repository:" + c.repo.path + ":" + actions
	r := request{method: http.MethodGet, accept: "application/json", limit: maxTokenBytes, wait: c.limits.Header}
	auth := ""
	if cred.IdentityToken != "" {
		form := url.Values{
			"grant_type":    {"refresh_token"},
			"refresh_token": {cred.IdentityToken},
			"client_id":     {"apex"},
			"service":       {ch.service},
			"scope":         {scope},
		}.Encode()
		r.method = http.MethodPost
		r.header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
		r.length = int64(len(form))
		r.body = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(form)), nil }
	} else {
		query := realm.Query()
		if ch.service != "" {
			query.Set("service", ch.service)
		}
		query.Set("scope", scope)
		realm.RawQuery = query.Encode()
		if cred.Username != "" || cred.Password != "" {
			auth = basic(cred)
		}
	}
	res, err := c.exchange(ctx, transport, realm, r, auth)
	if err != nil {
		return token{}, fmt.Errorf("get a token: %w", err)
	}
	if res.status != http.StatusOK {
		if res.status >= 300 && res.status < 429 {
			return token{}, &fault{code: verdict.RegistryUnauthorized, status: res.status,
				err: fmt.Errorf("the token service %s answered %d; log in with %s", realm.Host, res.status, loginCommand(h.name))}
		}
		return token{}, fmt.Errorf("get a token: %w", statusError(c.clock.Now(), realm.Host, res.status, res.header, ""))
	}
	t, err := parseToken(res.body, c.clock.Now())
	if err != nil {
		return token{}, faultf(verdict.RegistryUnauthorized, "the token service %s: %w", realm.Host, err)
	}
	return t, nil
}

// parseToken reads a token service's answer.
func parseToken(body []byte, now time.Time) (token, error) {
	var doc struct {
		Token       string  `json:"token"`
		AccessToken string  `json:"access_token"`
		ExpiresIn   float64 `json:"expires_in"`
	}
	// The decoder's error could quote the body, and with it the token.
	if json.Unmarshal(body, &doc) != nil {
		return token{}, errors.New("the answer is not JSON")
	}
	if doc.Token == "" {
		doc.Token = doc.AccessToken
	}
	if doc.Token == "" || strings.ContainsFunc(doc.Token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return token{}, errors.New("the answer holds no usable token")
	}
	life := tokenLife
	if doc.ExpiresIn > 0 {
		life = time.Duration(min(doc.ExpiresIn, tokenMaxLife.Seconds()) * float64(time.Second))
	}
	return token{"Bearer " + doc.Token, now.Add(max(life-tokenSlack, time.Second))}, nil
}
