package app

import (
	"cmp"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/apexlogic/apex/internal/access/authzen"
	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/verdict"
)

// The HTTP API of one process. Every path but /livez asks for the local token
// ("Authorization: Bearer <token>", from .apex/token).
//
//	GET  /livez       the process answers
//	GET  /healthz     each component's health; 503 when one is ill
//	GET  /metrics     Prometheus metrics
//	POST /v1/verify   {"questions":[…]} → a report (schema apex.report/v1)
//	POST /v1/ledger/prove        {"id","disclose"} → a proof (schema apex.proof/v1)
//	GET  /v1/ledger/records/{id} → a record (schema apex.ledger.record/v1)
//	POST /access/v1/…            OpenID AuthZEN 1.0; GET /.well-known/authzen-configuration is open

const (
	// maxRequest bounds a request's body: a thousand questions with labels.
	maxRequest = 4 << 20
	// maxQuestions bounds one request's work.
	maxQuestions = 1000
	// maxRequestDepth is the nesting of a request's JSON.
	maxRequestDepth = 16
)

// apiToken reads the local token, made the first time.
func apiToken(state string) (string, error) { return secret(filepath.Join(state, "token")) }

// secret reads a random secret of 64 hex digits, readable by its owner only,
// made the first time.
func secret(path string) (string, error) {
	data, err := bounded.ReadFile(path, maxStateFile)
	if errors.Is(err, os.ErrNotExist) {
		var raw [32]byte
		if _, err := rand.Read(raw[:]); err != nil {
			return "", err
		}
		if err := writeOnce(path, []byte(hex.EncodeToString(raw[:]))); err != nil {
			return "", err
		}
		// Another process may have been first; what is in the file counts.
		data, err = bounded.ReadFile(path, maxStateFile)
	}
	if err != nil {
		return "", err
	}
	if len(data) < 64 {
		return "", fmt.Errorf("%s holds no secret; delete it to have a new one made", path)
	}
	return string(data), nil
}

// writeOnce makes a file with its whole content, unless it exists.
func writeOnce(path string, data []byte) error {
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	defer os.Remove(tmp)
	if err := os.Link(tmp, path); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

func apiServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    32 << 10,
	}
}

func (u *up) handler(token string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	guard := func(h http.Handler) http.Handler { return authenticated(token, h) }
	mux.Handle("GET /healthz", guard(http.HandlerFunc(u.healthz)))
	mux.Handle("GET /metrics", guard(promhttp.HandlerFor(u.metrics(), promhttp.HandlerOpts{})))
	mux.Handle("POST /v1/verify", guard(http.HandlerFunc(u.verify)))
	mux.Handle("POST /v1/ledger/prove", guard(http.HandlerFunc(u.prove)))
	mux.Handle("GET /v1/ledger/records/{id}", guard(http.HandlerFunc(u.record)))
	point, err := decisionPoint(pointOptions{
		rules: u.access, url: "http://" + u.at.API, authenticate: bearerOf(token), callers: 1,
		ledger: u.engine.Ledger, clock: u.o.Clock, log: u.o.Logger,
	})
	if err != nil {
		panic("app: the address that we listen on is none: " + err.Error())
	}
	mux.Handle("/access/v1/", point)
	mux.Handle("/.well-known/authzen-configuration", point)
	return mux
}

// access are the rules in force that enforcement points ask.
func (u *up) access() authzen.Rules {
	now := u.engine.publisher.Current()
	r, _ := u.gateway.access.Of(now)
	return r.asked(now)
}

func authenticated(token string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !sameToken(r, token) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="apex"`)
			answer(w, http.StatusUnauthorized, map[string]string{"error": "send the token of .apex/token as bearer token"})
			return
		}
		h.ServeHTTP(w, r)
	})
}

// sameToken reports whether a request shows the token.
func sameToken(r *http.Request, token string) bool {
	return subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+token)) == 1
}

// component is one part's health.
type component struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

func (u *up) health() []component {
	policies := u.broken.Load()
	if policies == nil {
		policies = u.unread.Load()
	}
	if policies == nil && u.engine.Verifier.Generation() == nil {
		policies = errors.New("none are in force yet")
	}
	parts := []struct {
		name string
		err  error
	}{
		{"policies", policies},
		{"ledger", cmp.Or(u.engine.Ledger.Healthy(), u.unsealed.Load())},
		{"registry", u.registryDown.Load()},
		{"meter", u.unmetered.Load()},
		{"source", u.unfollowed.Load()},
		{"api", u.apiDown.Load()},
		{"gateway", u.gatewayDown.Load()},
		{"captioner", u.captionerDown.Load()},
	}
	out := make([]component, len(parts))
	for i, p := range parts {
		out[i] = component{Name: p.name, OK: p.err == nil}
		if p.err != nil {
			out[i].Detail = p.err.Error()
		}
	}
	return out
}

func (u *up) healthz(w http.ResponseWriter, _ *http.Request) {
	status := http.StatusOK
	components := u.health()
	for _, c := range components {
		if !c.OK {
			status = http.StatusServiceUnavailable
		}
	}
	answer(w, status, map[string]any{"schema": "apex.health/v1", "components": components})
}

func (u *up) verify(w http.ResponseWriter, r *http.Request) {
	data, err := bounded.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest), maxRequest)
	if err != nil {
		answer(w, http.StatusRequestEntityTooLarge, map[string]string{"error": err.Error()})
		return
	}
	var request struct {
		Questions []verdict.Question `json:"questions"`
	}
	if err := bounded.JSON(data, maxRequestDepth, &request); err != nil {
		answer(w, http.StatusBadRequest, map[string]string{"error": "the body is not JSON that can be trusted: " + err.Error()})
		return
	}
	if n := len(request.Questions); n == 0 || n > maxQuestions {
		answer(w, http.StatusBadRequest, map[string]string{"error": fmt.Sprintf("questions has %d entries, 1 to %d are answered", n, maxQuestions)})
		return
	}
	report := u.engine.Verifier.Verify(r.Context(), request.Questions)
	answer(w, http.StatusOK, report)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the client is gone
}

// metrics shows the meter's totals and each component's health. The labels are
// bounded by the meter's own bound on keys.
func (u *up) metrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{u})
	return r
}

type collector struct{ up *up }

var (
	answersDesc  = prometheus.NewDesc("apex_registry_answers_total", "Answers of the embedded registry, by HTTP status.", []string{"status"}, nil)
	receivedDesc = prometheus.NewDesc("apex_registry_received_bytes_total", "Bytes of blobs and manifests that the embedded registry received.", nil, nil)
	unitsDesc    = prometheus.NewDesc("apex_units_total", "Units of security work, as metered.", []string{"control", "unit", "team", "decision"}, nil)
	healthDesc   = prometheus.NewDesc("apex_component_healthy", "1 when the component is healthy.", []string{"component"}, nil)
)

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{unitsDesc, healthDesc, answersDesc, receivedDesc} {
		ch <- d
	}
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	type key struct{ control, unit, team, decision string }
	sums := map[key]uint64{}
	for _, l := range c.up.engine.Meter.Totals() {
		sums[key{l.Control, l.Unit, l.Team, l.Decision}] += l.Total
	}
	for k, total := range sums {
		ch <- prometheus.MustNewConstMetric(unitsDesc, prometheus.CounterValue, float64(total),
			strings.ToValidUTF8(k.control, "?"), strings.ToValidUTF8(k.unit, "?"), strings.ToValidUTF8(k.team, "?"), k.decision)
	}
	for _, h := range c.up.health() {
		v := 0.0
		if h.OK {
			v = 1
		}
		ch <- prometheus.MustNewConstMetric(healthDesc, prometheus.GaugeValue, v, h.Name)
	}
	stats := c.up.local.Stats()
	for status, n := range stats.Requests {
		ch <- prometheus.MustNewConstMetric(answersDesc, prometheus.CounterValue, float64(n), strconv.Itoa(status))
	}
	ch <- prometheus.MustNewConstMetric(receivedDesc, prometheus.CounterValue, float64(stats.BytesIn))
}
