package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/ledger"
)

// Client asks the HTTP API of the apex up that serves a state directory, over
// loopback and with the local token.
type Client struct {
	base, token string
	http        *http.Client
}

const (
	// clientTime bounds one call; sealing a segment for a proof takes longest.
	clientTime = 20 * time.Second
	// maxAnswer bounds an answer: a record has at most 1 MiB, and its base64 and
	// JSON make it larger.
	maxAnswer = 4 << 20
)

// Listeners returns where the registry and the API of the last apex up on a
// state directory listen, or listened, each as host:port.
func Listeners(state string) (registry, api string, err error) {
	path := filepath.Join(state, "endpoints.json")
	data, err := bounded.ReadFile(path, maxStateFile)
	if err != nil {
		return "", "", fmt.Errorf("no apex up has served %s: %w", state, err)
	}
	var e endpoints
	if err := json.Unmarshal(data, &e); err != nil {
		return "", "", fmt.Errorf("%s: %w", path, err)
	}
	return e.Registry, e.API, nil
}

// NewClient reads where the API of the state directory listens, and its token.
func NewClient(state string) (*Client, error) {
	_, api, err := Listeners(state)
	if err != nil {
		return nil, err
	}
	token, err := bounded.ReadFile(filepath.Join(state, "token"), maxStateFile)
	if err != nil {
		return nil, err
	}
	return &Client{
		base: "http://" + api, token: strings.TrimSpace(string(token)),
		http: &http.Client{Timeout: clientTime, Transport: &http.Transport{Proxy: nil}},
	}, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Prove asks for the proof of a record of the up's ledger.
func (c *Client) Prove(ctx context.Context, id ledger.ID, d ledger.Disclosure) ([]byte, error) {
	body, err := json.Marshal(proveRequest{ID: id.String(), Disclose: d == ledger.Disclose})
	if err != nil {
		return nil, err
	}
	return c.do(ctx, http.MethodPost, "/v1/ledger/prove", body)
}

func (c *Client) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := bounded.ReadAll(res.Body, maxAnswer)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusOK {
		return data, nil
	}
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(data, &said) != nil || said.Error == "" {
		said.Error = "without a reason"
	}
	return nil, errors.New("the API at " + c.base + " answered " + res.Status + ": " + said.Error)
}
