package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// caller is who sent a request.
type caller struct {
	principal Principal
	anonymous bool
	// token limits what the caller may do in this request; nil when the caller
	// sent a user name and a password.
	token *claims
}

// authenticate finds out who sends the request. No credentials make an
// anonymous caller, who may do what AnonymousPull says and nothing else; bad
// credentials never fall back to that.
func (r *Registry) authenticate(req *http.Request) (*caller, *problem) {
	header := req.Header.Values("Authorization")
	switch {
	case len(header) == 0:
		return &caller{anonymous: true}, nil
	case len(header) > 1:
		return nil, refuse(http.StatusBadRequest, codeUnauthorized, "send one Authorization header")
	}
	kind, value, _ := strings.Cut(header[0], " ")
	switch {
	case strings.EqualFold(kind, "Bearer"):
		c, err := r.signer.verify(strings.TrimSpace(value))
		if err != nil {
			return nil, refuse(http.StatusUnauthorized, codeUnauthorized, "%v; get a new one", err).
				with("WWW-Authenticate", r.challenge(req, "", "invalid_token"))
		}
		return &caller{
			principal: Principal{Name: c.Subject, Operator: c.Operator},
			anonymous: c.Anonymous,
			token:     c,
		}, nil
	case strings.EqualFold(kind, "Basic"):
		p, prob := r.login(req)
		if prob != nil {
			return nil, prob.with("WWW-Authenticate", r.challenge(req, "", ""))
		}
		return &caller{principal: p}, nil
	}
	return nil, refuse(http.StatusUnauthorized, codeUnauthorized, "send Basic or Bearer credentials").
		with("WWW-Authenticate", r.challenge(req, "", ""))
}

// login checks the request's user name and password.
func (r *Registry) login(req *http.Request) (Principal, *problem) {
	wrong := refuse(http.StatusUnauthorized, codeUnauthorized, "%v", ErrCredentials)
	user, password, ok := req.BasicAuth()
	if !ok {
		return Principal{}, wrong
	}
	p, err := r.auth.Authenticate(req.Context(), user, password)
	switch {
	case errors.Is(err, ErrCredentials):
		return Principal{}, wrong
	case err != nil:
		r.log.ErrorContext(req.Context(), "the authenticator failed", "error", err)
		return Principal{}, wrong
	case !validPrincipal(p.Name):
		r.log.ErrorContext(req.Context(), "the authenticator returned a principal whose name cannot be used")
		return Principal{}, wrong
	}
	return p, nil
}

// may reports whether the caller may do want in repo. It looks at the name
// only and never at the disk, so that its answer is the same for a repository
// that exists and for one that does not.
func (r *Registry) may(c *caller, repo string, want Actions) bool {
	if c.token != nil && !c.token.grants(repo, want) {
		return false
	}
	return r.granted(c.principal, c.anonymous, repo).Has(want)
}

// granted is what the tenants grant now, whatever a token says.
func (r *Registry) granted(p Principal, anonymous bool, repo string) Actions {
	var have Actions
	for _, prefix := range r.anonymousPull {
		if under(repo, prefix) {
			have |= Pull
		}
	}
	if anonymous {
		return have
	}
	if p.Operator {
		return allActions
	}
	for _, t := range r.tenants {
		if under(repo, t.Prefix) {
			have |= t.Members[p.Name]
		}
	}
	return have
}

// authorize refuses a caller who may not do want in repo. Somebody who may get
// a (wider) token is told where; a user with a password is told no.
func (r *Registry) authorize(req *http.Request, c *caller, repo string, want Actions) *problem {
	if r.may(c, repo, want) {
		return nil
	}
	if c.token == nil && !c.anonymous {
		return refuse(http.StatusForbidden, codeDenied, "you may not %s in this repository", want)
	}
	reason := ""
	if c.token != nil {
		reason = "insufficient_scope"
	}
	ask := want
	if want == Push {
		ask |= Pull // who pushes looks first what is there already
	}
	return refuse(http.StatusUnauthorized, codeUnauthorized, "authentication is required to %s in this repository", want).
		with("WWW-Authenticate", r.challenge(req, typeRepository+":"+repo+":"+ask.String(), reason))
}

// authorizeCatalog refuses those who may not list repositories at all; what
// the others see is filtered by their grants.
func (r *Registry) authorizeCatalog(req *http.Request, c *caller) *problem {
	switch {
	case c.anonymous && len(r.anonymousPull) == 0,
		c.anonymous && c.token == nil,
		c.token != nil && !c.token.catalog():
		return refuse(http.StatusUnauthorized, codeUnauthorized, "authentication is required to list repositories").
			with("WWW-Authenticate", r.challenge(req, typeRegistry+":"+nameCatalog+":*", ""))
	}
	return nil
}

// challenge is the value of WWW-Authenticate. Its parts are quoted strings:
// the scope has passed the grammar, the realm and the service are checked here
// and in New.
func (r *Registry) challenge(req *http.Request, scope, reason string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `Bearer realm=%q,service=%q`, r.realmOf(req), r.signer.service)
	if scope != "" {
		fmt.Fprintf(&b, `,scope=%q`, scope)
	}
	if reason != "" {
		fmt.Fprintf(&b, `,error=%q`, reason)
	}
	return b.String()
}

// realmOf is where tokens are had: what Options say, or the address at which
// the client reached us, which only that client is told.
func (r *Registry) realmOf(req *http.Request) string {
	if r.realm != "" {
		return r.realm
	}
	for i := range len(req.Host) {
		c := req.Host[i]
		if !isLowerAlnum(c) && (c < 'A' || c > 'Z') && !strings.ContainsRune(".:-_[]", rune(c)) {
			return "/token"
		}
	}
	scheme := "http"
	if req.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + req.Host + "/token"
}

// serveToken answers GET /token: credentials in, a short-lived token out that
// grants what was asked for and is allowed. Asking for too much is no error,
// as the token specification says; the token then grants less.
func (r *Registry) serveToken(w http.ResponseWriter, req *http.Request) error {
	if req.Method != http.MethodGet {
		// 404 makes clients that try the OAuth2 variant come back with GET.
		return refuse(http.StatusNotFound, codeUnsupported, "get tokens with GET and Basic credentials")
	}
	query := req.URL.Query()
	if service := query.Get("service"); service != "" && service != r.signer.service {
		return refuse(http.StatusBadRequest, codeUnsupported, "this is the token service of %s", r.signer.service)
	}
	scopes, err := parseScopes(query["scope"])
	if err != nil {
		return refuse(http.StatusBadRequest, codeUnsupported, "%v", err)
	}
	c := claims{Access: []access{}}
	switch kind, _, _ := strings.Cut(req.Header.Get("Authorization"), " "); {
	case strings.EqualFold(kind, "Basic"):
		p, prob := r.login(req)
		if prob != nil {
			return prob.with("WWW-Authenticate", fmt.Sprintf("Basic realm=%q", r.signer.service))
		}
		c.Subject, c.Operator = p.Name, p.Operator
	case req.Header.Get("Authorization") == "" && len(r.anonymousPull) > 0:
		c.Anonymous = true
	default:
		return refuse(http.StatusUnauthorized, codeUnauthorized, "log in with a user name and a password").
			with("WWW-Authenticate", fmt.Sprintf("Basic realm=%q", r.signer.service))
	}
	who := Principal{Name: c.Subject, Operator: c.Operator}
	for _, s := range scopes {
		if s.catalog {
			c.Access = append(c.Access, access{typeRegistry, nameCatalog, []string{"*"}})
			continue
		}
		if have := s.actions & r.granted(who, c.Anonymous, s.name); have != 0 {
			c.Access = append(c.Access, access{typeRepository, s.name, have.list()})
		}
	}
	token, err := r.signer.sign(c, r.limits.TokenLife)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return writeJSON(w, http.StatusOK, "application/json", struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
		IssuedAt    string `json:"issued_at"`
	}{token, token, int(r.limits.TokenLife / time.Second), r.clock.Now().UTC().Format(time.RFC3339)})
}

func writeJSON(w http.ResponseWriter, status int, contentType string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone; there is nobody else to tell
	return nil
}
