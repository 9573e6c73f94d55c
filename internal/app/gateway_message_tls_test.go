package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"testing"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"

	"github.com/apexlogic/apex/internal/gateway/message"
	"github.com/apexlogic/apex/internal/identity/own"
	"github.com/apexlogic/apex/internal/identity/svid"
)

func TestABrokerIsMetByMutualTLSAndHasToBeTheOneThatIsNamed(t *testing.T) {
	dir, bundles := t.TempDir(), t.TempDir()
	intake, broker := caller(t, bundles, "/intake"), workload(t, bundles, "mesh.example", "/nats")
	url, got := receiver(t)
	shown := make(chan string, 64)
	n, err := natsd.NewServer(&natsd.Options{
		Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true, TLSTimeout: 60,
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return broker.Certificate() },
			VerifyConnection: func(s tls.ConnectionState) error {
				if len(s.PeerCertificates) == 0 || len(s.PeerCertificates[0].URIs) != 1 {
					return errors.New("who is it?")
				}
				shown <- s.PeerCertificates[0].URIs[0].String()
				return nil
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	go n.Start()
	t.Cleanup(func() { n.Shutdown(); n.WaitForShutdown() })
	if !n.ReadyForConnections(2 * time.Minute) {
		t.Fatal("the broker does not start")
	}
	before := n.NumSubscriptions()
	at := "nats://" + n.Addr().String() + "/incoming"
	put(t, dir, "route.yaml", fmt.Sprintf(eventsRoute, url, fmt.Sprintf(`{from: {url: "%s", tls: Mutual, spiffeIDs: ["spiffe://mesh.example/nats"]}}`, at)))
	serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles})
	if who := <-shown; who != "spiffe://vision.example/apex/gateway" {
		t.Errorf("the gateway is %s", who)
	}
	waiting, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for n.NumSubscriptions() == before {
		select {
		case <-waiting.Done():
			t.Fatal("the gateway does not subscribe")
		case <-time.After(5 * time.Millisecond):
		}
	}

	domains, err := own.Domains(bundles)
	if err != nil {
		t.Fatal(err)
	}
	believed, err := svid.NewBundles(domains...)
	if err != nil {
		t.Fatal(err)
	}
	as := func(server string) *message.Broker {
		t.Helper()
		secure, err := intake.ClientTLS(believed, server)
		if err != nil {
			t.Fatal(err)
		}
		return &message.Broker{URL: at, TLS: secure}
	}
	if _, err := as("spiffe://mesh.example/kafka").Topic(t.Context()); err == nil {
		t.Error("a broker of another name was spoken to")
	}
	topic, err := as("spiffe://mesh.example/nats").Topic(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer topic.Close(context.WithoutCancel(t.Context()))
	if err := topic.Send(t.Context(), event(t, intake, "1", nil, nil)); err != nil {
		t.Fatal(err)
	}
	if r := <-got; r.id != "1" {
		t.Errorf("%+v", r)
	}
}
