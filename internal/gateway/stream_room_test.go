package gateway

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/apexlogic/apex/internal/gateway/bodies"
	"github.com/apexlogic/apex/verdict"
)

// aliceHolds takes so many bytes of the memory for messages, as hers.
func (w *world) aliceHolds(t *testing.T, n int64) {
	t.Helper()
	var held bodies.Hold
	held.Begin(w.gateway.options.Bodies, "https://id.example#alice")
	if err := held.Try(n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(held.End)
}

// holdsNothing waits until nothing is held by streams any more.
func (w *world) holdsNothing(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); w.gateway.options.Bodies.Taken() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are held by no message", w.gateway.options.Bodies.Taken())
		}
	}
}

const roomForAll = 1 << 20 // a quarter of it for each caller

func TestMessagesOfAWebSocketCountForTheMemoryOfMessages(t *testing.T) {
	say := func(n int) string {
		return `{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_text","text":"` + strings.Repeat("Hello ", n/6) + `"}]}}`
	}
	for _, tc := range []struct {
		name, message string
		held          int64 // by another message of the caller
		code          verdict.Code
	}{
		{"there is room", say(60_000), 0, ""},
		{"a small one needs none", say(600), roomForAll / 4, ""},
		{"the caller holds its share", say(60_000), roomForAll / 4, verdict.BodyMemory},
		{"it alone needs more than a share", say(300_000), 0, verdict.StreamLimit},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.gateway.options.Bodies = bodies.New(roomForAll)
			w.behind.answer(parrot)
			c, _, err := w.dial(t, realtime, nil)
			if err != nil {
				t.Fatal(err)
			}
			c.SetReadLimit(-1)
			if tc.held > 0 {
				w.aliceHolds(t, tc.held)
			}
			// One that is refused may not get as far as being written.
			err = c.Write(t.Context(), websocket.MessageText, []byte(tc.message))
			if tc.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				if _, back, err := c.Read(t.Context()); err != nil || string(back) != tc.message {
					t.Fatalf("%.200q %v", back, err)
				}
				c.Close(websocket.StatusNormalClosure, "")
			}
			if o := w.outcome(t); o.Code != string(tc.code) {
				t.Errorf("%+v", o)
			}
			if tc.held == 0 {
				w.holdsNothing(t)
			}
		})
	}
}

func TestMessagesOfACallCountForTheMemoryOfMessages(t *testing.T) {
	text := strings.Repeat("Hello ", 10_000)
	good, long := asked("captioner", "Hello"), asked("captioner", text)
	for _, tc := range []struct {
		name    string
		message []byte
		held    int64
		code    verdict.Code
		status  codes.Code
	}{
		{"there is room", long, 0, "", codes.OK},
		{"a small one needs none", good, roomForAll / 4, "", codes.OK},
		{"the caller holds its share", long, roomForAll / 4, verdict.BodyMemory, codes.Unavailable},
		{"it alone needs more than a share", asked("captioner", strings.Repeat(text, 5)), 0, verdict.StreamLimit, codes.ResourceExhausted},
	} {
		for _, first := range []bool{true, false} {
			name := tc.name
			if first {
				name += ", and it is the first"
			}
			t.Run(name, func(t *testing.T) {
				c := newCalls(t, nil)
				c.gateway.options.Bodies = bodies.New(roomForAll)
				s, err := c.conn.NewStream(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer alice"),
					&grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, inferStream)
				if err != nil {
					t.Fatal(err)
				}
				var out []byte
				if !first {
					if err := s.SendMsg(&good); err != nil {
						t.Fatal(err)
					}
					if err := s.RecvMsg(&out); err != nil {
						t.Fatal(err)
					}
				}
				if tc.held > 0 {
					c.aliceHolds(t, tc.held)
				}
				if err := s.SendMsg(&tc.message); err != nil && err != io.EOF { // EOF: it was ended while it was sent
					t.Fatal(err)
				}
				s.CloseSend()
				err = s.RecvMsg(&out)
				if tc.code == "" {
					if err != nil || !bytes.Equal(out, field(2, tc.message)) {
						t.Fatal(err)
					}
					if err := s.RecvMsg(&out); err != io.EOF {
						t.Error(err)
					}
				} else if status.Code(err) != tc.status || !strings.HasPrefix(status.Convert(err).Message(), string(tc.code)) {
					t.Fatal(err)
				}
				if tc.held == 0 {
					c.holdsNothing(t)
				}
			})
		}
	}
}
