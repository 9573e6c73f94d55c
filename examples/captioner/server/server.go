// Package server serves the captioner's model over HTTP: the OpenAI chat API
// and the Open Inference Protocol (version 2, REST). Its description is at
// /openapi.json, and it says no more than it does.
//
// Start with [New]. The handler is safe for concurrent use and holds no state
// between requests. Whoever deploys it puts the gateway in front of it; with a
// token it also asks for that itself.
//
// Sources: the OpenAI API reference, "Create chat completion"; Open Inference
// Protocol, "Predict Protocol Version 2".
package server

import (
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/apexlogic/apex/examples/captioner/tiny"
)

// ModelName is what requests call the model.
const ModelName = "captioner"

// maxBody is a picture of 4 MiB in base64, and some words.
const maxBody = 6 << 20

//go:embed openapi.json
var description []byte

// Options configure [New].
type Options struct {
	// Token that requests to the model have to carry as a bearer token. Without
	// one, everybody who reaches the server may ask.
	Token string
	// Now tells the time of an answer.
	Now func() time.Time
}

type server struct {
	model *tiny.Model
	token [sha256.Size]byte
	open  bool
	now   func() time.Time
}

// New returns the handler that answers with the model.
func New(model *tiny.Model, o Options) http.Handler {
	s := &server{model: model, token: sha256.Sum256([]byte(o.Token)), open: o.Token == "", now: o.Now}
	if s.now == nil {
		s.now = time.Now
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(description)
	})
	ok := func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, struct{}{}) }
	mux.HandleFunc("GET /v2/health/live", ok)
	mux.HandleFunc("GET /v2/health/ready", ok)
	mux.Handle("GET /v1/models", s.asked(s.models))
	mux.Handle("POST /v1/chat/completions", s.asked(s.chat))
	mux.Handle("GET /v2/models/{model}", s.asked(named(s.metadata)))
	mux.Handle("GET /v2/models/{model}/ready", s.asked(named(ok)))
	mux.Handle("POST /v2/models/{model}/infer", s.asked(named(s.infer)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Answers are for programs: no browser is to guess what they are.
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		w.Header().Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
}

// asked lets through who knows the token.
func (s *server) asked(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		sum := sha256.Sum256([]byte(token))
		if !s.open && (!bearer || subtle.ConstantTimeCompare(sum[:], s.token[:]) != 1) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, http.StatusUnauthorized, "a bearer token is needed")
			return
		}
		next(w, r)
	})
}

// named answers for the one model that there is.
func named(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("model") != ModelName {
			refuse(w, http.StatusNotFound, "there is no model of this name")
			return
		}
		next(w, r)
	}
}

// read decodes a request's JSON body; false when it has answered already.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "the body has to be application/json")
		return false
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	err := d.Decode(into)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more than one value")
		}
	}
	if _, is := errors.AsType[*http.MaxBytesError](err); is {
		refuse(w, http.StatusRequestEntityTooLarge, "the body is larger than the server reads")
		return false
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "the body is not the JSON that is described at /openapi.json")
		return false
	}
	return true
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// refuse answers in the form of both APIs: OpenAI's object with a message, and
// a text where the Open Inference Protocol has one. No word of the request is
// repeated.
func refuse(w http.ResponseWriter, status int, why string) {
	answer(w, status, map[string]any{"error": map[string]any{"message": why, "type": "invalid_request_error"}})
}
