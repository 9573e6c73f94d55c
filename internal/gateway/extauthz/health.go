package extauthz

import (
	"context"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/apexlogic/apex/verdict"
)

// health answers the checks of a cluster in Envoy (GRPC Health Checking Protocol).
// Envoy asks by Check; Watch is not implemented, which the protocol lets a server say.
type health struct {
	healthv1.UnimplementedHealthServer
	s *Server
}

// Check says whether questions should come here: for the server as a whole (""),
// and for its one service. Who may not ask is not told.
func (h health) Check(ctx context.Context, in *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	if !h.s.mayAsk(ctx) {
		return nil, status.Error(codes.PermissionDenied, verdict.AskedBy.Info().Meaning)
	}
	if name := in.GetService(); name != "" && name != authv3.Authorization_ServiceDesc.ServiceName {
		return nil, status.Error(codes.NotFound, "there is no such service: ask for "+authv3.Authorization_ServiceDesc.ServiceName)
	}
	is := healthv1.HealthCheckResponse_SERVING
	if ready := h.s.options.Ready; ready != nil && !ready() {
		is = healthv1.HealthCheckResponse_NOT_SERVING
	}
	return &healthv1.HealthCheckResponse{Status: is}, nil
}

var _ healthv1.HealthServer = health{}
