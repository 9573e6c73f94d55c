package workload_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/attest"
	"github.com/apexlogic/apex/internal/identity/ca"
	"github.com/apexlogic/apex/internal/identity/svid"
	"github.com/apexlogic/apex/internal/identity/workload"
	"github.com/apexlogic/apex/verdict"
)

var (
	domain = spiffeid.RequireTrustDomainFromString("claims.example")
	intake = spiffeid.RequireFromString("spiffe://claims.example/intake")
	me     = attest.Selector("unix:uid:" + strconv.Itoa(os.Getuid()))
)

func nothing(context.Context, ca.Issued) error { return nil }

// serve serves the Workload API with entries, and returns its address.
func serve(t *testing.T, c clock.Clock, entries func() *attest.Entries) (*ca.CA, string) {
	t.Helper()
	dir := t.TempDir()
	authority, err := ca.Open(filepath.Join(dir, "ca"), domain, c)
	if err != nil {
		t.Fatal(err)
	}
	server, err := workload.New(workload.Options{Authority: authority, Entries: entries, Life: ca.MinLife, Record: nothing, PerMinute: 60_000, Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	server.LookEvery(2 * time.Millisecond)
	path := filepath.Join(dir, "agent.sock")
	l, err := workload.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- server.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		authority.Close()
	})
	return authority, "unix://" + path
}

func entries(t *testing.T, all ...attest.Entry) func() *attest.Entries {
	t.Helper()
	e, err := attest.NewEntries(domain, all...)
	if err != nil {
		t.Fatal(err)
	}
	return func() *attest.Entries { return e }
}

func TestAClientOfGoSPIFFEGetsAndUsesItsIdentity(t *testing.T) {
	_, address := serve(t, clock.System{}, entries(t, attest.Entry{ID: intake, Selectors: []attest.Selector{me}}))
	option := workloadapi.WithAddr(address)
	source, err := workloadapi.NewX509Source(t.Context(), workloadapi.WithClientOptions(option))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	mine, err := source.GetX509SVID()
	if err != nil || mine.ID != intake || len(mine.Certificates) != 1 {
		t.Fatalf("%v, %v", mine, err)
	}
	set, err := workloadapi.FetchX509Bundles(t.Context(), option)
	if err != nil || !set.Has(domain) {
		t.Fatalf("bundles: %v", err)
	}
	token, err := workloadapi.FetchJWTSVID(t.Context(), jwtsvid.Params{Audience: "gateway"}, option)
	if err != nil || token.ID != intake {
		t.Fatalf("%v, %v", token, err)
	}
	keys, err := workloadapi.FetchJWTBundles(t.Context(), option)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jwtsvid.ParseAndValidate(token.Marshal(), keys, []string{"gateway"}); err != nil {
		t.Errorf("go-spiffe refuses the token: %v", err)
	}
	if got, err := workloadapi.ValidateJWTSVID(t.Context(), token.Marshal(), "gateway", option); err != nil || got.ID != intake {
		t.Errorf("validated: %v, %v", got, err)
	}
	if _, err := workloadapi.ValidateJWTSVID(t.Context(), token.Marshal(), "other", option); status.Code(err) != codes.InvalidArgument {
		t.Errorf("for another audience: %v", err)
	}
	if _, err := workloadapi.FetchJWTSVID(t.Context(), jwtsvid.Params{Audience: "gateway", Subject: spiffeid.RequireFromString("spiffe://claims.example/admin")}, option); status.Code(err) != codes.PermissionDenied {
		t.Errorf("another's identity: %v", err)
	}
	mutualTLS(t, mine.Certificates[0].Raw, source)
}

// mutualTLS shows the identity to a server that verifies it as the gateway does.
func mutualTLS(t *testing.T, leaf []byte, source *workloadapi.X509Source) {
	t.Helper()
	b, err := source.GetX509BundleForTrustDomain(domain)
	if err != nil {
		t.Fatal(err)
	}
	bundles, err := svid.NewBundles(toBundle(b.X509Authorities()))
	if err != nil {
		t.Fatal(err)
	}
	verify := svid.NewX509(bundles, clock.System{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := verify.Authenticate(r.Context(), &identity.Credentials{Peer: r.TLS.PeerCertificates})
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		w.Header().Set("Who", p.ID)
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS13}
	server.StartTLS()
	defer server.Close()
	for _, shown := range []bool{true, false} {
		client := server.Client()
		transport := client.Transport.(*http.Transport).Clone()
		if shown {
			mine, err := source.GetX509SVID()
			if err != nil {
				t.Fatal(err)
			}
			transport.TLSClientConfig.Certificates = []tls.Certificate{{Certificate: [][]byte{leaf}, PrivateKey: mine.PrivateKey}}
		}
		answer, err := (&http.Client{Transport: transport}).Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		transport.CloseIdleConnections()
		if got := answer.Header.Get("Who"); (got == intake.String()) != shown {
			t.Errorf("certificate shown %v: %d %q", shown, answer.StatusCode, got)
		}
	}
}

func TestWhoNoEntryNamesGetsNothing(t *testing.T) {
	_, address := serve(t, clock.System{}, entries(t, attest.Entry{ID: intake, Selectors: []attest.Selector{"unix:uid:4242"}}))
	option := workloadapi.WithAddr(address)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if _, err := workloadapi.FetchX509SVID(ctx, option); status.Code(err) != codes.PermissionDenied {
		t.Errorf("certificate: %v", err)
	}
	if _, err := workloadapi.FetchJWTSVID(ctx, jwtsvid.Params{Audience: "gateway"}, option); status.Code(err) != codes.PermissionDenied {
		t.Errorf("token: %v", err)
	}
	if _, err := workloadapi.FetchX509Bundles(ctx, option); status.Code(err) != codes.PermissionDenied {
		t.Errorf("bundles: %v", err)
	}
}

func dial(t *testing.T, address string) pb.SpiffeWorkloadAPIClient {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return pb.NewSpiffeWorkloadAPIClient(conn)
}

func TestARequestWithoutTheSecurityHeaderIsRefused(t *testing.T) {
	_, address := serve(t, clock.System{}, entries(t, attest.Entry{ID: intake, Selectors: []attest.Selector{me}}))
	client := dial(t, address)
	for _, tt := range []struct {
		name   string
		header []string
		want   codes.Code
	}{
		{"none", nil, codes.InvalidArgument},
		{"false", []string{"workload.spiffe.io", "false"}, codes.InvalidArgument},
		{"twice", []string{"workload.spiffe.io", "true", "workload.spiffe.io", "true"}, codes.InvalidArgument},
		{"true", []string{"workload.spiffe.io", "true"}, codes.OK},
	} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), tt.header...)
		_, err := client.FetchJWTSVID(ctx, &pb.JWTSVIDRequest{Audience: []string{"gateway"}})
		if status.Code(err) != tt.want {
			t.Errorf("%s: %v", tt.name, err)
		}
		stream, err := client.FetchX509SVID(ctx, &pb.X509SVIDRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != tt.want {
			t.Errorf("%s, a stream: %v", tt.name, err)
		}
	}
}

func TestARotationOfTheAuthoritiesIsPushed(t *testing.T) {
	now := clock.At(time.Now())
	authority, address := serve(t, now, entries(t, attest.Entry{ID: intake, Selectors: []attest.Selector{me}}))
	client := dial(t, address)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "workload.spiffe.io", "true")
	svids, err := client.FetchX509SVID(ctx, &pb.X509SVIDRequest{})
	if err != nil {
		t.Fatal(err)
	}
	bundles, err := client.FetchJWTBundles(ctx, &pb.JWTBundlesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := svids.Recv(); err != nil {
		t.Fatal(err)
	}
	if _, err := bundles.Recv(); err != nil {
		t.Fatal(err)
	}
	// By the time that a rotation is due, half a life is over too: what is sent for
	// that, before the rotation or in the middle of it, is not what the rotation pushes.
	now.Advance(25 * time.Hour)
	first, err := svids.Recv()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := bundles.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if err := authority.Rotate(); err != nil {
		t.Fatal(err)
	}
	second, err := svids.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if len(second.Svids[0].Bundle) <= len(first.Svids[0].Bundle) || string(second.Svids[0].X509SvidKey) == string(first.Svids[0].X509SvidKey) {
		t.Error("the second answer has no new authority, or an old key")
	}
	more, err := bundles.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if id := domain.IDString(); strings.Count(string(more.Bundles[id]), `"kid"`) != strings.Count(string(keys.Bundles[id]), `"kid"`)+1 {
		t.Error("the keys of tokens have no new one")
	}
}

func TestACertificateIsReplacedAtHalfItsLifeUntilItsEntryGoes(t *testing.T) {
	now := clock.At(time.Now())
	named, nobody := entries(t, attest.Entry{ID: intake, Selectors: []attest.Selector{me}})(), entries(t)()
	var current atomic.Pointer[attest.Entries]
	current.Store(named)
	_, address := serve(t, now, current.Load)
	stream, err := dial(t, address).FetchX509SVID(metadata.AppendToOutgoingContext(t.Context(), "workload.spiffe.io", "true"), &pb.X509SVIDRequest{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range 4 {
		answer, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(answer.Svids[0].X509Svid)
		if err != nil {
			t.Fatal(err)
		}
		if seen[leaf.SerialNumber.String()] || now.Now().After(leaf.NotAfter.Add(-ca.MinLife/2)) {
			t.Errorf("an old certificate, until %s at %s", leaf.NotAfter, now.Now())
		}
		seen[leaf.SerialNumber.String()] = true
		now.Advance(ca.MinLife / 2)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	current.Store(nobody)
	now.Advance(ca.MinLife / 2)
	if _, err := stream.Recv(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("when its entry is gone: %v", err)
	}
}

func TestASocketIsTakenOverOnlyFromTheDead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	l, err := workload.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := workload.Listen(path); err == nil {
		t.Error("a socket that is served was taken over")
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close() // as one that was killed
	if l, err = workload.Listen(path); err != nil {
		t.Errorf("a dead one: %v", err)
	} else {
		l.Close()
	}
	file := path + ".txt"
	os.WriteFile(file, []byte("mine"), 0o600)
	if _, err := workload.Listen(file); err == nil {
		t.Error("a file was replaced")
	}
}

func TestWhatIsIssuedIsRecordedFirstAndAUserDoesNotAskWithoutEnd(t *testing.T) {
	dir, now := t.TempDir(), clock.At(time.Now())
	authority, err := ca.Open(filepath.Join(dir, "ca"), domain, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { authority.Close() })
	var full atomic.Bool
	recorded, refused := make(chan ca.Issued, 16), make(chan verdict.Code, 16)
	server, err := workload.New(workload.Options{
		Authority: authority, Entries: entries(t, attest.Entry{ID: intake, Selectors: []attest.Selector{me}}), Life: ca.MinLife, PerMinute: 4, Clock: now,
		Record: func(_ context.Context, i ca.Issued) error {
			if full.Load() {
				return errors.New("full")
			}
			recorded <- i
			return nil
		},
		Refused: func(c verdict.Code) { refused <- c },
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := workload.Listen(filepath.Join(dir, "agent.sock"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- server.Serve(ctx, l) }()
	t.Cleanup(func() { cancel(); <-done })
	client := dial(t, "unix://"+filepath.Join(dir, "agent.sock"))
	header := metadata.AppendToOutgoingContext(t.Context(), "workload.spiffe.io", "true")
	token := func() error {
		_, err := client.FetchJWTSVID(header, &pb.JWTSVIDRequest{Audience: []string{"gateway"}})
		return err
	}
	certificate := func() error {
		stream, err := client.FetchX509SVID(header, &pb.X509SVIDRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	}
	for _, tt := range []struct {
		ask  func() error
		want identity.Method
	}{{token, identity.JWTSVID}, {certificate, identity.X509SVID}} {
		if err := tt.ask(); err != nil {
			t.Fatal(err)
		}
		if i := <-recorded; i.ID != intake || i.Method != tt.want || i.Evidence != "unix" || i.Credential == [32]byte{} || !i.NotAfter.After(now.Now()) {
			t.Errorf("recorded %+v", i)
		}
	}
	full.Store(true)
	for _, ask := range []func() error{token, certificate} {
		if err := ask(); status.Code(err) != codes.Unavailable || <-refused != verdict.GatewayRecord {
			t.Errorf("when it cannot be recorded: %v", err)
		}
	}
	full.Store(false)
	for _, ask := range []func() error{token, certificate} {
		if err := ask(); status.Code(err) != codes.ResourceExhausted || <-refused != verdict.LimitRate {
			t.Errorf("a fifth time: %v", err)
		}
	}
	now.Advance(15 * time.Second)
	if err := token(); err != nil {
		t.Errorf("a quarter of a minute later: %v", err)
	}
}
