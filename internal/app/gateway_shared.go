package app

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/gateway/limit"
	"github.com/apexlogic/apex/internal/gateway/limit/shared"
)

// SharedLimits say where gateways count together.
type SharedLimits struct {
	// URL of a Redis, without a password; "": each gateway counts for itself.
	URL string
	// PasswordFile holds its password, and is read at each connection. Without a
	// file the password is that of the environment's [LimitsPassword], if any.
	PasswordFile string
	// Authorities is a PEM file with who signs its certificate, beside the
	// system's authorities.
	Authorities string
	// Within bounds how long a request waits for it. Default: shared.DefaultWithin.
	Within time.Duration
}

// LimitsPassword names the environment variable with the password of the store
// of limits.
const LimitsPassword = "APEX_LIMITS_PASSWORD"

// maxPassword bounds the file with the password.
const maxPassword = 4 << 10

// openLimits opens the store that limits are shared by; nil when there is none.
func (g *runningGateway) openLimits() (limit.Store, error) {
	o := &g.o.Limits
	if o.URL == "" {
		if o.PasswordFile != "" || o.Authorities != "" {
			return nil, fmt.Errorf("a password or an authority for shared limits is named, and no store: name one with --limits")
		}
		return nil, nil
	}
	pool, err := authorities(o.Authorities)
	if err != nil {
		return nil, fmt.Errorf("authorities of the store of limits: %w", err)
	}
	g.shared, err = shared.Open(shared.Options{URL: o.URL, Password: o.password(), Authorities: pool, Within: o.Within, Log: g.o.Logger})
	if err != nil {
		return nil, err
	}
	return g.shared, nil
}

// password returns what reads the password; nil when there is none.
func (o *SharedLimits) password() func() (string, error) {
	if o.PasswordFile == "" {
		if p := os.Getenv(LimitsPassword); p != "" {
			return func() (string, error) { return p, nil }
		}
		return nil
	}
	return func() (string, error) {
		data, err := bounded.ReadFile(o.PasswordFile, maxPassword)
		if err != nil {
			return "", fmt.Errorf("password of the store of limits: %w", err)
		}
		return strings.TrimRight(string(data), "\r\n"), nil
	}
}

// runShared keeps the store of shared limits.
func runShared(ctx context.Context, g *runningGateway) error {
	g.shared.Run(ctx)
	return nil
}
