package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/apexlogic/apex/examples/captioner"
	captionerserver "github.com/apexlogic/apex/examples/captioner/server"
	"github.com/apexlogic/apex/examples/captioner/tiny"
)

// workspaceDomain is the trust domain of a workspace, whose authority is its own.
const workspaceDomain = "vision.example"

// openGateway makes the workspace's gateway, whose rules are published together
// with all others. Nothing is passed on before serveExample.
func (u *up) openGateway(ctx context.Context, front net.Listener) error {
	g := &runningGateway{o: GatewayOptions{
		State: u.workspace.State(), TrustDomain: workspaceDomain, Drain: shutdownLimit, Clock: u.o.Clock, Logger: u.o.Logger,
		Models: ModelRegistries{AllowPrivate: []string{u.at.Registry}, PlainHTTP: []string{u.at.Registry}, Keychain: u.workspace.Keychain(nil)},
		Issuer: IssuerOptions{Socket: u.workspace.socket()},
		within: &surroundings{ledger: u.engine.Ledger, meter: u.engine.Meter, publisher: u.engine.publisher, front: front},
	}}
	u.gateway = g
	if err := g.open(ctx); err != nil {
		return fmt.Errorf("open the gateway: %w", err)
	}
	return nil
}

// serveExample serves the example's model, and the gateway in front of it.
func (u *up) serveExample(ctx context.Context, background *sync.WaitGroup, at net.Listener) {
	u.keep(ctx, background, &u.gatewayDown, "the gateway", u.gateway.run)
	handler, err := captionerHandler()
	if err != nil {
		u.captionerDown.Store(err)
		return
	}
	serve(ctx, background, &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}, at, &u.captionerDown)
}

// captionerHandler answers with the example's model.
func captionerHandler() (http.Handler, error) {
	weights, err := captioner.Model.ReadFile("model/model.safetensors")
	if err != nil {
		return nil, err
	}
	model, err := tiny.Load(weights)
	if err != nil {
		return nil, err
	}
	return captionerserver.New(model, captionerserver.Options{}), nil
}

// longestSocket is how long the path of a socket may be; see unix(7).
const longestSocket = 107

// socket is where this machine's programs get their identity; "" where the
// workspace lies too deep for one.
func (w Workspace) socket() string {
	if path := filepath.Join(w.State(), "workload.sock"); len(path) <= longestSocket {
		return path
	}
	return ""
}
