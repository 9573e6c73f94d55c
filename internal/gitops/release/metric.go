package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

const (
	// metricTime bounds one query; Prometheus' own limit is two minutes, which
	// is too long for a canary.
	metricTime = 10 * time.Second
	// maxAnswer holds the one sample that counts, with its labels.
	maxAnswer = 64 << 10
	// answerDepth of data.result[].metric in an answer.
	answerDepth = 8
)

// Sample is what a metric is asked about.
type Sample struct {
	Metric *v1alpha1.GitMetric
	// Object and Revision are those of a canary; zero in a gate.
	Object   gitops.ID
	Revision string
}

// query fills in what the query leaves open. The values are names that
// Kubernetes allows, which hold no quote.
func (s *Sample) query() string {
	return strings.NewReplacer("${namespace}", s.Object.Namespace, "${name}", s.Object.Name, "${revision}", s.Revision).Replace(s.Metric.Query)
}

// bounds are what a metric allows.
type bounds struct{ low, high float64 }

// readBounds checks a metric, whoever wrote it.
func readBounds(m *v1alpha1.GitMetric) (bounds, error) {
	b := bounds{math.Inf(-1), math.Inf(1)}
	for _, part := range []struct {
		name, text string
		to         *float64
	}{{"max", m.Max, &b.high}, {"min", m.Min, &b.low}} {
		if part.text == "" {
			continue
		}
		v, err := strconv.ParseFloat(part.text, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return bounds{}, fmt.Errorf("%s is %.40q: write a decimal number", part.name, part.text)
		}
		*part.to = v
	}
	if m.Max == "" && m.Min == "" {
		return bounds{}, errors.New("max or min is needed")
	}
	if _, err := metricServer(m.Server); err != nil {
		return bounds{}, err
	}
	if m.Query == "" {
		return bounds{}, errors.New("a query is needed")
	}
	return b, nil
}

func metricServer(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("server is no http or https address") // not repeated: it may hold a password
	}
	if u.User != nil {
		return nil, errors.New("server holds credentials: take them out, the record of a release is read by many")
	}
	return u, nil
}

// judge asks for a metric and compares it. The code is verdict.OK when it is
// within its bounds, verdict.GateMetric when it is not, and verdict.GateUnknown
// when it could not be had.
func (r *Release) judge(ctx context.Context, s Sample) (verdict.Code, string) {
	b, err := readBounds(s.Metric)
	if err != nil {
		return verdict.GateUnknown, err.Error()
	}
	ctx, cancel := context.WithTimeout(ctx, metricTime)
	defer cancel()
	v, err := r.c.Measure(ctx, s)
	switch {
	case err != nil:
		return verdict.GateUnknown, clip(err.Error())
	case math.IsNaN(v) || math.IsInf(v, 0):
		return verdict.GateUnknown, fmt.Sprintf("the answer is %v", v)
	case v > b.high:
		return verdict.GateMetric, clip(fmt.Sprintf("%v is more than %s: %s", v, s.Metric.Max, s.query()))
	case v < b.low:
		return verdict.GateMetric, clip(fmt.Sprintf("%v is less than %s: %s", v, s.Metric.Min, s.query()))
	}
	return verdict.OK, ""
}

// prometheus asks a server that speaks Prometheus' HTTP API for one instant value.
func prometheus(client *http.Client) func(context.Context, Sample) (float64, error) {
	if client == nil {
		client = &http.Client{}
	}
	own := *client
	// Where a server sends us to is not what the GitSource names.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return func(ctx context.Context, s Sample) (float64, error) {
		u, err := metricServer(s.Metric.Server)
		if err != nil {
			return 0, err
		}
		u = u.JoinPath("api/v1/query")
		u.RawQuery = url.Values{"query": {s.query()}}.Encode()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return 0, fmt.Errorf("ask %s: %w", u.Host, err)
		}
		answer, err := own.Do(request)
		if err != nil {
			if part, is := errors.AsType[*url.Error](err); is {
				err = part.Err // without the address, which is the whole query
			}
			return 0, fmt.Errorf("ask %s: %w", u.Host, err)
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return 0, fmt.Errorf("ask %s: it answers %s", u.Host, answer.Status)
		}
		data, err := bounded.ReadAll(answer.Body, maxAnswer)
		if err != nil {
			return 0, fmt.Errorf("ask %s: %w", u.Host, err)
		}
		v, err := readAnswer(data)
		if err != nil {
			return 0, fmt.Errorf("ask %s: %w", u.Host, err)
		}
		return v, nil
	}
}

// readAnswer takes the one value out of an answer of /api/v1/query.
func readAnswer(data []byte) (float64, error) {
	var a struct {
		Status string `json:"status"`
		Data   struct {
			ResultType string            `json:"resultType"`
			Result     []json.RawMessage `json:"result"`
		} `json:"data"`
	}
	// Labels are free text, and Prometheus tells a from A.
	if err := (bounded.Rules{Depth: answerDepth, FreeMaps: []string{"metric"}}).Unmarshal(data, &a); err != nil {
		return 0, err
	}
	if a.Status != "success" {
		return 0, fmt.Errorf("the answer's status is %.40q", a.Status)
	}
	sample := a.Data.Result
	switch a.Data.ResultType {
	case "scalar": // [time, "value"]
	case "vector": // [{metric, value: [time, "value"]}]
		if len(sample) != 1 {
			return 0, fmt.Errorf("the query has %d values: it has to have one", len(sample))
		}
		var one struct {
			Value []json.RawMessage `json:"value"`
		}
		if err := json.Unmarshal(sample[0], &one); err != nil {
			return 0, err
		}
		sample = one.Value
	default:
		return 0, fmt.Errorf("the query answers a %.40q: it has to answer a vector or a scalar", a.Data.ResultType)
	}
	if len(sample) != 2 {
		return 0, errors.New("a value is a time and a number")
	}
	var text string
	if err := json.Unmarshal(sample[1], &text); err != nil {
		return 0, err
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("the value is %.40q", text)
	}
	return v, nil
}
