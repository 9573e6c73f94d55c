package extauthz

import (
	"crypto/tls"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

func TestAProxyChecksWhetherItShouldAskHere(t *testing.T) {
	ca := newAuthority(t)
	var ready atomic.Bool
	ready.Store(true)
	s, err := New(Options{Decide: allow(new(Request)), Identity: ca, Proxies: []string{envoy}, Ready: ready.Load})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewUnstartedServer(s.Both())
	front.TLS = &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "spiffe://vision.example/apex/gateway")}, ClientAuth: tls.RequestClientCert}
	front.EnableHTTP2 = true
	front.StartTLS()
	t.Cleanup(front.Close)
	as := func(id string) *grpc.ClientConn {
		c := &tls.Config{RootCAs: ca.pool(), ServerName: "apex.test", Certificates: []tls.Certificate{ca.issue(t, id)}}
		conn, err := grpc.NewClient(front.Listener.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(c)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	proxy := as(envoy)
	const authorization = "envoy.service.auth.v3.Authorization"
	for _, tc := range []struct {
		name    string
		conn    *grpc.ClientConn
		service string
		ready   bool
		code    codes.Code
		want    healthv1.HealthCheckResponse_ServingStatus
	}{
		{"the server, which is ready", proxy, "", true, codes.OK, healthv1.HealthCheckResponse_SERVING},
		{"its service, which is ready", proxy, authorization, true, codes.OK, healthv1.HealthCheckResponse_SERVING},
		{"the server, which is not", proxy, "", false, codes.OK, healthv1.HealthCheckResponse_NOT_SERVING},
		{"its service, which is not", proxy, authorization, false, codes.OK, healthv1.HealthCheckResponse_NOT_SERVING},
		{"a service that there is not", proxy, "envoy.service.auth.v2.Authorization", true, codes.NotFound, 0},
		{"by somebody who may not ask", as(intake), "", true, codes.PermissionDenied, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ready.Store(tc.ready)
			r, err := healthv1.NewHealthClient(tc.conn).Check(t.Context(), &healthv1.HealthCheckRequest{Service: tc.service})
			if status.Code(err) != tc.code || r.GetStatus() != tc.want {
				t.Errorf("%v, %v", r, err)
			}
		})
	}
	for _, method := range []string{
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "/grpc.channelz.v1.Channelz/GetServers",
	} {
		if err := proxy.Invoke(t.Context(), method, &emptypb.Empty{}, &emptypb.Empty{}); status.Code(err) != codes.Unimplemented {
			t.Errorf("%s is answered: %v", method, err)
		}
	}
	watch, err := healthv1.NewHealthClient(proxy).Watch(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); status.Code(err) != codes.Unimplemented {
		t.Errorf("a watch ends with %v", err)
	}
}
