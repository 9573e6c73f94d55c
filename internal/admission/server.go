package admission

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Limits of a connection. The deadline of an answer comes on top, so that a
// slow verification does not end its connection.
const (
	readLimit    = 10 * time.Second // of a whole request, so that nobody holds one open
	headerLimit  = 5 * time.Second
	idleLimit    = 3 * time.Minute // API servers keep connections
	maxHeader    = 16 << 10
	maxStreams   = 1000 // of one HTTP/2 connection: an API server sends all through one
	drainSurplus = 2 * time.Second
)

// Run serves on the listener until ctx ends, then answers what has arrived,
// lets verifications end for as long as an answer may take, and returns. The
// certificate is asked for with each connection, so that a new one is served
// from the moment it is there.
func (h *Handler) Run(ctx context.Context, l net.Listener, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) error {
	server := &http.Server{
		Handler:           h,
		ReadTimeout:       readLimit,
		ReadHeaderTimeout: headerLimit,
		WriteTimeout:      h.o.Deadline + readLimit,
		IdleTimeout:       idleLimit,
		MaxHeaderBytes:    maxHeader,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog:          slog.NewLogLogger(h.o.Logger.Handler(), slog.LevelDebug), // handshakes that strangers begin
		TLSConfig: &tls.Config{
			MinVersion:     tls.VersionTLS13,
			GetCertificate: certificate,
			NextProtos:     []string{"h2", "http/1.1"},
		},
	}
	ended := make(chan error, 1)
	go func() { ended <- server.ServeTLS(l, "", "") }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve admission reviews: %w", err)
	case <-ctx.Done():
	}
	// Not ready any more, so that nobody new is sent here.
	h.state.draining.Store(true)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.o.Deadline+drainSurplus)
	defer cancel()
	err := server.Shutdown(drain)
	idle := h.state.stop()
	if err != nil {
		_ = server.Close()
		err = fmt.Errorf("stop serving admission reviews: %w", err)
	}
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	select {
	case <-idle:
	case <-drain.Done(): // the retry will be cold, on another replica
	}
	return err
}
