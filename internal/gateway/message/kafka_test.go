package message

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gocloud.dev/pubsub"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// kafka starts brokers of librdkafka's mock cluster, which speak Kafka's protocol
// over real connections and know consumer groups, but keep everything in memory and
// do not implement what a real broker does with files. It returns one's address.
// Whoever else reads and writes here is kcat, too.
func kafka(t *testing.T) string {
	t.Helper()
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		t.Skip("kcat is not installed: Kafka is not tested")
	}
	c := exec.Command(kcat, "-P", "-t", "nothing", "-b", "mock", "-X", "test.mock.num.brokers=2", "-d", "mock")
	said, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	stop, err := c.StdinPipe() // it lives while this is open
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	address, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(said)
		for lines.Scan() {
			if m := regexp.MustCompile(`bootstrap\.servers=([0-9.:]+)`).FindStringSubmatch(lines.Text()); m != nil {
				select {
				case address <- m[1]:
				default:
				}
			}
		}
	}()
	t.Cleanup(func() {
		stop.Close()
		c.Process.Kill()
		<-ended
		c.Wait()
	})
	select {
	case a := <-address:
		return a
	case <-ended:
		t.Fatal("kcat has no mock cluster")
	}
	return ""
}

// produce sends one message by kcat to the first partition of a topic.
func produce(t *testing.T, broker, topic string, headers map[string]string, content []byte) {
	t.Helper()
	args := []string{"-P", "-b", broker, "-t", topic, "-p", "0", "-D", "\x01"}
	for name, value := range headers {
		args = append(args, "-H", name+"="+value)
	}
	c := exec.CommandContext(t.Context(), "kcat", args...)
	c.Stdin = bytes.NewReader(content)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("kcat: %v %s", err, out)
	}
}

// consumed is what kcat reads of a topic.
type consumed struct {
	Headers []string
	Payload string
}

func (c consumed) header(name string) string {
	for i := 0; i+1 < len(c.Headers); i += 2 {
		if c.Headers[i] == name {
			return c.Headers[i+1]
		}
	}
	return ""
}

// receive reads so many messages of a topic by kcat.
func receive(t *testing.T, broker, topic string, n int) []consumed {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "kcat", "-C", "-b", broker, "-t", topic, "-J", "-u", "-q", "-o", "beginning", "-c", strconv.Itoa(n))
	out, err := c.Output()
	if err != nil {
		t.Fatalf("kcat: %v %s", err, out)
	}
	var all []consumed
	for line := range strings.Lines(string(out)) {
		var one consumed
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}

// from subscribes to a topic of Kafka for a group.
func from(t *testing.T, broker, topic string) (*pubsub.Subscription, func()) {
	t.Helper()
	s, end, err := (&Broker{URL: "kafka://" + broker + "/" + topic + "?group=gateways"}).Subscribe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s, func() {
		if err := end(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}
}

func to(t *testing.T, url string) *Topic {
	t.Helper()
	topic, err := (&Broker{URL: url}).Topic(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { topic.Close(context.WithoutCancel(t.Context())) })
	return topic
}

func TestMessagesArriveThroughKafkaAndBadOnesDoNotBlockThem(t *testing.T) {
	t.Parallel() // groups are slow to come together
	p := newPost(t, nil)
	at := kafka(t)
	produce(t, at, "claims", nil, []byte("no event"))
	one := p.signed(t, "1", nil)
	produce(t, at, "claims", one.Metadata("ce_"), one.Data)
	produce(t, at, "claims", map[string]string{"content-type": structured}, p.signed(t, "2", nil).Structured())
	produce(t, at, "claims", map[string]string{"content-type": structured}, bytes.Replace(p.signed(t, "3", nil).Structured(), []byte("secret"), []byte("changed"), 1))
	produce(t, at, "claims", event("4").Metadata("ce_"), event("4").Data)
	produce(t, at, "claims", one.Metadata("ce_"), one.Data)
	s, end := from(t, at, "claims")
	defer end()
	stop := p.consume(t, s, Dead{Topic: to(t, "kafka://"+at+"/graves"), Kept: true})
	until(t, "all are judged, and the good ones passed on", func() bool { records, passed := p.counts(); return records >= 6 && passed >= 2 })
	dead := map[string]string{}
	for _, d := range receive(t, at, "graves", 3) {
		dead[d.Payload] = d.header(DeadCode)
	}
	if records, passed := p.counts(); records != 6 || passed != 2 || len(dead) != 3 || dead["no event"] != string(verdict.MessageMalformed) || dead[string(event("4").Data)] != string(verdict.MessageSignature) {
		t.Errorf("%d records, %d passed on, %v", records, passed, dead)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestWhatKafkaDeliveredAndNobodyCouldProcessComesAgain(t *testing.T) {
	t.Parallel() // groups are slow to come together
	p := newPost(t, func(o *Options) { o.Attempts = 3 })
	at := kafka(t)
	p.unpassed = errors.New("down")
	one := p.signed(t, "1", nil)
	produce(t, at, "claims", one.Metadata("ce_"), one.Data)

	// The very first of a group, before anything was acknowledged.
	s, end := from(t, at, "claims")
	if err := p.gate.Consume(t.Context(), s, Dead{Kept: true}); !errors.Is(err, ErrLost) {
		t.Fatal(err)
	}
	end()
	if records, passed := p.counts(); records != 3 || passed != 0 {
		t.Fatalf("%d attempts, %d passed on", records, passed)
	}

	// Whoever takes messages next gets it, and those after it.
	p.mu.Lock()
	p.unpassed = nil
	p.mu.Unlock()
	two := p.signed(t, "2", nil)
	produce(t, at, "claims", two.Metadata("ce_"), two.Data)
	s, end = from(t, at, "claims")
	stop := p.consume(t, s, Dead{Kept: true})
	until(t, "both are passed on", func() bool { _, passed := p.counts(); return passed == 2 })
	if err := stop(); err != nil {
		t.Error(err)
	}
	end()

	// What was acknowledged does not come again.
	before, _ := p.counts()
	three := p.signed(t, "3", nil)
	produce(t, at, "claims", three.Metadata("ce_"), three.Data)
	s, end = from(t, at, "claims")
	defer end()
	p.consume(t, s, Dead{Kept: true})
	until(t, "the third is passed on", func() bool { _, passed := p.counts(); return passed == 3 })
	if after, _ := p.counts(); after != before+1 {
		t.Errorf("%d records more", after-before)
	}
}

func TestAMessageThatCannotBeProcessedGoesToTheDeadLettersOfKafka(t *testing.T) {
	t.Parallel() // groups are slow to come together
	p := newPost(t, func(o *Options) { o.Attempts = 2 })
	at := kafka(t)
	for id, kind := range map[string]string{"1": "panic", "2": "claim.filed"} {
		e := p.signed(t, id, func(e *Event) { e.Attributes["type"] = kind })
		produce(t, at, "claims", e.Metadata("ce_"), e.Data)
	}
	s, end := from(t, at, "claims")
	defer end()
	p.consume(t, s, Dead{Topic: to(t, "kafka://"+at+"/graves"), Kept: true})
	until(t, "the good one is passed on", func() bool { _, passed := p.counts(); return passed == 1 })
	if got := receive(t, at, "graves", 1)[0]; got.header(DeadCode) != string(verdict.GatewayFailed) || got.header("ce_id") != "1" {
		t.Errorf("%+v", got)
	}
}

func TestTwoGatewaysShareATopicOfKafka(t *testing.T) {
	t.Parallel()         // groups are slow to come together
	p := newPost(t, nil) // and what it remembers
	at := kafka(t)
	first, end := from(t, at, "claims")
	stop := p.consume(t, first, Dead{Kept: true})
	send := func(ids ...string) {
		for _, id := range ids {
			e := p.signed(t, id, nil)
			produce(t, at, "claims", e.Metadata("ce_"), e.Data)
		}
	}
	send("1", "2")
	until(t, "two are passed on", func() bool { _, passed := p.counts(); return passed == 2 })
	second, endSecond := from(t, at, "claims")
	defer endSecond()
	p.consume(t, second, Dead{Kept: true})
	send("3", "4")
	until(t, "four are passed on", func() bool { _, passed := p.counts(); return passed == 4 })
	if err := stop(); err != nil { // the one that is left gets all partitions
		t.Error(err)
	}
	end()
	send("5", "6")
	until(t, "six are passed on", func() bool { _, passed := p.counts(); return passed == 6 })
}

func TestWhatIsSentToKafkaIsAnEventAndWhatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel() // groups are slow to come together
	p := newPost(t, nil)
	at := kafka(t)
	topic := to(t, "kafka://"+at+"/judged")
	e := p.signed(t, "1", nil)
	if err := topic.Send(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	got := receive(t, at, "judged", 1)[0]
	if got.header("ce_id") != "1" || got.header("content-type") != "application/json" || got.Payload != string(e.Data) {
		t.Errorf("%+v", got)
	}
	e.Data = bytes.Repeat([]byte("x"), 2<<20)
	if err := topic.Send(t.Context(), e); refused(err) != verdict.MessageRefused {
		t.Error(err)
	}
	letter := &pubsub.Message{Body: e.Data, Metadata: map[string]string{"ce_id": "2"}}
	if err := topic.Bury(t.Context(), letter, verdict.MessageSignature); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, at, "judged", 2); len(got) != 2 || got[0].header(DeadLeftOut)+got[1].header(DeadLeftOut) != "2097152" {
		t.Errorf("%+v", got)
	}
}

// refused is the code of a refusal; "" when an error is none.
func refused(err error) verdict.Code {
	if r, ok := errors.AsType[*media.Refusal](err); ok {
		return r.Code
	}
	return ""
}
