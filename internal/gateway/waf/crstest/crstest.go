// Package crstest reads the regression tests of the OWASP Core Rule Set, as they
// come with the Go module of the rules, and runs them against whatever listens.
//
// Start with [Load] (all cases), [Send] (one request, byte for byte, to an
// address) and [Want.Check] (is what was seen what the case expects?). [Backend]
// is the server that stands behind the rules while they are tested.
//
// Source: the test format of go-ftw, as the files of the rule set use it.
package crstest

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/corazawaf/coraza-coreruleset/v4/tests"
	"go.yaml.in/yaml/v3"
)

// Case is one test: requests that are sent one after the other.
type Case struct {
	ID     string // rule and test: "942100-3"
	Stages []Stage
}

// Stage is one request, with what is expected of it.
type Stage struct {
	Request []byte // as it goes over the wire; not always valid HTTP
	Want    Want
}

// Want is what is expected of a request. Its zero fields expect nothing.
type Want struct {
	IDs    []int // rules that must match
	NotIDs []int // rules that must not
	Status int
	// Match and NotMatch are expressions over the log of matched rules.
	Match, NotMatch string
	// Error says that the server may give no answer at all.
	Error bool
}

// Seen is what happened to a request.
type Seen struct {
	Status int // 0 when there was no answer
	IDs    []int
	Log    string // a line for each matched rule
}

// Refused tells whether the server refused the request before any rule saw it. A
// case that expects rules to match, or a refusal, is then fulfilled by stricter
// means.
func (w *Want) Refused(s Seen) bool {
	return s.Status >= 400 && len(s.IDs) == 0 && (len(w.IDs) > 0 || w.Status >= 400)
}

// Check returns an error that says in what the seen differs from the wanted.
func (w *Want) Check(s Seen) error {
	var errs []error
	if w.Status != 0 && s.Status != w.Status {
		errs = append(errs, fmt.Errorf("the status is %d, not %d", s.Status, w.Status))
	}
	if s.Status == 0 && !w.Error {
		errs = append(errs, errors.New("there was no answer"))
	}
	for _, id := range w.IDs {
		if !slices.Contains(s.IDs, id) && !(w.Error && s.Status == 0) {
			errs = append(errs, fmt.Errorf("rule %d did not match", id))
		}
	}
	for _, id := range w.NotIDs {
		if slices.Contains(s.IDs, id) {
			errs = append(errs, fmt.Errorf("rule %d matched", id))
		}
	}
	if w.Match != "" {
		if found, err := regexp.MatchString(w.Match, s.Log); err != nil || !found {
			errs = append(errs, fmt.Errorf("the log does not match %q", w.Match))
		}
	}
	if w.NotMatch != "" {
		if found, err := regexp.MatchString(w.NotMatch, s.Log); err != nil || found {
			errs = append(errs, fmt.Errorf("the log matches %q", w.NotMatch))
		}
	}
	return errors.Join(errs...)
}

// file is a file of tests.
type file struct {
	Rule  int `yaml:"rule_id"`
	Tests []struct {
		ID     int `yaml:"test_id"`
		Stages []struct {
			Input  input  `yaml:"input"`
			Output output `yaml:"output"`
		} `yaml:"stages"`
	} `yaml:"tests"`
}

type input struct {
	Method   string    `yaml:"method"`
	URI      string    `yaml:"uri"`
	Version  *string   `yaml:"version"` // an empty one is sent as that
	Headers  yaml.Node `yaml:"headers"` // in its order
	Data     string    `yaml:"data"`
	Encoded  string    `yaml:"encoded_request"`
	Complete *bool     `yaml:"autocomplete_headers"`
}

type output struct {
	Status int  `yaml:"status"`
	Error  bool `yaml:"expect_error"`
	Log    struct {
		IDs      []int  `yaml:"expect_ids"`
		NotIDs   []int  `yaml:"no_expect_ids"`
		Match    string `yaml:"match_regex"`
		NotMatch string `yaml:"no_match_regex"`
	} `yaml:"log"`
}

// Load returns all cases of the rule set that is built in, by file.
func Load() ([]Case, error) {
	names, err := fs.Glob(tests.FS, "*/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list the tests: %w", err)
	}
	var cases []Case
	for _, name := range names {
		text, err := fs.ReadFile(tests.FS, name)
		if err != nil {
			return nil, fmt.Errorf("read the tests: %w", err)
		}
		var f file
		if err := yaml.Unmarshal(text, &f); err != nil {
			return nil, fmt.Errorf("read the tests %s: %w", name, err)
		}
		for _, t := range f.Tests {
			c := Case{ID: fmt.Sprintf("%d-%d", f.Rule, t.ID)}
			for _, s := range t.Stages {
				raw, err := s.Input.bytes()
				if err != nil {
					return nil, fmt.Errorf("read the test %s: %w", c.ID, err)
				}
				c.Stages = append(c.Stages, Stage{Request: raw, Want: Want{
					IDs: s.Output.Log.IDs, NotIDs: s.Output.Log.NotIDs, Status: s.Output.Status,
					Match: s.Output.Log.Match, NotMatch: s.Output.Log.NotMatch, Error: s.Output.Error,
				}})
			}
			cases = append(cases, c)
		}
	}
	return cases, nil
}

const form = "application/x-www-form-urlencoded"

// bytes spells the request, and completes it as the format asks for: with a type
// and a length for a body, and the wish to close the connection.
func (in *input) bytes() ([]byte, error) {
	if in.Encoded != "" {
		return base64.StdEncoding.DecodeString(in.Encoded)
	}
	method, uri, version := or(in.Method, "GET"), or(in.URI, "/"), "HTTP/1.1"
	if in.Version != nil {
		version = *in.Version
	}
	complete := in.Complete == nil || *in.Complete
	var headers [][2]string
	has := map[string]string{}
	for i := 0; i+1 < len(in.Headers.Content); i += 2 {
		name, value := in.Headers.Content[i].Value, in.Headers.Content[i+1].Value
		headers = append(headers, [2]string{name, value})
		has[strings.ToLower(name)] = value
	}
	add := func(name, value string) {
		if _, ok := has[strings.ToLower(name)]; !ok {
			headers = append(headers, [2]string{name, value})
			has[strings.ToLower(name)] = value
		}
	}
	data := in.Data
	if complete && data != "" {
		add("Content-Type", form)
		if has["content-type"] == form {
			data = encoded(data)
		}
	}
	if strings.HasPrefix(has["content-type"], "multipart/form-data;") {
		data = strings.ReplaceAll(data, "\n", "\r\n")
	}
	if complete {
		add("Connection", "close")
		if data != "" || slices.Contains([]string{"POST", "PUT", "PATCH", "DELETE"}, method) {
			add("Content-Length", strconv.Itoa(len(data)))
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\r\n", method, uri, version)
	for _, h := range headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	b.WriteString("\r\n" + data)
	return b.Bytes(), nil
}

// encoded returns a form's data with its names and values encoded, unless they
// are already.
func encoded(data string) string {
	if plain, err := url.QueryUnescape(data); err != nil || plain != data {
		return data
	}
	pairs := strings.Split(data, "&")
	for i, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		pairs[i] = url.QueryEscape(name)
		if ok {
			pairs[i] += "=" + url.QueryEscape(value)
		}
	}
	return strings.Join(pairs, "&")
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
