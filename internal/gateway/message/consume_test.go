package message

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"gocloud.dev/pubsub"
	"gocloud.dev/pubsub/mempubsub"
	"gocloud.dev/pubsub/natspubsub"

	"github.com/apexlogic/apex/verdict"
)

// consume runs the gate on a subscription until the test ends; end waits for it
// and returns what it ended with.
func (p *post) consume(t *testing.T, s *pubsub.Subscription, dead Dead) (end func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.gate.Consume(ctx, s, dead) }()
	stop := func() error { cancel(); err := <-done; done <- err; return err }
	t.Cleanup(func() { stop() })
	return stop
}

// until waits until something is so.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for !is() {
		select {
		case <-ctx.Done():
			t.Fatal("it never came that", what)
		case <-time.After(time.Millisecond):
		}
	}
}

func send(t *testing.T, to *Topic, e *Event, prefix string) {
	t.Helper()
	if err := to.topic.Send(t.Context(), &pubsub.Message{Body: e.Data, Metadata: e.Metadata(prefix)}); err != nil {
		t.Fatal(err)
	}
}

// memory returns a topic of this process and a subscription to it. What is not
// acknowledged within a while is delivered again.
func memory(t *testing.T, again time.Duration) (*Topic, *pubsub.Subscription) {
	t.Helper()
	topic := mempubsub.NewTopic()
	s := mempubsub.NewSubscription(topic, again)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		s.Shutdown(ctx)
		topic.Shutdown(ctx)
	})
	return &Topic{topic, "", func() {}}, s
}

func TestMessagesOfABrokerArePassedOnOnceAndDeadLettersSayWhy(t *testing.T) {
	p := newPost(t, nil)
	topic, s := memory(t, time.Minute)
	graves, buried := memory(t, time.Minute)
	end := p.consume(t, s, Dead{Topic: graves})
	good := p.signed(t, "1", nil)
	send(t, topic, good, "ce-")
	until(t, "it is passed on", func() bool { _, passed := p.counts(); return passed == 1 })
	send(t, topic, good, "ce_") // a redelivery, by another producer's binding
	until(t, "it is recorded as repeated", func() bool { return p.last().Repeated })
	send(t, topic, p.signed(t, "2", func(e *Event) { e.Attributes["type"] = "forbidden" }), "ce-")
	m, err := buried.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m.Ack()
	if m.Metadata[DeadCode] != string(verdict.AccessForbidden) || m.Metadata["ce-id"] != "2" || string(m.Body) != `{"a":"secret"}` {
		t.Errorf("%v", m.Metadata)
	}
	if err := topic.topic.Send(t.Context(), &pubsub.Message{Body: []byte("no event")}); err != nil {
		t.Fatal(err)
	}
	if m, err = buried.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.Ack()
	if m.Metadata[DeadCode] != string(verdict.MessageMalformed) {
		t.Errorf("%v", m.Metadata)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	if records, passed := p.counts(); records != 4 || passed != 1 {
		t.Errorf("%d records, %d passed on", records, passed)
	}
}

func TestAMessageIsGivenBackUntilItIsRecordedAndPassedOn(t *testing.T) {
	p := newPost(t, nil)
	p.unpassed = errors.New("down")
	topic, s := memory(t, time.Minute)
	p.consume(t, s, Dead{})
	send(t, topic, p.signed(t, "1", nil), "ce-")
	until(t, "it was tried three times", func() bool { records, _ := p.counts(); return records >= 3 })
	p.mu.Lock()
	p.unpassed = nil
	p.mu.Unlock()
	until(t, "it is passed on", func() bool { _, passed := p.counts(); return passed == 1 })
}

func TestADeniedMessageWithoutDeadLettersIsAcknowledged(t *testing.T) {
	p := newPost(t, nil)
	topic, s := memory(t, time.Minute)
	p.consume(t, s, Dead{})
	send(t, topic, p.signed(t, "1", func(e *Event) { e.Attributes["type"] = "forbidden" }), "ce-")
	send(t, topic, p.signed(t, "2", nil), "ce-")
	until(t, "both are decided about", func() bool { records, passed := p.counts(); return records >= 2 && passed == 1 })
	send(t, topic, p.signed(t, "3", nil), "ce-")
	until(t, "the next is passed on", func() bool { _, passed := p.counts(); return passed == 2 })
	if records, _ := p.counts(); records != 3 {
		t.Errorf("%d records", records)
	}
}

// broker starts a NATS server and returns a connection to it.
func broker(t *testing.T) *nats.Conn {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(2 * time.Minute) {
		t.Fatal("the server does not start")
	}
	c, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// over returns a topic and a subscription of a NATS subject.
func over(t *testing.T, c *nats.Conn, subject string) (*Topic, *pubsub.Subscription) {
	t.Helper()
	topic, err := natspubsub.OpenTopicV2(c, subject, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := natspubsub.OpenSubscriptionV2(c, subject, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		s.Shutdown(ctx)
		topic.Shutdown(ctx)
	})
	return &Topic{topic, "", func() {}}, s
}

func TestMessagesArriveThroughARealNATSServer(t *testing.T) {
	p := newPost(t, nil)
	c := broker(t)
	topic, s := over(t, c, "claims")
	graves, buried := over(t, c, "claims.dead")
	end := p.consume(t, s, Dead{Topic: graves})
	send(t, topic, p.signed(t, "1", nil), "ce-")
	send(t, topic, p.bound(t, "2"), "ce-")
	until(t, "both are passed on", func() bool { _, passed := p.counts(); return passed == 2 })
	changed := p.signed(t, "3", nil)
	changed.Data = []byte("changed on the way")
	send(t, topic, changed, "ce-")
	m, err := buried.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m.Ack()
	if m.Metadata[DeadCode] != string(verdict.MessageSignature) || m.Metadata["ce-id"] != "3" {
		t.Errorf("%v", m.Metadata)
	}
	// NATS takes nothing back: what could not be processed is not lost either.
	p.mu.Lock()
	p.unpassed = errors.New("down")
	p.mu.Unlock()
	send(t, topic, p.signed(t, "4", nil), "ce-")
	if m, err = buried.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.Ack()
	if m.Metadata[DeadCode] != string(verdict.UpstreamDown) {
		t.Errorf("%v", m.Metadata)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

func TestAConsumerStopsRatherThanLoseMessages(t *testing.T) {
	p := newPost(t, nil)
	p.broken = errors.New("full")
	topic, s := over(t, broker(t), "claims")
	done := make(chan error, 1)
	go func() { done <- p.gate.Consume(t.Context(), s, Dead{}) }()
	send(t, topic, p.signed(t, "1", nil), "ce-")
	if err := <-done; !errors.Is(err, ErrLost) {
		t.Error(err)
	}
}
