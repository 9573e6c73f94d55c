package gateway

import (
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/apexlogic/apex/internal/identity/live"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// asIs is a codec of messages that are bytes already.
type asIs struct{}

func (asIs) Marshal(v any) ([]byte, error)   { return *v.(*[]byte), nil }
func (asIs) Unmarshal(b []byte, v any) error { *v.(*[]byte) = bytes.Clone(b); return nil }
func (asIs) Name() string                    { return "proto" }

func field(n protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), v)
}

// asked is a ModelInferRequest with one text, or its answer: the fields of the two
// have the same numbers.
func asked(model, text string) []byte {
	shape := protowire.AppendVarint(protowire.AppendTag(nil, 3, protowire.VarintType), 1)
	tensor := append(append(field(1, []byte("prompt")), field(2, []byte("BYTES"))...), shape...)
	tensor = append(tensor, field(5, field(8, []byte(text)))...)
	return append(field(1, []byte(model)), field(5, tensor)...)
}

const (
	service     = "/inference.GRPCInferenceService/"
	infer       = service + "ModelInfer"
	inferStream = service + "ModelStreamInfer"
)

// calls is a world that speaks gRPC on both sides.
type calls struct {
	*world
	conn *grpc.ClientConn
	got  chan metadata.MD
}

func newCalls(t *testing.T, change func(*Route)) *calls {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &calls{got: make(chan metadata.MD, 64)}
	behind := grpc.NewServer(grpc.ForceServerCodec(asIs{}), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(s)
		about, _ := metadata.FromIncomingContext(s.Context())
		c.got <- about
		for {
			var in []byte
			if err := s.RecvMsg(&in); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			switch method {
			case inferStream:
				in = field(2, in)
			case service + "ServerLive":
				in = protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1)
			}
			if err := s.SendMsg(&in); err != nil {
				return err
			}
		}
	}))
	go behind.Serve(l)
	t.Cleanup(behind.Stop)
	c.world = newWorld(t, func(r *Route) {
		r.API, r.Upstream.URL = OpenInference, &url.URL{Scheme: "http", Host: l.Addr().String()}
		r.Kinds[media.Tensor] = true
		if change != nil {
			change(r)
		}
	})
	c.front.Close()
	c.front = httptest.NewUnstartedServer(c.gateway)
	c.front.Config.Protocols = new(http.Protocols)
	c.front.Config.Protocols.SetHTTP1(true)
	c.front.Config.Protocols.SetUnencryptedHTTP2(true)
	c.front.Config.ErrorLog = log.New(io.Discard, "", 0)
	c.front.Start()
	t.Cleanup(c.front.Close)
	c.conn, err = grpc.NewClient(c.front.Listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithAuthority("captioner.example"), grpc.WithDefaultCallOptions(grpc.ForceCodec(asIs{})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.conn.Close() })
	return c
}

// as asks one thing as somebody.
func (c *calls) as(t *testing.T, who, method string, in []byte) ([]byte, error) {
	t.Helper()
	ctx := t.Context()
	if who != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+who)
	}
	var out []byte
	err := c.conn.Invoke(ctx, method, &in, &out)
	return out, err
}

func TestACallOfGRPCIsJudgedByEveryStage(t *testing.T) {
	hello := asked("captioner", "Hello")
	for _, tc := range []struct {
		name, who, method string
		message           []byte
		route             func(*Route)
		status            codes.Code
		code              verdict.Code
	}{
		{"everything as it should be", "alice", infer, hello, nil, codes.OK, ""},
		{"whether the server lives", "alice", service + "ServerLive", nil, nil, codes.OK, ""},
		{"nobody", "", infer, hello, nil, codes.Unauthenticated, verdict.RequestIdentity},
		{"somebody without a right", "bob", infer, hello, nil, codes.PermissionDenied, verdict.AccessDenied},
		{"another model", "alice", infer, asked("other", "Hello"), nil, codes.PermissionDenied, verdict.RequestModel},
		{"a method that the protocol does not have", "alice", service + "RepositoryModelLoad", hello, nil, codes.Unimplemented, verdict.RequestRoute},
		{"reflection", "alice", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", nil, nil, codes.Unimplemented, verdict.RequestRoute},
		{"a message that is none", "alice", infer, []byte("hello"), nil, codes.PermissionDenied, verdict.StreamInvalid},
		{"a message that is too long", "alice", infer, asked("captioner", strings.Repeat("Hello", 100)), func(r *Route) { r.Media.Bytes = 100 }, codes.ResourceExhausted, verdict.StreamLimit},
		{"tensors where none are taken", "alice", infer, hello, func(r *Route) { r.Kinds[media.Tensor] = false }, codes.InvalidArgument, verdict.MediaKind},
		{"a name that is an attack", "alice", infer, append(hello, field(3, []byte("attack'--"))...), func(r *Route) { r.Firewall = rules{} }, codes.PermissionDenied, verdict.WAFBlocked},
		{"a name that is none", "alice", infer, append(hello, field(3, []byte("plain"))...), func(r *Route) { r.Firewall = rules{} }, codes.OK, ""},
		{"too many requests", "alice", infer, hello, func(r *Route) { r.Limits = Limits{Requests: 1, Tokens: 1} }, codes.ResourceExhausted, verdict.LimitTokens},
		{"an answer that holds what no answer may", "alice", infer, asked("captioner", "a secret"), func(r *Route) { r.Guards = append(r.Guards, secrets{}) }, codes.PermissionDenied, "test.secret"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCalls(t, tc.route)
			out, err := c.as(t, tc.who, tc.method, tc.message)
			if status.Code(err) != tc.status || tc.code != "" && !strings.HasPrefix(status.Convert(err).Message(), string(tc.code)) {
				t.Fatalf("%v", err)
			}
			d, durable := c.records.last(t)
			passes := tc.code == "" || tc.code == "test.secret"
			if d.Allowed != passes || durable == passes || !passes && d.Code != string(tc.code) {
				t.Errorf("recorded: %+v", d)
			}
			if passes != (len(c.got) > 0) {
				t.Error("what is denied reaches the server, or what is allowed does not")
			}
			if tc.code != "" {
				return
			}
			about := <-c.got
			if strings.Join(about["x-apex-principal"], "") != "https://id.example#alice" || len(about["authorization"]) > 0 {
				t.Errorf("%v", about)
			}
			if tc.method == infer && (!bytes.Equal(out, tc.message) || d.Action != Infer || d.Model != "captioner" || d.Bytes != int64(len(tc.message)) || len(d.Body) != 64 || len(d.Parts) != 1) {
				t.Errorf("%q %+v", out, d)
			}
			if o := c.outcome(t); o.Code != "" || o.Sent.Events != 1 || o.Stream.Events != 1 || o.Status != 200 {
				t.Errorf("%+v %+v %+v", o, o.Sent, o.Stream)
			}
		})
	}
}

func TestEveryMessageOfAStreamOfGRPCIsJudged(t *testing.T) {
	good := asked("captioner", "Hello")
	for _, tc := range []struct {
		name    string
		message []byte
		code    verdict.Code
		route   func(*Route)
	}{
		{"another text", asked("captioner", "Bye"), "", nil},
		{"another model", asked("other", "Hello"), verdict.RequestModel, nil},
		{"a field that nobody knows", append(asked("captioner", "Hello"), field(60, nil)...), verdict.StreamInvalid, nil},
		{"an attack", append(asked("captioner", "Hello"), field(3, []byte("attack'--"))...), verdict.WAFBlocked, func(r *Route) { r.Firewall = rules{} }},
		{"more tokens than there are", asked("captioner", strings.Repeat("Hello", 100)), verdict.LimitTokens, func(r *Route) { r.Limits.Tokens = 50 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCalls(t, tc.route)
			s, err := c.conn.NewStream(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer alice"),
				&grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, inferStream)
			if err != nil {
				t.Fatal(err)
			}
			var out []byte
			if err := s.SendMsg(&good); err != nil {
				t.Fatal(err)
			}
			if err := s.RecvMsg(&out); err != nil || !bytes.Equal(out, field(2, good)) {
				t.Fatalf("%q %v", out, err)
			}
			if err := s.SendMsg(&tc.message); err != nil {
				t.Fatal(err)
			}
			s.CloseSend()
			err = s.RecvMsg(&out)
			if tc.code == "" {
				if err != nil || !bytes.Equal(out, field(2, tc.message)) {
					t.Fatalf("%q %v", out, err)
				}
				if err := s.RecvMsg(&out); err != io.EOF {
					t.Error(err)
				}
				if o := c.outcome(t); o.Code != "" || o.Sent.Events != 2 || o.Stream.Events != 2 {
					t.Errorf("%+v", o)
				}
				return
			}
			if err == nil || !strings.HasPrefix(status.Convert(err).Message(), string(tc.code)) {
				t.Fatalf("%q %v", out, err)
			}
			if o := c.outcome(t); o.Code != string(tc.code) {
				t.Errorf("%+v", o)
			}
		})
	}
}

func TestARevocationEndsACallOfGRPCWithItsCode(t *testing.T) {
	c := newCalls(t, nil)
	s, err := c.conn.NewStream(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer alice"),
		&grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, inferStream)
	if err != nil {
		t.Fatal(err)
	}
	in, out := asked("captioner", "Hello"), []byte(nil)
	if err := s.SendMsg(&in); err != nil {
		t.Fatal(err)
	}
	if err := s.RecvMsg(&out); err != nil {
		t.Fatal(err)
	}
	snapshot, err := NewSnapshot("two", []*Route{c.route}, c.gateway.Current())
	if err != nil {
		t.Fatal(err)
	}
	snapshot.Revoked = live.Revoked{Digests: map[string]bool{"sha256:" + strings.Repeat("a", 64): true}}
	c.gateway.Use(snapshot)
	if err := s.RecvMsg(&out); status.Code(err) != codes.PermissionDenied || !strings.HasPrefix(status.Convert(err).Message(), string(verdict.Revoked)) {
		t.Error(err)
	}
	if _, err := c.as(t, "alice", infer, in); !strings.HasPrefix(status.Convert(err).Message(), string(verdict.Revoked)) {
		t.Errorf("at the door: %v", err)
	}
	if _, err := c.as(t, "alice", service+"ServerLive", nil); err != nil {
		t.Errorf("what is not revoked: %v", err)
	}
}

func TestARouteTakesBothHTTPAndGRPC(t *testing.T) {
	c := newCalls(t, nil)
	if _, err := c.as(t, "alice", infer, asked("captioner", "Hello")); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(c.behind)
	defer server.Close()
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	r := *c.route
	r.Upstream.URL = at
	c.use(t, "two", &r)
	text := `{"inputs":[{"name":"prompt","datatype":"BYTES","shape":[1],"data":["Hello"]}]}`
	if status, _, answer := c.ask(t, "POST", "/v2/models/captioner/infer", text, nil); status != 200 {
		t.Error(status, answer)
	}
}
