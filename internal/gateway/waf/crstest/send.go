package crstest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Bounds of one exchange.
const (
	exchangeTime = 20 * time.Second
	mostAnswer   = 4 << 20
	mostReflect  = 1 << 20
)

// Send sends a request's bytes to an address, and returns the status of the
// answer: 0 when there is none. It returns once the server has closed the
// connection, and so has finished with the request. The sender's side is closed
// at once, since some requests promise more than they hold.
func Send(ctx context.Context, address string, raw []byte) (int, error) {
	return send(ctx, address, raw, true)
}

// Ask is Send for a request that is whole, with the sender's side left open: a
// server that passes it on might take its end for a caller who has gone.
func Ask(ctx context.Context, address string, raw []byte) (int, error) {
	return send(ctx, address, raw, false)
}

func send(ctx context.Context, address string, raw []byte, end bool) (int, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return 0, fmt.Errorf("send a test: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(exchangeTime)); err != nil {
		return 0, fmt.Errorf("send a test: %w", err)
	}
	// A server may answer and close before it has read everything.
	if _, err := conn.Write(raw); err == nil && end {
		_ = conn.(*net.TCPConn).CloseWrite()
	}
	answer, err := io.ReadAll(io.LimitReader(conn, mostAnswer))
	if len(answer) == 0 {
		return 0, nil
	}
	response, parseErr := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil)
	if parseErr != nil {
		return 0, fmt.Errorf("read the answer to a test: %w (%v)", parseErr, err)
	}
	return response.StatusCode, response.Body.Close()
}

// Backend answers as the tests expect of the server behind the rules: /reflect
// gives back the status, the headers and the body that it is told to, everything
// else is answered with an empty 200.
func Backend() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/reflect") {
			_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, mostReflect))
			return
		}
		var told struct {
			Status  int               `json:"status"`
			Headers map[string]string `json:"headers"`
			Body    string            `json:"body"`
			Encoded string            `json:"encodedBody"`
		}
		if err := json.NewDecoder(io.LimitReader(r.Body, mostReflect)).Decode(&told); err != nil {
			http.Error(w, "tell what to reflect as JSON", http.StatusBadRequest)
			return
		}
		body := []byte(told.Body)
		if told.Encoded != "" {
			var err error
			if body, err = base64.StdEncoding.DecodeString(told.Encoded); err != nil {
				http.Error(w, "encodedBody is not base64", http.StatusBadRequest)
				return
			}
		}
		w.Header().Set("Content-Type", "text/plain")
		for name, value := range told.Headers {
			w.Header().Set(name, value)
		}
		if told.Status >= 100 && told.Status < 1000 {
			w.WriteHeader(told.Status)
		}
		_, _ = w.Write(body)
	})
}
