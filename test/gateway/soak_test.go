package gateway

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/identity/own"
	"github.com/apexlogic/apex/verdict"
)

// soakFor is how long the soak runs: APEX_SOAK, for example 10m. The default is
// for every change.
func soakFor(t *testing.T) time.Duration { return lasting(t, "APEX_SOAK", 5*time.Second) }

func lasting(t *testing.T, variable string, otherwise time.Duration) time.Duration {
	t.Helper()
	v := os.Getenv(variable)
	if v == "" {
		return otherwise
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return d
}

// What soaks: one route for each protocol, and one whose server is faulty.
const soakRoutes = `apiVersion: security.apexlogic.com/v1alpha1
kind: ProtectedRoute
metadata: {name: captioner}
spec:
  hosts: [captioner.example]
  api: OpenAI
  upstream: {url: "%[1]s", tls: Plaintext}
  identities:
    - spiffe: {trustDomain: claims.example, audience: captioner}
    - spiffe: {trustDomain: guests.example}
  allow:
    - {identities: ["spiffe://claims.example/intake", "spiffe://guests.example/guest"], actions: [infer, transcribe, list]}
  models:
    - {name: captioner, digest: "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}
  limits: {bodyBytes: 2000000, requests: %[2]d, concurrent: 1000}
  media: {kinds: [Image, Audio]}
---
apiVersion: security.apexlogic.com/v1alpha1
kind: ProtectedRoute
metadata: {name: tensors}
spec:
  hosts: [tensors.example]
  api: OpenInference
  upstream: {url: "%[1]s", tls: Plaintext}
  identities:
    - spiffe: {trustDomain: claims.example}
  allow:
    - {identities: ["spiffe://claims.example/intake"], actions: [infer, list]}
  limits: {requests: %[2]d, concurrent: 1000}
---
apiVersion: security.apexlogic.com/v1alpha1
kind: ProtectedRoute
metadata: {name: faulty}
spec:
  hosts: [faulty.example]
  api: OpenAI
  upstream: {url: "%[3]s", tls: Plaintext, timeout: 2s}
  identities:
    - spiffe: {trustDomain: claims.example}
  allow:
    - {identities: ["spiffe://claims.example/intake"], actions: [infer]}
  limits: {requests: %[2]d, concurrent: 1000}
`

// soak drives mixed traffic and keeps what it learns.
type soak struct {
	*house
	strangers *http.Client
	guest     *own.Identity
	guests    *http.Client
	faulty    *server

	// revoked says what is known of the guest: 0 allowed, 1 changing, 2 revoked;
	// epoch counts the changes.
	revoked, epoch atomic.Int64
	// hurt counts the clock jumps and full disks, which may deny what is allowed.
	hurt atomic.Int64
	full atomic.Bool // the disk is
	// streaming says that a guest's endless stream has begun.
	streaming chan struct{}

	mu       sync.Mutex
	answered map[string]bool  // by id: whether it was allowed
	counts   map[string]int   // by kind and answer
	wrong    []string         // what must not be
	arrived  map[string]int64 // kinds that the servers saw
}

func (s *soak) fail(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wrong) < 20 {
		s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
	}
}

// kind is a request, and whether it may pass.
type kind struct {
	name   string
	passes bool
	// only are the codes that it may be denied with when it does not pass.
	only []verdict.Code
	send func(s *soak) answer
}

const soakHeader = "X-Soak"

func (s *soak) send(c *http.Client, host, path, body, name string, change func(*http.Request)) answer {
	return s.ask(c, http.MethodPost, path, body, func(r *http.Request) {
		r.Host = host
		r.Header.Set(soakHeader, name)
		if change != nil {
			change(r)
		}
	})
}

func wav(samples int) []byte {
	var b bytes.Buffer
	n := uint32(samples * 2)
	b.WriteString("RIFF")
	binary.Write(&b, binary.LittleEndian, 36+n)
	b.WriteString("WAVEfmt ")
	binary.Write(&b, binary.LittleEndian, struct {
		Size          uint32
		Format, Chans uint16
		Rate, Bytes   uint32
		Align, Bits   uint16
	}{16, 1, 1, 8000, 16000, 2, 16})
	b.WriteString("data")
	binary.Write(&b, binary.LittleEndian, n)
	b.Write(make([]byte, n))
	return b.Bytes()
}

// kinds are the mixture.
func kinds(t testing.TB) []kind {
	picture := drawing(t)
	sound := base64.StdEncoding.EncodeToString(wav(400))
	plain := saying("The left front door is dented.")
	chatOf := func(name, body string) func(*soak) answer {
		return func(s *soak) answer { return s.send(s.as, host, chat, body, name, nil) }
	}
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	w.WriteField("model", "captioner")
	part, _ := w.CreateFormFile("file", "note.wav")
	part.Write(wav(400))
	w.Close()
	formType, formBody := w.FormDataContentType(), form.String()
	tensorJSON := `{"inputs":[{"name":"x","shape":[2],"datatype":"FP32","data":[1.5,2.5]}]}`
	tensorHead := `{"inputs":[{"name":"x","shape":[2],"datatype":"FP32","parameters":{"binary_data_size":8}}]}`
	tensorBinary := tensorHead + "\x00\x00\x80\x3f\x00\x00\x00\x40"
	binaryTensor := func(name, body string) func(*soak) answer {
		return func(s *soak) answer {
			return s.send(s.as, "tensors.example", "/v2/models/captioner/infer", body, name, func(r *http.Request) {
				r.Header.Set("Content-Type", "application/octet-stream")
				r.Header.Set("Inference-Header-Content-Length", strconv.Itoa(len(tensorHead)))
			})
		}
	}
	polyglot := append(bytes.Clone(picture), "PK\x03\x04<script>"...)
	return append(streams(), []kind{
		{"chat", true, nil, chatOf("chat", plain)},
		{"long chat", true, nil, chatOf("long chat", saying(strings.Repeat("The paint is scratched. ", 500)))},
		{"picture", true, nil, chatOf("picture", showing("image/png", picture))},
		{"sound", true, nil, chatOf("sound", `{"model":"captioner","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"format":"wav","data":"`+sound+`"}}]}]}`)},
		{"events", true, nil, chatOf("events", strings.Replace(plain, `{"model"`, `{"stream":true,"model"`, 1))},
		{"form", true, nil, func(s *soak) answer {
			return s.send(s.as, host, "/v1/audio/transcriptions", formBody, "form", func(r *http.Request) { r.Header.Set("Content-Type", formType) })
		}},
		{"folded", true, nil, func(s *soak) answer {
			return s.send(s.as, host, chat, zipped(t, plain), "folded", func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") })
		}},
		{"tensors", true, nil, func(s *soak) answer {
			return s.send(s.as, "tensors.example", "/v2/models/captioner/infer", tensorJSON, "tensors", nil)
		}},
		{"binary tensors", true, nil, binaryTensor("binary tensors", tensorBinary)},
		{"slow", true, nil, func(s *soak) answer {
			return s.send(s.as, host, chat, plain, "slow", func(r *http.Request) {
				r.Body, r.ContentLength, r.GetBody = io.NopCloser(io.MultiReader(strings.NewReader(plain[:20]), pause(30*time.Millisecond), strings.NewReader(plain[20:]))), int64(len(plain)), nil
			})
		}},

		{"stranger", false, []verdict.Code{verdict.RequestIdentity}, func(s *soak) answer { return s.send(s.nobody, host, chat, plain, "stranger", nil) }},
		{"impostor", false, []verdict.Code{verdict.IdentitySignature, verdict.IdentityExpired}, func(s *soak) answer { return s.send(s.strangers, host, chat, plain, "impostor", nil) }},
		{"no route", false, []verdict.Code{verdict.RequestRoute}, func(s *soak) answer { return s.send(s.as, "other.example", chat, plain, "no route", nil) }},
		{"no grant", false, []verdict.Code{verdict.AccessDenied}, func(s *soak) answer {
			return s.send(s.as, host, "/v1/embeddings", `{"model":"captioner","input":"dent"}`, "no grant", nil)
		}},
		{"attack", false, []verdict.Code{verdict.WAFBlocked}, func(s *soak) answer {
			return s.send(s.as, host, chat+"?id=1%27%20UNION%20SELECT%20password%20FROM%20users--", plain, "attack", nil)
		}},
		{"two readings", false, []verdict.Code{verdict.BodyAmbiguous}, chatOf("two readings", `{"model":"captioner","model":"other","messages":[]}`)},
		{"no model", false, []verdict.Code{verdict.RequestModel}, chatOf("no model", strings.Replace(plain, "captioner", "other", 1))},
		{"polyglot", false, []verdict.Code{verdict.MediaPolyglot}, chatOf("polyglot", showing("image/png", polyglot))},
		{"too deep", false, []verdict.Code{verdict.BodyLimit}, chatOf("too deep", `{"model":"captioner","messages":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)+`}`)},
		{"too long", false, []verdict.Code{verdict.BodyLimit}, chatOf("too long", saying(strings.Repeat("x", 2_000_000)))},
		{"short tensor", false, []verdict.Code{verdict.TensorShape}, binaryTensor("short tensor", tensorBinary[:len(tensorBinary)-4])},
	}...)
}

// pause is a reader of nothing that takes its time.
type pause time.Duration

func (p pause) Read([]byte) (int, error) {
	time.Sleep(time.Duration(p)) // the fault itself: a caller that is slow
	return 0, io.EOF
}

// denials of what may pass that a fault explains.
func excused(c verdict.Code) bool {
	switch c {
	case verdict.GatewayRecord, verdict.IdentityExpired, verdict.StreamExpired:
		return true
	}
	return false
}

// once sends a request of a kind and holds the answer against what may be.
func (s *soak) once(k *kind) {
	a := k.send(s)
	what := "broken"
	if a.err == nil {
		what = strconv.Itoa(a.status) + " " + string(a.code)
	}
	s.mu.Lock()
	s.counts[k.name+": "+what]++
	if a.id != "" && a.code != verdict.GatewayRecord {
		s.answered[a.id] = a.status == http.StatusOK
	}
	s.mu.Unlock()
	faults := s.hurt.Load() > 0
	switch {
	case k.passes && a.err == nil && a.status == http.StatusOK:
		if k.name == "events" && !strings.HasSuffix(a.text, "data: [DONE]\n\n") && !(faults && strings.Contains(a.text, `"code":"request.stream.expired"`)) {
			s.fail("events are lost: %.300s", a.text)
		}
	case k.passes && a.err == nil && faults && excused(a.code):
	case k.passes:
		s.fail("%s: %s", k.name, a)
	case a.err != nil && a.status == 0 && k.name == "too long": // the answer came while the body was sent, and the connection ended
	case a.err != nil:
		s.fail("%s: %s", k.name, a)
	case a.status == http.StatusOK:
		s.fail("%s was allowed: %s", k.name, a)
	case faults && excused(a.code):
	default:
		for _, c := range k.only {
			if a.code == c {
				return
			}
		}
		s.fail("%s: %s", k.name, a)
	}
}

// askAsGuest asks as who is revoked now and then.
func (s *soak) askAsGuest() {
	epoch, state := s.epoch.Load(), s.revoked.Load()
	a := s.send(s.guests, host, chat, saying("hello"), "guest", nil)
	if s.epoch.Load() != epoch {
		return // it changed meanwhile
	}
	s.mu.Lock()
	s.counts["guest: "+strconv.Itoa(a.status)+" "+string(a.code)]++
	if a.id != "" && a.code != verdict.GatewayRecord {
		s.answered[a.id] = a.status == http.StatusOK
	}
	s.mu.Unlock()
	switch {
	case state == 2 && a.status == http.StatusOK:
		s.fail("a revoked guest was allowed: %s", a)
	case state == 2 && a.code != verdict.IdentityRevoked && !excused(a.code):
		s.fail("a revoked guest: %s", a)
	case state == 0 && a.status != http.StatusOK && !(s.hurt.Load() > 0 && excused(a.code)):
		s.fail("the guest: %s", a)
	}
}

// askFaulty asks a server that misbehaves as it is told. What comes back is the
// answer, cut or whole, or a denial that says so; never somebody else's.
func (s *soak) askFaulty(fault string) {
	a := s.send(s.as, "faulty.example", chat, saying("hello"), "faulty "+fault, func(r *http.Request) {
		if fault == "stream reset" {
			r.Body = io.NopCloser(strings.NewReader(strings.Replace(saying("hello"), `{"model"`, `{"stream":true,"model"`, 1)))
			r.ContentLength, r.GetBody = -1, nil
		}
	})
	what := "broken"
	if a.err == nil {
		what = strconv.Itoa(a.status) + " " + string(a.code)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts["faulty "+fault+": "+what]++
	if a.id != "" && a.code != verdict.GatewayRecord && a.status != http.StatusServiceUnavailable {
		s.answered[a.id] = a.code == "" || strings.HasPrefix(string(a.code), "request.upstream") || strings.HasPrefix(string(a.code), "request.stream")
	}
}

// behaveBadly is the faulty server.
func behaveBadly(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	fault := strings.TrimPrefix(r.Header.Get(soakHeader), "faulty ")
	hangUp := func() {
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			if t, is := c.(interface{ SetLinger(int) error }); is {
				t.SetLinger(0)
			}
			c.Close()
		}
	}
	w.Header().Set("Content-Type", "application/json")
	switch fault {
	case "reset":
		hangUp()
	case "short":
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, sentence)
	case "error":
		w.WriteHeader(http.StatusInternalServerError)
		io.WriteString(w, `{"error":{"message":"out of memory"}}`)
	case "stream reset":
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, event("a"))
		http.NewResponseController(w).Flush()
		hangUp()
	case "two readings":
		io.WriteString(w, `{"choices":[],"choices":[{"message":{"content":"x"}}]}`)
	default:
		io.WriteString(w, sentence)
	}
}

// event is a server-sent event of a chat.
func event(text string) string {
	return `data: {"id":"c","object":"chat.completion.chunk","model":"captioner","choices":[{"index":0,"delta":{"content":"` + text + `"}}]}` + "\n\n"
}

// answerAll is the good server.
func (s *soak) answerAll(w http.ResponseWriter, r *http.Request) {
	name := r.Header.Get(soakHeader)
	s.mu.Lock()
	s.arrived[name]++
	s.mu.Unlock()
	if r.Header.Get("Upgrade") != "" {
		s.sayBack(w, r)
		return
	}
	data, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasPrefix(r.URL.Path, "/v2/"):
		io.WriteString(w, `{"model_name":"captioner","outputs":[{"name":"y","shape":[1],"datatype":"FP32","data":[0.5]}]}`)
	case strings.HasSuffix(r.URL.Path, "/transcriptions"):
		io.WriteString(w, `{"text":"a dent in the door"}`)
	case name == "endless":
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, event("a"))
		http.NewResponseController(w).Flush()
		select {
		case s.streaming <- struct{}{}:
		case <-r.Context().Done():
		}
		<-r.Context().Done()
	case bytes.Contains(data, []byte(`"stream":true`)):
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 5 {
			io.WriteString(w, event(strconv.Itoa(i)))
			http.NewResponseController(w).Flush()
		}
		io.WriteString(w, "data: [DONE]\n\n")
	default:
		io.WriteString(w, sentence)
	}
}

// breakOff opens connections and leaves them in the middle: of the handshake, the
// headers, or the body; half closed or whole.
func (s *soak) breakOff(n int) {
	c, err := tls.Dial("tcp", s.address, s.secure(s.intake))
	if err != nil {
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	head := "POST " + chat + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\n" + soakHeader + ": broken off\r\nContent-Length: 100\r\n\r\n"
	switch n % 4 {
	case 0:
		io.WriteString(c, head[:40])
	case 1:
		io.WriteString(c, head+`{"model":"captioner",`)
	case 2: // half closed: no more comes, and an answer is waited for
		io.WriteString(c, head+`{"model":"captioner",`)
		c.CloseWrite()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			s.fail("a body that did not come to its end was allowed")
		}
		io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	case 3:
		io.WriteString(c, strings.Replace(head, "Content-Length: 100", "Transfer-Encoding: chunked", 1)+"15\r\n{\"model\":\"captioner\",")
	}
}

// counted are the open files and goroutines of this process.
func counted() (files, goroutines int) {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries), runtime.NumGoroutine()
}

// heapNow is what the heap holds once it no longer falls, or comes within the
// bound: a life of a gateway is given back by finalizers that follow from each
// other, each of which takes a collection, and by timers and idle connections
// that end in their own time. What leaks stays however long one waits.
func heapNow(bound uint64) uint64 {
	least, same := uint64(math.MaxUint64), 0
	for end := time.Now().Add(time.Minute); ; {
		runtime.GC()
		time.Sleep(20 * time.Millisecond) // finalizers run beside
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if m.HeapAlloc+m.HeapAlloc/50 < least {
			least, same = m.HeapAlloc, 0
		} else {
			same++
		}
		if least <= bound || bound == 0 && same >= 5 || time.Now().After(end) {
			return least
		}
	}
}

// disk is a file system of its own that can be made full and wide again.
type disk struct {
	dir  string
	wide string
}

func (d *disk) resize(size string) error {
	return syscall.Mount("tmpfs", d.dir, "tmpfs", syscall.MS_REMOUNT, "size="+size)
}

// fill leaves no room.
func (d *disk) fill() error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &st); err != nil {
		return err
	}
	used := (st.Blocks - st.Bfree) * uint64(st.Bsize)
	for more := uint64(16 << 10); more < 64<<20; more *= 2 { // others write meanwhile
		if d.resize(strconv.FormatUint(used+more, 10)) == nil {
			return nil
		}
	}
	return fmt.Errorf("the disk of %d bytes cannot be made full", used)
}

// A soak goes on, on a machine that does much else, until it has seen enough.
const (
	mostLives  = 20
	mustPassed = 50
)

// told is how many requests were answered, and how many of them by the server.
func (s *soak) told() (total, passed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for what, n := range s.counts {
		total += n
		if strings.HasSuffix(what, "200 ") {
			passed += n
		}
	}
	return total, passed
}

// enough says whether each kind of request that passes has arrived, and enough of
// all have.
func (s *soak) enough(all []kind) bool {
	if _, passed := s.told(); passed < mustPassed {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, kind := range all {
		if kind.passes && s.arrived[kind.name] == 0 {
			return false
		}
	}
	return s.arrived["guest"] > 0
}

func TestASoakWithFaultsAllowsNothingWrongAndLosesNothing(t *testing.T) {
	length := soakFor(t)
	h := build(t)
	wide := "3g"
	small := &disk{dir: t.TempDir(), wide: wide}
	if err := syscall.Mount("tmpfs", small.dir, "tmpfs", 0, "size="+wide); err != nil {
		t.Logf("no disk can be made full here, so that fault is left out: %v", err)
		small = nil
	} else {
		t.Cleanup(func() { syscall.Unmount(small.dir, syscall.MNT_DETACH) })
		h.state = small.dir
	}
	s := &soak{house: h, answered: map[string]bool{}, counts: map[string]int{}, arrived: map[string]int64{}, streaming: make(chan struct{})}
	s.guest = h.workload("guests.example", "/guest")
	s.guests = h.client(s.guest)
	impostor, err := own.Open(t.TempDir()+"/other", "claims.example", "/intake", h.clock)
	if err != nil {
		t.Fatal(err)
	}
	defer impostor.Close()
	s.strangers = h.client(impostor)
	h.server.behave(s.answerAll)
	s.faulty = newServer(t)
	s.faulty.behave(behaveBadly)
	revision := 1_000_000
	routes := func() string { revision++; return fmt.Sprintf(soakRoutes, h.server.URL, revision, s.faulty.URL) }
	h.put("route.yaml", routes())
	h.put("calls.yaml", fmt.Sprintf(callRoute, s.serveCalls(t)))
	all := kinds(t)
	lost := map[string]bool{} // outcomes that the log says were not kept

	var files, goroutines int
	var heap uint64
	deadline := time.Now().Add(length)
	lives := 0
	for ; lives < 2 || time.Now().Before(deadline) || !s.enough(all) && lives < mostLives; lives++ {
		if lives == 0 {
			h.start(app.GatewayOptions{TrustDomain: "vision.example", Drain: 10 * time.Second})
		} else {
			h.again()
		}
		life := max(length/5, 2*time.Second)
		s.live(all, life, small, routes)
		if err := h.end(); err != nil && !s.full.Load() {
			t.Error(err)
		}
		s.full.Store(false)
		if small != nil {
			if err := small.resize(small.wide); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []*http.Client{h.as, h.nobody, s.guests, s.strangers} {
			c.CloseIdleConnections()
		}
		for _, line := range strings.Split(h.log.take(), "\n") {
			if strings.Contains(line, "an outcome was not recorded") {
				if _, id, ok := strings.Cut(line, "request="); ok {
					lost[strings.Fields(id)[0]] = true
				}
			}
		}
		if lives == 0 { // what is made once is there
			s.settle(1<<30, 1<<30)
			files, goroutines = counted()
			heap = heapNow(0)
		}
	}
	s.settle(files+3, goroutines+5)
	endFiles, endGoroutines := counted()
	k := readLedger(t, h.state)
	records := len(k.decisions)
	s.judge(k, lost)
	notes := len(s.answered)
	s.answered, k = nil, kept{} // the test's own notes of each request are no leak
	s.server.forget()
	s.faulty.forget()
	bound := heap + heap/4 + 16<<20
	endHeap := heapNow(bound)
	for _, w := range s.wrong {
		t.Error(w)
	}
	if endFiles > files+3 || endGoroutines > goroutines+5 {
		var stacks bytes.Buffer
		pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		t.Errorf("%d files and %d goroutines are left, after the first life %d and %d:\n%s", endFiles, endGoroutines, files, goroutines, &stacks)
	}
	total, passed := s.told()
	if endHeap > bound {
		t.Errorf("after %d answers the heap is %d MB, after the first life it was %d", notes, endHeap>>20, heap>>20)
	}
	if !s.enough(all) {
		t.Errorf("%d of %d passed in %d lives: the soak saw too little", passed, total, lives)
	}
	t.Logf("%d requests in %d lives of a gateway, %d allowed, %d records, %d outcomes of a full disk lost and said so; files %d and %d, goroutines %d and %d, heap %d and %d MB",
		total, lives, passed, records, len(lost), files, endFiles, goroutines, endGoroutines, heap>>20, endHeap>>20)
	if testing.Verbose() {
		for what, n := range s.counts {
			t.Logf("%7d %s", n, what)
		}
	}
}

// live is one life of a gateway: traffic, and faults beside it.
func (s *soak) live(all []kind, life time.Duration, small *disk, routes func() string) {
	stop := make(chan struct{})
	var traffic, faults sync.WaitGroup
	stopped := func() bool {
		select {
		case <-stop:
			return true
		default:
			return false
		}
	}
	for worker := range uint64(6) {
		random := rand.New(rand.NewPCG(worker, uint64(s.epoch.Load())))
		traffic.Go(func() {
			for !stopped() {
				switch n := random.IntN(len(all) + 4); {
				case n < len(all):
					s.once(&all[n])
				case n < len(all)+2:
					s.askAsGuest()
				case n == len(all)+2:
					s.askFaulty([]string{"none", "none", "none", "reset", "short", "error", "stream reset", "two readings"}[random.IntN(8)])
				default:
					s.breakOff(random.IntN(4))
				}
			}
		})
	}
	faults.Go(func() { // reloads, revocations and clock jumps in turn
		for turn := 0; !stopped(); turn++ {
			s.change("route.yaml", routes())
			if stopped() {
				return
			}
			s.revoke(turn)
			if turn%3 == 2 {
				s.hurt.Add(1)
				s.clock.jump([]time.Duration{40 * time.Second, -20 * time.Second, 6 * time.Minute, -5 * time.Minute}[turn/3%4])
			}
		}
	})
	timer := time.NewTimer(life)
	<-timer.C
	if small == nil {
		close(stop)
		traffic.Wait()
		faults.Wait()
		return
	}
	// At the end of a life its disk is full, while the traffic goes on.
	s.hurt.Add(1)
	s.full.Store(true)
	if err := small.fill(); err != nil {
		s.fail("%v", err)
	}
	for full := false; !full && !s.t.Failed(); {
		a := s.ask(s.as, http.MethodPost, chat, saying("hello"), nil)
		full = a.code == verdict.GatewayRecord && s.probe() == http.StatusServiceUnavailable
		if s.t.Context().Err() != nil {
			break
		}
	}
	close(stop)
	traffic.Wait()
	faults.Wait()
}

// revoke takes the guest's right away, sees a running stream of it end, and gives
// it back.
func (s *soak) revoke(turn int) {
	ended := make(chan answer, 1)
	go func() {
		ended <- s.send(s.guests, host, chat, strings.Replace(saying("hello"), `{"model"`, `{"stream":true,"model"`, 1), "endless", nil)
	}()
	var early *answer
	select {
	case <-s.streaming:
	case a := <-ended: // a fault was quicker
		early = &a
	}
	s.set(1)
	s.change("revocation.yaml", fmt.Sprintf("apiVersion: security.apexlogic.com/v1alpha1\nkind: Revocation\nmetadata: {name: guest}\nspec:\n  reason: turn %d\n  identity: {issuer: \"spiffe://guests.example\", subject: /guest}\n", turn))
	s.set(2)
	if early == nil {
		select {
		case a := <-ended:
			early = &a
		case <-s.t.Context().Done():
			s.fail("a stream of a guest goes on after its revocation is in force")
			return
		}
	}
	s.mu.Lock()
	s.counts["endless: "+strconv.Itoa(early.status)+" "+string(codeAtEnd(early.text))]++
	if early.id != "" && early.code != verdict.GatewayRecord {
		s.answered[early.id] = early.status == http.StatusOK
	}
	s.mu.Unlock()
	if c := codeAtEnd(early.text); c != verdict.IdentityRevoked && !(s.hurt.Load() > 0 && excused(c)) {
		s.fail("a stream of a guest that was revoked ends with %s", early)
	}
	for range 3 {
		s.askAsGuest()
	}
	s.set(1)
	before := s.now
	if err := os.Remove(s.dir + "/revocation.yaml"); err != nil {
		s.fail("%v", err)
		return
	}
	s.now = s.wait(func(now config.Health) bool { return now.OK() && now.Generation != before }).Generation
	s.set(0)
}

// codeAtEnd is the code of a denial, or of the event that ends a stream.
func codeAtEnd(text string) verdict.Code {
	_, code, _ := strings.Cut(text, `"code":"`)
	code, _, _ = strings.Cut(code, `"`)
	return verdict.Code(code)
}

func (s *soak) set(state int64) {
	s.epoch.Add(1)
	s.revoked.Store(state)
	s.epoch.Add(1)
}

// settle waits until so much is left, at most, or nothing more goes.
func (s *soak) settle(files, goroutines int) {
	end := time.Now().Add(2 * time.Minute) // only a test that fails comes to it
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		f, g := counted()
		if f <= files && g <= goroutines || time.Now().After(end) {
			return
		}
		<-tick.C
	}
}

// judge holds the ledger against what was answered and what arrived.
func (s *soak) judge(k kept, lost map[string]bool) {
	for id, allowed := range s.answered {
		d, there := k.decisions[id]
		switch {
		case !there:
			s.fail("%s was answered, and has no record", id)
		case d.Allowed != allowed && allowed:
			s.fail("%s was allowed, and its record says %s", id, d.Code)
		}
		if _, ended := k.outcomes[id]; there && d.Allowed && !ended && !lost[id] {
			s.fail("%s was allowed, and what became of it is not recorded", id)
		}
	}
	for _, server := range []*server{s.server, s.faulty} {
		for id, n := range server.seen() {
			if d, there := k.decisions[id]; !there || !d.Allowed {
				s.fail("a server saw %s, which was not allowed", id)
			}
			if n != 1 {
				s.fail("a server saw %s %d times", id, n)
			}
		}
	}
	for _, kind := range kinds(s.t) {
		if n := s.arrived[kind.name]; !kind.passes && n > 0 {
			s.fail("%d requests %q arrived at the server", n, kind.name)
		}
		if n := s.arrived[kind.name]; kind.passes && n == 0 {
			s.fail("no request %q arrived at the server", kind.name)
		}
	}
	if s.arrived["broken off"] > 0 {
		s.fail("%d requests that were broken off arrived at the server", s.arrived["broken off"])
	}
	if s.arrived["guest"] == 0 {
		s.fail("no guest arrived at the server")
	}
}
