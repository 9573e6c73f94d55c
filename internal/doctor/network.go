package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
)

// maxAnswer bounds an answer; health has a few hundred bytes.
const maxAnswer = 1 << 20

// get asks a local listener. It returns the body, and a response whose own is
// closed.
func (x *examined) get(ctx context.Context, url string, authorise func(*http.Request)) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, err
	}
	authorise(req)
	res, err := x.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	data, err := bounded.ReadAll(io.LimitReader(res.Body, maxAnswer+1), maxAnswer)
	return res, data, err
}

// start is the command that brings the listeners up.
func (x *examined) start() string {
	if x.Workspace == "" {
		return "apex up"
	}
	return "apex up --workspace " + quote(x.Workspace)
}

func (x *examined) askRegistry(ctx context.Context) (*http.Response, error) {
	res, _, err := x.get(ctx, "http://"+x.Registry+"/v2/", func(r *http.Request) { r.SetBasicAuth(x.RegistryUser, x.RegistryToken) })
	return res, err
}

func registryReachable(ctx context.Context, x *examined) finding {
	if x.Registry == "" {
		return skip("no apex up has served this state yet")
	}
	res, err := x.askRegistry(ctx)
	switch {
	case err != nil:
		return fail(x.start(), "the registry does not answer: %v", err)
	case res.StatusCode == http.StatusUnauthorized:
		return fail(x.start(), "the registry at %s does not take the token in %s/registry/token: end what listens there, it is another one or older than the token", x.Registry, x.State)
	case res.StatusCode != http.StatusOK:
		return fail(x.start(), "what listens on %s is not the registry: it answered %s", x.Registry, res.Status)
	}
	return fine("the registry answers at %s and takes the token", x.Registry)
}

func apiReachable(ctx context.Context, x *examined) finding {
	if x.API == "" {
		return skip("no apex up has served this state yet")
	}
	res, data, err := x.get(ctx, "http://"+x.API+"/healthz", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+x.APIToken) })
	switch {
	case err != nil:
		return fail(x.start(), "the HTTP API does not answer: %v", err)
	case res.StatusCode == http.StatusUnauthorized:
		return fail(x.start(), "the HTTP API at %s does not take the token in %s/token: end what listens there, it is another one or older than the token", x.API, x.State)
	case res.StatusCode == http.StatusServiceUnavailable:
		return fail("curl -s -H \"Authorization: Bearer $(cat "+quote(x.State+"/token")+")\" http://"+x.API+"/healthz", "the running apex up is ill: %s", ill(data))
	case res.StatusCode != http.StatusOK:
		return fail(x.start(), "what listens on %s is not the HTTP API: it answered %s", x.API, res.Status)
	}
	return fine("the HTTP API answers at %s and all parts are healthy", x.API)
}

// ill lists the components that an answer of /healthz calls ill.
func ill(data []byte) string {
	var health struct {
		Components []struct {
			Name   string `json:"name"`
			OK     bool   `json:"ok"`
			Detail string `json:"detail"`
		} `json:"components"`
	}
	if json.Unmarshal(data, &health) != nil {
		return "it does not say what"
	}
	var parts []string
	for _, c := range health.Components {
		if !c.OK {
			parts = append(parts, fmt.Sprintf("%s (%.200s)", c.Name, c.Detail))
		}
	}
	return strings.Join(parts, ", ")
}

const (
	// skewWarn is what certificates and report ages still bear; skewFail breaks both.
	skewWarn = 30 * time.Second
	skewFail = 5 * time.Minute
)

// clockSane compares the clock with the Date of the registry's answer (RFC 9110 §6.6.1).
func clockSane(ctx context.Context, x *examined) finding {
	const fix = "sudo timedatectl set-ntp true || sudo sntp -sS pool.ntp.org"
	if x.Registry == "" {
		return skip("there is no registry to compare the clock with")
	}
	res, err := x.askRegistry(ctx)
	if err != nil {
		return skip("the registry does not answer, so that there is nothing to compare the clock with")
	}
	date, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil {
		return skip("the registry does not say what time it is")
	}
	skew := x.Clock.Now().Sub(date).Truncate(time.Second)
	switch {
	case skew.Abs() > skewFail:
		return fail(fix, "the clock is %s off that of the registry, so that ages of evidence are wrong", skew)
	case skew.Abs() > skewWarn:
		return warn(fix, "the clock is %s off that of the registry", skew)
	}
	return fine("the clock agrees with that of the registry")
}
