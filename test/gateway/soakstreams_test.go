package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/apexlogic/apex/verdict"
)

// callRoute is the route in front of a server that speaks gRPC.
const callRoute = `apiVersion: security.apexlogic.com/v1alpha1
kind: ProtectedRoute
metadata: {name: calls}
spec:
  hosts: [calls.example]
  api: OpenInference
  upstream: {url: "%s", tls: Plaintext}
  identities:
    - spiffe: {trustDomain: claims.example}
  allow:
    - {identities: ["spiffe://claims.example/intake"], actions: [infer, list]}
  limits: {requests: 1000000, concurrent: 1000}
`

// said is a message of a conversation.
func said(text string) string {
	return `{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_text","text":"` + text + `"}]}}`
}

// sayBack is a server that answers each message of a WebSocket.
func (s *soak) sayBack(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		_, message, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if bytes.Contains(message, []byte("captioner-2")) {
			s.fail("a message that may not pass arrived")
		}
		if c.Write(r.Context(), websocket.MessageText, []byte(`{"type":"response.text.delta","delta":"a dent"}`)) != nil {
			return
		}
	}
}

// converse sends messages by a WebSocket, and waits for the answer to each. It
// comes back as an answer of HTTP: 200 when each was answered.
func converse(name string, messages ...string) func(*soak) answer {
	return func(s *soak) answer {
		c, resp, err := websocket.Dial(s.t.Context(), "wss://"+s.address+"/v1/realtime?model=captioner", &websocket.DialOptions{
			Host: host, HTTPClient: s.as, HTTPHeader: http.Header{soakHeader: {name}, "User-Agent": {"claims/1.0"}},
		})
		if err != nil {
			a := answer{err: err}
			if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
				data, _ := io.ReadAll(resp.Body)
				a = answer{status: resp.StatusCode, code: codeOf(data), id: resp.Header.Get("X-Request-Id"), text: string(data)}
			}
			return a
		}
		defer c.CloseNow()
		a := answer{status: http.StatusOK}
		for _, m := range messages {
			if a.err = c.Write(s.t.Context(), websocket.MessageText, []byte(m)); a.err != nil {
				break
			}
			_, data, err := c.Read(s.t.Context())
			if code := codeAtEnd(string(data)); err == nil && code != "" { // the event before the close
				return answer{status: http.StatusForbidden, code: code, text: string(data)}
			}
			if a.err = err; err != nil {
				break
			}
			a.text += string(data)
		}
		if closed, is := errors.AsType[websocket.CloseError](a.err); is {
			return answer{status: http.StatusForbidden, code: verdict.Code(closed.Reason), text: closed.Error()}
		}
		if a.err == nil {
			c.Close(websocket.StatusNormalClosure, "")
		}
		return a
	}
}

// asIs is a codec of messages that are bytes already.
type asIs struct{}

func (asIs) Marshal(v any) ([]byte, error)   { return *v.(*[]byte), nil }
func (asIs) Unmarshal(b []byte, v any) error { *v.(*[]byte) = bytes.Clone(b); return nil }
func (asIs) Name() string                    { return "proto" }

func bytesField(n protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), v)
}

// inferRequest is a ModelInferRequest with one text, or its answer: the fields of the
// two have the same numbers.
func inferRequest(text string) []byte {
	shape := protowire.AppendVarint(protowire.AppendTag(nil, 3, protowire.VarintType), 1)
	tensor := append(append(bytesField(1, []byte("prompt")), bytesField(2, []byte("BYTES"))...), shape...)
	tensor = append(tensor, bytesField(5, bytesField(8, []byte(text)))...)
	return append(bytesField(1, []byte("captioner")), bytesField(5, tensor)...)
}

const inferStream = "/inference.GRPCInferenceService/ModelStreamInfer"

// serveCalls is a server that answers each message of a call of gRPC.
func (s *soak) serveCalls(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	behind := grpc.NewServer(grpc.ForceServerCodec(asIs{}), grpc.UnknownServiceHandler(func(_ any, call grpc.ServerStream) error {
		about, _ := metadata.FromIncomingContext(call.Context())
		s.mu.Lock()
		s.arrived[strings.Join(about["x-soak"], "")]++
		s.mu.Unlock()
		s.server.mu.Lock()
		s.server.ids[strings.Join(about["x-request-id"], "")]++
		s.server.mu.Unlock()
		for {
			var in []byte
			if err := call.RecvMsg(&in); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			out := bytesField(2, in)
			if err := call.SendMsg(&out); err != nil {
				return err
			}
		}
	}))
	go behind.Serve(l)
	t.Cleanup(behind.Stop)
	return "http://" + l.Addr().String()
}

// call sends messages by one call of gRPC, and waits for the answer to each.
func call(name string, messages ...[]byte) func(*soak) answer {
	return func(s *soak) answer {
		conn, err := grpc.NewClient("passthrough:///"+s.address, grpc.WithTransportCredentials(credentials.NewTLS(s.secure(s.intake))),
			grpc.WithAuthority("calls.example"), grpc.WithDefaultCallOptions(grpc.ForceCodec(asIs{})), grpc.WithDisableRetry())
		if err != nil {
			return answer{err: err}
		}
		defer conn.Close()
		ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(s.t.Context(), soakHeader, name))
		defer cancel()
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, inferStream)
		for i := 0; err == nil && i < len(messages); i++ {
			var out []byte
			if err = stream.SendMsg(&messages[i]); err == nil || err == io.EOF { // what ended it is told to who reads
				err = stream.RecvMsg(&out)
			}
		}
		if err == nil {
			if err = stream.CloseSend(); err == nil {
				var out []byte
				if err = stream.RecvMsg(&out); err == io.EOF {
					return answer{status: http.StatusOK}
				}
			}
		}
		code, _, is := strings.Cut(status.Convert(err).Message(), ": ")
		if !is || !strings.HasPrefix(code, "request.") {
			return answer{err: err}
		}
		return answer{status: http.StatusForbidden, code: verdict.Code(code), text: err.Error()}
	}
}

// streams are the part of the mixture that goes on after its first message.
func streams() []kind {
	return []kind{
		{"socket", true, nil, converse("socket", said("Hello"), said("What is dented?"), said("Which door?"))},
		{"call", true, nil, call("call", inferRequest("Hello"), inferRequest("What is dented?"))},
		// Their first message may pass, so that they arrive.
		{"socket of another model", false, []verdict.Code{verdict.RequestModel}, converse("socket, later refused", said("Hello"), `{"type":"session.update","session":{"model":"captioner-2"}}`)},
		{"call that goes astray", false, []verdict.Code{verdict.StreamInvalid}, call("call, later refused", inferRequest("Hello"), []byte("\xff\xff\xff"))},
	}
}
