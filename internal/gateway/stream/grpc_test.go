package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/apexlogic/apex/verdict"
)

// asIs is a codec of messages that are bytes already.
type asIs struct{}

func (asIs) Marshal(v any) ([]byte, error)   { return *v.(*[]byte), nil }
func (asIs) Unmarshal(b []byte, v any) error { *v.(*[]byte) = bytes.Clone(b); return nil }
func (asIs) Name() string                    { return "proto" }

type called struct{ up, down Summary }

func cleartext2() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

// callTo serves c in front of a server of gRPC that answers each message with
// what answer makes of it, and returns a connection to it.
func callTo(t *testing.T, c Call, answer func(in []byte, s grpc.ServerStream) error) (*grpc.ClientConn, <-chan called) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	behind := grpc.NewServer(grpc.ForceServerCodec(asIs{}), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		s.SetTrailer(metadata.Pairs("said", "at the end"))
		for {
			var in []byte
			if err := s.RecvMsg(&in); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			if err := answer(in, s); err != nil {
				return err
			}
		}
	}))
	go behind.Serve(l)
	t.Cleanup(behind.Stop)
	transport := &http.Transport{Protocols: cleartext2()}
	t.Cleanup(transport.CloseIdleConnections)
	if c.Transport == nil {
		c.Transport = transport
	}
	c.URL = &url.URL{Scheme: "http", Host: l.Addr().String()}
	all := make(chan called, 8)
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one := c
		one.Header = http.Header{"X-Kept": r.Header["X-Kept"], "Grpc-Encoding": r.Header["Grpc-Encoding"]}
		if from, is := c.Transport.(contextual); is {
			ctx, cancel := context.WithCancelCause(r.Context())
			defer cancel(nil)
			defer context.AfterFunc(from, func() { cancel(context.Cause(from)) })()
			r = r.WithContext(ctx)
		}
		up, down := one.Serve(w, r)
		all <- called{up, down}
	}))
	front.Config.Protocols = cleartext2()
	front.Config.ErrorLog = quiet()
	front.Start()
	t.Cleanup(front.Close)
	conn, err := grpc.NewClient(front.Listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodec(asIs{})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, all
}

func echoed(in []byte, s grpc.ServerStream) error { return s.SendMsg(&in) }

// The messages of the protocol, field by field.
func str(number protowire.Number, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), v)
}

func num(number protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), v)
}

func sub(number protowire.Number, parts ...[]byte) []byte { return str(number, string(cat(parts...))) }

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func packed(number protowire.Number, all ...uint64) []byte {
	var b []byte
	for _, v := range all {
		b = protowire.AppendVarint(b, v)
	}
	return str(number, string(b))
}

func floats(all ...float32) string {
	var b []byte
	for _, v := range all {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return string(b)
}

func counted(all ...string) string {
	var b []byte
	for _, v := range all {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(v))), v...)
	}
	return string(b)
}

// said is a request whose one tensor holds texts.
func said(texts ...string) []byte {
	var contents []byte
	for _, s := range texts {
		contents = append(contents, str(8, s)...)
	}
	return cat(str(1, "captioner"), sub(5, str(1, "prompt"), str(2, "BYTES"), packed(3, uint64(len(texts))), sub(5, contents)))
}

const infer, streamInfer = "/inference.GRPCInferenceService/ModelInfer", "/inference.GRPCInferenceService/ModelStreamInfer"

func TestACallPassesAsItCame(t *testing.T) {
	for name, options := range map[string][]grpc.CallOption{"as it is": nil, "compressed": {grpc.UseCompressor("gzip")}} {
		t.Run(name, func(t *testing.T) {
			conn, end := callTo(t, Call{Methods: Inference()}, func(in []byte, s grpc.ServerStream) error {
				md, _ := metadata.FromIncomingContext(s.Context())
				if len(md["x-kept"]) != 1 || len(md["te"]) > 0 {
					return status.Errorf(codes.Internal, "%v", md)
				}
				return s.SendMsg(&in)
			})
			in, out := said(strings.Repeat("what is this? ", 20)), []byte(nil)
			var header, trailer metadata.MD
			ctx := metadata.AppendToOutgoingContext(t.Context(), "x-kept", "yes", "x-other", "no")
			if err := conn.Invoke(ctx, infer, &in, &out, append(options, grpc.Header(&header), grpc.Trailer(&trailer))...); err != nil || !bytes.Equal(in, out) || len(trailer["said"]) != 1 {
				t.Fatalf("%v %d bytes %v", err, len(out), trailer)
			}
			if e := <-end; e.up.Events != 1 || e.down.Events != 1 || e.up.Cut != "" || e.down.Cut != "" || e.up.Bytes != int64(len(in)) || e.up.Parts != 1 || e.up.Text == 0 {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestAStatusOfTheServerReachesTheClient(t *testing.T) {
	for _, begun := range []bool{false, true} {
		conn, end := callTo(t, Call{Methods: Inference()}, func(in []byte, s grpc.ServerStream) error {
			if begun {
				if err := s.SendMsg(&in); err != nil {
					return err
				}
			}
			return status.Error(codes.ResourceExhausted, "not now")
		})
		in, out := said("a"), []byte(nil)
		if err := conn.Invoke(t.Context(), infer, &in, &out); status.Code(err) != codes.ResourceExhausted || status.Convert(err).Message() != "not now" {
			t.Errorf("begun %v: %v", begun, err)
		}
		if e := <-end; e.down.Cut != "" {
			t.Errorf("%+v", e)
		}
	}
}

func TestEveryMessageOfACallIsLookedAt(t *testing.T) {
	secret := Options{Guards: []Guard{noSecret("hunter2")}}
	answer := func(text string) []byte { return sub(2, said(text)) }
	for _, tc := range []struct {
		name     string
		up, down Options
		send     [][]byte
		back     [][]byte // for each that is sent
		passes   int      // answers that reach the client
		code     verdict.Code
	}{
		{"a secret that the client sends, in its third message", secret, Options{}, [][]byte{said("a"), said("b"), said("hunter2")}, [][]byte{answer("1")}, 2, secretFound},
		{"a word that the client sends", secret, Options{}, [][]byte{said("a"), said("b"), said("hunter3")}, [][]byte{answer("1")}, 3, ""},
		{"a secret that the server sends, in two messages", Options{}, secret, [][]byte{said("a")}, [][]byte{answer("a"), answer("hun"), answer("ter2")}, 2, secretFound},
		{"a word that the server sends, in two messages", Options{}, secret, [][]byte{said("a")}, [][]byte{answer("a"), answer("hun"), answer("ter3")}, 3, ""},
		{"a secret in an error of the server", Options{}, secret, [][]byte{said("a")}, [][]byte{str(1, "hunter2")}, 0, secretFound},
		{"an error of the server", Options{}, secret, [][]byte{said("a")}, [][]byte{str(1, "hunter3")}, 1, ""},
		{"a field that nobody knows", Options{}, Options{}, [][]byte{said("a")}, [][]byte{str(9, "x")}, 0, verdict.StreamInvalid},
		{"a tensor in the server's memory", Options{}, Options{}, [][]byte{cat(str(1, "captioner"), sub(5, str(1, "x"), str(2, "BYTES"), packed(3, 1), sub(4, str(1, "shared_memory_region"), sub(2, str(3, "r"))), sub(5, str(8, "a"))))}, nil, 0, verdict.BodyOutside},
		{"an answer into the server's memory", Options{}, Options{}, [][]byte{cat(said("a"), sub(6, str(1, "y"), sub(2, str(1, "shared_memory_region"), sub(2, str(3, "r")))))}, nil, 0, verdict.BodyOutside},
		{"an answer with a parameter", Options{}, Options{}, [][]byte{cat(said("a"), sub(6, str(1, "y"), sub(2, str(1, "classification"), sub(2, num(2, 2)))))}, [][]byte{answer("1")}, 1, ""},
		{"a message that is too long", Options{EventBytes: 100}, Options{}, [][]byte{said(strings.Repeat("a", 100))}, nil, 0, verdict.StreamLimit},
		{"messages that are too long together", Options{Bytes: 100}, Options{}, [][]byte{said(strings.Repeat("a", 40)), said(strings.Repeat("a", 40))}, [][]byte{answer("1")}, 1, verdict.StreamLimit},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conn, end := callTo(t, Call{Methods: Inference(), Up: tc.up, Down: tc.down}, func(_ []byte, s grpc.ServerStream) error {
				for _, b := range tc.back {
					if err := s.SendMsg(&b); err != nil {
						return err
					}
				}
				return nil
			})
			s, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, streamInfer)
			if err != nil {
				t.Fatal(err)
			}
			passed := 0
			for _, m := range tc.send {
				if err := s.SendMsg(&m); err != nil {
					break
				}
				for range tc.back {
					var out []byte
					if err = s.RecvMsg(&out); err != nil {
						break
					}
					passed++
				}
			}
			s.CloseSend()
			var out []byte
			if last := s.RecvMsg(&out); err == nil {
				err = last
			}
			want := codes.PermissionDenied
			if tc.code == verdict.StreamLimit {
				want = codes.ResourceExhausted
			}
			if tc.code == "" && err != io.EOF || tc.code != "" && (status.Code(err) != want || !strings.HasPrefix(status.Convert(err).Message(), string(tc.code))) {
				t.Errorf("the end is %v", err)
			}
			if passed != tc.passes {
				t.Errorf("%d answers passed, want %d", passed, tc.passes)
			}
			if e := <-end; e.up.Cut != tc.code && e.down.Cut != tc.code || tc.code == "" && e.up.Cut != "" {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestAMethodThatTheRouteDoesNotHaveIsRefused(t *testing.T) {
	const other = "/other.Service/Do"
	in, out := cat(str(1, "hunter3"), str(99, "\xff")), []byte(nil)
	conn, _ := callTo(t, Call{Methods: Inference()}, echoed)
	if err := conn.Invoke(t.Context(), other, &in, &out); status.Code(err) != codes.Unimplemented || !strings.HasPrefix(status.Convert(err).Message(), string(verdict.RequestRoute)) {
		t.Error(err)
	}
	opaque := Call{Opaque: true, Up: Options{Guards: []Guard{noSecret("hunter2")}}}
	conn, _ = callTo(t, opaque, echoed)
	if err := conn.Invoke(t.Context(), other, &in, &out); err != nil || !bytes.Equal(in, out) {
		t.Error(err)
	}
	in = str(1, "hunter2")
	if err := conn.Invoke(t.Context(), other, &in, &out); status.Code(err) != codes.PermissionDenied {
		t.Errorf("what is opaque is not looked at: %v", err)
	}
}

func TestACallEndsWithItsRevocationAndItsServer(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	conn, end := callTo(t, Call{Methods: Inference(), Transport: contextual{ctx, &http.Transport{Protocols: cleartext2()}}}, func(in []byte, s grpc.ServerStream) error {
		answer := sub(2, in)
		if err := s.SendMsg(&answer); err != nil {
			return err
		}
		<-s.Context().Done()
		return s.Context().Err()
	})
	s, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, streamInfer)
	if err != nil {
		t.Fatal(err)
	}
	in, out := said("a"), []byte(nil)
	if err := errors.Join(s.SendMsg(&in), s.RecvMsg(&out)); err != nil {
		t.Fatal(err)
	}
	cancel(&Cut{Code: verdict.StreamExpired, Detail: "revoked"})
	if err := s.RecvMsg(&out); status.Code(err) != codes.Unauthenticated || !strings.HasPrefix(status.Convert(err).Message(), string(verdict.StreamExpired)) {
		t.Error(err)
	}
	if e := <-end; e.down.Cut != verdict.StreamExpired {
		t.Errorf("%+v", e)
	}
	conn, end = callTo(t, Call{Methods: Inference(), Transport: nobody{}}, echoed)
	if err := conn.Invoke(t.Context(), infer, &in, &out); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	if e := <-end; e.down.Cut != verdict.UpstreamDown {
		t.Errorf("%+v", e)
	}
}

type nobody struct{}

func (nobody) RoundTrip(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }

func TestOnlyCallsOfGRPCAreTaken(t *testing.T) {
	for _, tc := range []struct {
		name  string
		major int
		kind  []string
		ok    bool
	}{
		{"gRPC", 2, []string{"application/grpc"}, true}, {"gRPC with its codec", 2, []string{"application/grpc+proto"}, true}, {"gRPC of JSON", 2, []string{"application/grpc+json"}, false},
		{"gRPC-Web", 2, []string{"application/grpc-web"}, false}, {"two types", 2, []string{"application/grpc", "text/plain"}, false}, {"HTTP/1.1", 1, []string{"application/grpc"}, false},
	} {
		r := httptest.NewRequest(http.MethodPost, infer, nil)
		r.ProtoMajor, r.Header = tc.major, http.Header{"Content-Type": tc.kind}
		if _, err := (&Call{Methods: Inference()}).admit(r); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// made is a transport whose server answers with one response, made by hand.
type made struct {
	header, trailer http.Header
	seen            chan http.Header
}

func (m made) RoundTrip(r *http.Request) (*http.Response, error) {
	m.seen <- r.Header.Clone()
	go io.Copy(io.Discard, r.Body)
	return &http.Response{StatusCode: http.StatusOK, ProtoMajor: 2, Header: m.header, Trailer: m.trailer, Body: http.NoBody, Request: r}, nil
}

func TestWhatStandsAroundTheMessagesIsLookedAtToo(t *testing.T) {
	kind := []string{"application/grpc"}
	for _, tc := range []struct {
		name            string
		header, trailer http.Header
		status          codes.Code
		code            verdict.Code
	}{
		{"a status after the messages", http.Header{"Content-Type": kind}, http.Header{"Grpc-Status": {"5"}, "Grpc-Message": {"hunter3"}}, codes.NotFound, ""},
		{"a secret in the status after the messages", http.Header{"Content-Type": kind}, http.Header{"Grpc-Status": {"5"}, "Grpc-Message": {"hunter2"}}, codes.PermissionDenied, secretFound},
		{"a status instead of messages", http.Header{"Content-Type": kind, "Grpc-Status": {"5"}, "Grpc-Message": {"hunter3"}}, nil, codes.NotFound, ""},
		{"a secret in the status instead of messages", http.Header{"Content-Type": kind, "Grpc-Status": {"5"}, "Grpc-Message": {"hunter2"}}, nil, codes.PermissionDenied, secretFound},
		{"no status", http.Header{"Content-Type": kind}, nil, codes.Unavailable, verdict.UpstreamDown},
		{"no gRPC", http.Header{"Content-Type": {"text/plain"}}, nil, codes.Unavailable, verdict.UpstreamDown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := made{tc.header, tc.trailer, make(chan http.Header, 1)}
			conn, end := callTo(t, Call{Methods: Inference(), Transport: m, Down: Options{Guards: []Guard{noSecret("hunter2")}}}, echoed)
			s, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, streamInfer, grpc.UseCompressor("gzip"))
			if err != nil {
				t.Fatal(err)
			}
			s.CloseSend()
			var out []byte
			err = s.RecvMsg(&out)
			if status.Code(err) != tc.status || strings.Contains(status.Convert(err).Message(), "hunter2") {
				t.Errorf("the end is %v", err)
			}
			if e := <-end; e.down.Cut != tc.code {
				t.Errorf("%+v", e)
			}
			if h := <-m.seen; h.Get("Grpc-Encoding") != "" || h.Get("Grpc-Accept-Encoding") != "identity" || h.Get("Te") != "trailers" {
				t.Errorf("the server sees %v", h)
			}
		})
	}
}
