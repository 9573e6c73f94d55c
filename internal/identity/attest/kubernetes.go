package attest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/verdict"
)

// Review is what a cluster says about a token.
type Review struct {
	Authenticated bool
	Username      string
	Audiences     []string
	Pod           string // name of the pod that the token is bound to, "" for none
}

// Reviewer asks a cluster whose a token is.
type Reviewer interface {
	Review(ctx context.Context, token string, audience string) (Review, error)
}

// Kubernetes attests pods by the token of their service account. The token is to
// be a projected one made for Audience: one for the API server could be used
// against it by whoever gets to see it here.
type Kubernetes struct {
	Cluster  string // its name, for selectors
	Audience string
	Reviewer Reviewer
}

// Attest asks the cluster. It establishes k8s:cluster, k8s:ns, k8s:sa and
// k8s:pod.
func (k *Kubernetes) Attest(ctx context.Context, evidence []byte) ([]Selector, error) {
	if len(evidence) == 0 || len(evidence) > MaxEvidence || bytes.ContainsAny(evidence, " \r\n\t") {
		return nil, refuse("the evidence is not the token of a service account")
	}
	r, err := k.Reviewer.Review(ctx, string(evidence), k.Audience)
	if err != nil {
		return nil, identity.Refuse(verdict.IdentityUnavailable, "the cluster could not be asked whose the token is")
	}
	if !r.Authenticated {
		return nil, refuse("the cluster does not know the token")
	}
	// An API server that does not know of audiences returns none (TokenReview).
	if k.Audience == "" || !slices.Contains(r.Audiences, k.Audience) {
		return nil, identity.Refuse(verdict.IdentityAudience, "the token of the service account is made for another audience")
	}
	who, found := strings.CutPrefix(r.Username, "system:serviceaccount:")
	namespace, name, two := strings.Cut(who, ":")
	if !found || !two || namespace == "" || name == "" || strings.Contains(name, ":") {
		return nil, refuse("the token is not that of a service account")
	}
	all := selector(nil, "k8s", "cluster", k.Cluster)
	all = selector(all, "k8s", "ns", namespace)
	all = selector(all, "k8s", "sa", name)
	return selector(all, "k8s", "pod", r.Pod), nil
}

// TokenReviews asks an API server over HTTPS, by its TokenReview API.
type TokenReviews struct {
	// Server is its URL, "https://kubernetes.default.svc".
	Server string
	// Client trusts the API server's authority. It is used as it is, but that no
	// redirect is followed.
	Client *http.Client
	// Token of our own service account, which may create tokenreviews; it is
	// asked for each time, since it rotates. Nil: Client says by itself who we are.
	Token func() (string, error)
}

const (
	reviewTimeout = 5 * time.Second
	maxReview     = 64 << 10
)

// Review asks whose a token is.
func (t *TokenReviews) Review(ctx context.Context, token, audience string) (Review, error) {
	at, err := url.Parse(t.Server)
	if err != nil || at.Scheme != "https" || at.Host == "" {
		return Review{}, errors.New("the API server's address is not an https URL")
	}
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	body, err := json.Marshal(map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
		"spec": map[string]any{"token": token, "audiences": []string{audience}},
	})
	if err != nil {
		return Review{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at.JoinPath("/apis/authentication.k8s.io/v1/tokenreviews").String(), bytes.NewReader(body))
	if err != nil {
		return Review{}, err
	}
	if t.Token != nil {
		own, err := t.Token()
		if err != nil {
			return Review{}, errors.New("the token of our own service account cannot be read")
		}
		request.Header.Set("Authorization", "Bearer "+own)
	}
	request.Header.Set("Content-Type", "application/json")
	client := *t.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := client.Do(request)
	if err != nil {
		return Review{}, fmt.Errorf("ask the API server for a TokenReview: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusCreated && answer.StatusCode != http.StatusOK {
		return Review{}, fmt.Errorf("ask the API server for a TokenReview: it answers %d; may our service account create tokenreviews?", answer.StatusCode)
	}
	data, err := bounded.ReadAll(answer.Body, maxReview)
	if err != nil {
		return Review{}, err
	}
	var review struct {
		Status struct {
			Authenticated bool     `json:"authenticated"`
			Audiences     []string `json:"audiences"`
			Error         string   `json:"error"`
			User          struct {
				Username string              `json:"username"`
				Extra    map[string][]string `json:"extra"`
			} `json:"user"`
		} `json:"status"`
	}
	if err := bounded.JSON(data, 16, &review); err != nil {
		return Review{}, fmt.Errorf("read the TokenReview: %w", err)
	}
	s := review.Status
	r := Review{Authenticated: s.Authenticated && s.Error == "", Username: s.User.Username, Audiences: s.Audiences}
	if pods := s.User.Extra["authentication.kubernetes.io/pod-name"]; len(pods) == 1 {
		r.Pod = pods[0]
	}
	return r, nil
}

var (
	_ Attestor = (*Kubernetes)(nil)
	_ Attestor = (*OIDC)(nil)
	_ Reviewer = (*TokenReviews)(nil)
)
