package shared

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/apexlogic/apex/internal/gateway/limit"
)

// patient is a deadline that a busy machine meets.
const patient = 2 * time.Minute

func requests(who string, n, most int64) limit.Bound {
	return limit.Bound{Route: "captioner", Who: who, Unit: limit.Requests, N: n, Most: most, Per: time.Minute}
}

func place(who string, most int64) limit.Bound {
	return limit.Bound{Route: "captioner", Who: who, Unit: limit.Concurrent, N: 1, Most: most}
}

// open returns a store that has reached its server, and runs.
func open(t *testing.T, address string, within time.Duration) *Store {
	t.Helper()
	s := start(t, address, within)
	until(t, "the store is reached", s.Shared)
	return s
}

func start(t *testing.T, address string, within time.Duration) *Store {
	t.Helper()
	s, err := Open(Options{URL: address, Within: within, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait(); s.Close() })
	return s
}

// until waits for what happens in the background.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Minute)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatal("it never came that " + what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// eachServer runs the test against miniredis, and against Redis where there is one.
func eachServer(t *testing.T, test func(t *testing.T, address string)) {
	t.Run("miniredis", func(t *testing.T) { test(t, "redis://"+miniredis.RunT(t).Addr()) })
	t.Run("redis-server", func(t *testing.T) { test(t, "unix://"+realServer(t)) })
}

// realServer starts a Redis on a socket, and returns the socket.
func realServer(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed")
	}
	dir, err := os.MkdirTemp("", "redis") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	c := exec.CommandContext(t.Context(), program, "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "", "--daemonize", "no")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	until(t, "redis-server listens", func() bool {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return socket
}

func TestTwoGatewaysShareOneLimit(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		a, b := open(t, address, patient), open(t, address, patient)
		var allowed atomic.Int64
		var asking sync.WaitGroup
		for _, s := range []*Store{a, b} {
			for range 4 {
				asking.Go(func() {
					for range 10 {
						refused, wait, _, err := s.Take([]limit.Bound{requests("alice", 1, 30)})
						switch {
						case err != nil:
							t.Error(err)
						case refused == 0:
							allowed.Add(1)
						case wait <= 0 || wait > time.Minute:
							t.Errorf("wait %v", wait)
						}
					}
				})
			}
		}
		asking.Wait()
		// A request of 30 a minute comes back every two seconds.
		if n := allowed.Load(); n < 30 || n > 60 {
			t.Errorf("%d of 80 were allowed, 30 a minute are", n)
		}
		if refused, _, _, err := b.Take([]limit.Bound{requests("bob", 1, 30)}); refused != 0 || err != nil {
			t.Errorf("another caller is counted apart: %d %v", refused, err)
		}
		if refused, wait, _, err := b.Take([]limit.Bound{requests("carol", 31, 30)}); refused != 1 || wait <= 0 || wait > time.Minute || err != nil {
			t.Errorf("31 of 30: %d %v %v", refused, wait, err)
		}
		until(t, "both know of each other", func() bool { return a.Gateways() == 2 && b.Gateways() == 2 })
	})
}

func TestOfSeveralBoundsAllAreTakenOrNone(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		s := open(t, address, patient)
		all := []limit.Bound{requests("alice", 1, 2), place("alice", 1), place("", 5)}
		_, _, leave, err := s.Take(all)
		if err != nil || leave == nil {
			t.Fatalf("the first: %v", err)
		}
		for range 5 {
			if refused, _, _, err := s.Take(all); refused != 2 || err != nil {
				t.Fatalf("%d %v: there is one place", refused, err)
			}
		}
		leave()
		until(t, "the place is free", func() bool {
			refused, _, leave, err := s.Take([]limit.Bound{place("alice", 1)})
			if err != nil {
				t.Fatal(err)
			}
			if leave != nil {
				leave()
			}
			return refused == 0
		})
		if refused, _, _, err := s.Take(all[:1]); refused != 0 || err != nil {
			t.Errorf("%d %v: what was refused took no request", refused, err)
		}
	})
}

func TestThePlacesOfAGatewayThatDiedAreFreeAfterItsLeases(t *testing.T) {
	server := miniredis.RunT(t)
	now := time.Now()
	server.SetTime(now)
	dies, lives := open(t, "redis://"+server.Addr(), patient), open(t, "redis://"+server.Addr(), patient)
	_, _, _, err := dies.Take([]limit.Bound{place("alice", 1)})
	if err != nil {
		t.Fatal(err)
	}
	dies.mu.Lock()
	clear(dies.held) // it renews nothing any more
	dies.mu.Unlock()
	if refused, _, _, err := lives.Take([]limit.Bound{place("alice", 1)}); refused != 1 || err != nil {
		t.Fatalf("%d %v: the place is taken", refused, err)
	}
	server.SetTime(now.Add(leaseFor + time.Second))
	_, _, leave, err := lives.Take([]limit.Bound{place("alice", 1)})
	if leave == nil || err != nil {
		t.Fatalf("%v: the lease is over", err)
	}
	// A place that is renewed outlives its first lease.
	server.SetTime(now.Add(2 * leaseFor))
	if err := lives.renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.SetTime(now.Add(3*leaseFor - time.Second))
	if refused, _, _, err := dies.Take([]limit.Bound{place("alice", 1)}); refused != 1 || err != nil {
		t.Errorf("%d %v: a place was given out twice", refused, err)
	}
}

func TestALostStoreIsNotAskedAndIsAskedAgainOnceItAnswers(t *testing.T) {
	server := miniredis.RunT(t)
	s := open(t, "redis://"+server.Addr(), patient)
	l := limit.NewLimiter(machine{}, 100, s)
	server.SetError("LOADING the dataset is being read")
	until(t, "nobody asks it any more", func() bool {
		l.Take([]limit.Bound{requests("alice", 1, 1000)})
		return !s.Shared()
	})
	if _, _, _, err := s.Take([]limit.Bound{requests("alice", 1, 10)}); !errors.Is(err, limit.ErrAway) {
		t.Errorf("%v: it was asked", err)
	}
	if _, refused := l.Take([]limit.Bound{requests("dora", 5, 4)}); refused == nil {
		t.Error("without the store a caller is not limited")
	}
	server.SetError("")
	until(t, "it is asked again", s.Shared)
	if _, _, _, err := s.Take([]limit.Bound{requests("alice", 1, 10)}); err != nil {
		t.Error(err)
	}
}

// The first command that is more than a greeting is a beat; its answer comes when
// everything after it has failed.
func TestAnAnswerFromBeforeAStoreWasLostDoesNotBringItBack(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	s, err := Open(Options{Within: patient, Log: slog.New(slog.DiscardHandler), URL: replying(t, func(name string) string {
		switch {
		case name == "hello":
			return "-ERR unknown command\r\n"
		case first.CompareAndSwap(false, true):
			close(asked)
			<-answer
			return ":1\r\n"
		}
		return "-ERR no\r\n"
	})})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.away.Store(false)
	beaten := make(chan error, 1)
	go func() { beaten <- s.beat(t.Context()) }()
	<-asked
	for range awayAfter {
		if _, _, _, err := s.Take([]limit.Bound{requests("alice", 1, 10)}); err == nil {
			t.Fatal("it took something")
		}
	}
	if s.Shared() {
		t.Fatal("it is asked although it fails")
	}
	close(answer)
	if err := <-beaten; err != nil {
		t.Fatal(err)
	}
	if s.Shared() {
		t.Error("an answer from before brings it back")
	}
}

type machine struct{}

func (machine) Now() time.Time { return time.Now() }

// answering is a server that answers every command with the same bytes, and
// greets as Redis does.
func answering(t *testing.T, answer string) string {
	t.Helper()
	return replying(t, func(name string) string {
		if name == "hello" {
			return "-ERR unknown command\r\n"
		}
		return answer
	})
}

// replying is a server that answers each command, by its name, with bytes.
func replying(t *testing.T, reply func(name string) string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for {
					name, err := command(in)
					if err != nil {
						return
					}
					if _, err := io.WriteString(conn, reply(name)); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "redis://" + l.Addr().String()
}

// command reads a command, and returns its name.
func command(in *bufio.Reader) (name string, err error) {
	var n int
	if _, err := fmt.Fscanf(in, "*%d\r\n", &n); err != nil {
		return "", err
	}
	for i := range n {
		var length int
		if _, err := fmt.Fscanf(in, "$%d\r\n", &length); err != nil {
			return "", err
		}
		word := make([]byte, length+2)
		if _, err := io.ReadFull(in, word); err != nil {
			return "", err
		}
		if i == 0 {
			name = strings.ToLower(string(word[:length]))
		}
	}
	return name, nil
}

func TestAHostileAnswerIsNoDecision(t *testing.T) {
	for name, answer := range map[string]string{
		"another bound than was asked about": "*2\r\n:7\r\n:0\r\n",
		"a negative one":                     "*2\r\n:-1\r\n:0\r\n",
		"one number":                         "*1\r\n:0\r\n",
		"a number that is none":              "*2\r\n:x\r\n:0\r\n",
		"a string":                           "$2\r\nok\r\n",
		"a string without end":               "$9999999999999\r\n",
		"a list without end":                 "*999999999\r\n",
		"a deep list":                        strings.Repeat("*1\r\n", 10_000) + ":0\r\n",
		"a line without end":                 "+" + strings.Repeat("x", 1<<16),
		"a negative string":                  "$-7\r\n",
		"another protocol":                   "HTTP/1.1 400 Bad Request\r\n\r\n",
		"an error":                           "-ERR no\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := Open(Options{URL: answering(t, answer), Within: patient, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			s.away.Store(false)
			if _, _, _, err := s.Take([]limit.Bound{requests("alice", 1, 10)}); err == nil {
				t.Error("it was taken for a decision")
			}
		})
	}
	s, err := Open(Options{URL: answering(t, "*2\r\n:1\r\n:9000000000000000\r\n"), Within: patient, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.away.Store(false)
	if refused, wait, _, err := s.Take([]limit.Bound{requests("alice", 1, 10)}); refused != 1 || wait != time.Minute || err != nil {
		t.Errorf("%d %v %v: nobody waits longer than the period", refused, wait, err)
	}
}

func TestAServerThatSaysNothingIsLeftAlone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := Open(Options{URL: "redis://" + l.Addr().String(), Within: time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.away.Store(false)
	for range awayAfter {
		if _, _, _, err := s.Take([]limit.Bound{requests("alice", 1, 10)}); err == nil {
			t.Fatal("it said nothing")
		}
	}
	if s.Shared() {
		t.Error("requests would go on waiting for it")
	}
}

func TestAStoreIsNamedWithoutSecretsAndWithoutParameters(t *testing.T) {
	for address, want := range map[string]string{
		"redis://:hunter2@127.0.0.1:6379":            "password",
		"redis://a:hunter2@127.0.0.1:6379/%zz":       "not a URL",
		"rediss://127.0.0.1:6379/0?skip_verify=true": "parameters",
		"http://127.0.0.1":                           "scheme",
		"redis://":                                   "names no host",
		"redis://127.0.0.1:6379/x":                   "database",
		"redis://a.example:6379,b.example:6379/0":    "neither Redis Cluster nor Sentinel",
		"redis-sentinel://a.example:26379/limits":    "neither Redis Cluster nor Sentinel",
	} {
		_, err := Open(Options{URL: address})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"redis://127.0.0.1:6379/3", "rediss://limits.example:6380", "redis://apex@127.0.0.1", "unix:///run/redis.sock"} {
		s, err := Open(Options{URL: address})
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		s.Close()
	}
}

func TestAPasswordOpensTheStoreAndAnotherDoesNot(t *testing.T) {
	server := miniredis.RunT(t)
	server.RequireUserAuth("apex", "right")
	for _, password := range []string{"right", "wrong"} {
		s, err := Open(Options{URL: "redis://apex@" + server.Addr(), Password: func() (string, error) { return password, nil }, Within: patient, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.beat(t.Context()); (err == nil) != (password == "right") {
			t.Errorf("%s: %v", password, err)
		}
		if s.Shared() != (password == "right") {
			t.Errorf("%s: shared %v", password, s.Shared())
		}
	}
}

func TestKeysDoNotNameAnybody(t *testing.T) {
	server := miniredis.RunT(t)
	s := open(t, "redis://"+server.Addr(), patient)
	if _, _, _, err := s.Take([]limit.Bound{requests("https://id.example#alice", 1, 10), place("https://id.example#alice", 1)}); err != nil {
		t.Fatal(err)
	}
	if dump := server.Dump(); strings.Contains(dump, "alice") || strings.Contains(dump, "captioner") || !strings.Contains(dump, "apex:limit:requests:") {
		t.Error(dump)
	}
}

func FuzzAnswers(f *testing.F) {
	for _, s := range []string{"*2\r\n:0\r\n:0\r\n", "$5\r\nhello\r\n", "$-1\r\n", "-ERR no\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", "$70000\r\n"} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		if cut < 0 || cut > len(data) {
			cut = len(data)
		}
		var whole, parts respState
		a := whole.pass(data)
		b := parts.pass(data[:cut]) && parts.pass(data[cut:])
		if a != b {
			t.Fatalf("in one piece %v, in two %v", a, b)
		}
		if whole.bulk > maxBulk+2 || whole.depth > maxDepth {
			t.Fatalf("%+v", whole)
		}
	})
}

func BenchmarkTake(b *testing.B) {
	server := miniredis.RunT(b)
	address := "redis://" + server.Addr()
	if at := os.Getenv("APEX_TEST_REDIS"); at != "" { // miniredis runs scripts in Go, a thousand times slower
		address = at
	}
	s, err := Open(Options{URL: address, Within: patient, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	s.away.Store(false)
	bounds := []limit.Bound{requests("alice", 1, 1<<40), place("alice", 1<<20), place("", 1<<20)}
	b.ReportAllocs()
	for b.Loop() {
		_, _, leave, err := s.Take(bounds)
		if err != nil {
			b.Fatal(err)
		}
		leave()
		for len(s.leaving) > 0 {
			s.remove(b.Context(), <-s.leaving)
		}
	}
}
