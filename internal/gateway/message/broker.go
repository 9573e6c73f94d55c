package message

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/nats-io/nats.go"
	"gocloud.dev/pubsub"
	"gocloud.dev/pubsub/kafkapubsub"
	"gocloud.dev/pubsub/natspubsub"
)

// Broker is a subject of NATS, a topic of Kafka, or a queue of SQS:
//
//	nats://HOST:PORT/SUBJECT?queue=NAME
//	kafka://HOST:PORT/TOPIC?group=NAME
//	awssqs://HOST/ACCOUNT/QUEUE?region=NAME&endpoint=URL
//
// Credentials of SQS are those of the process, as AWS's own tools find them.
type Broker struct {
	URL string
	// TLS to the broker; nil: plain text.
	TLS *tls.Config
}

const (
	nameNATS  = "nats"
	nameKafka = "kafka"
	nameSQS   = "awssqs"
	// connectWithin bounds how long a broker is waited for.
	connectWithin = 10 * time.Second
)

// Check says what is wrong with a broker; subscribe says that messages are taken
// from it.
func (b *Broker) Check(subscribe bool) error {
	_, err := b.parse(subscribe)
	return err
}

func (b *Broker) parse(subscribe bool) (*url.URL, error) {
	u, err := url.Parse(b.URL)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") == "" {
		return nil, errors.New("it is not the URL of a broker, with a subject, a topic or a queue, and without a password")
	}
	q, known := u.Query(), []string(nil)
	switch u.Scheme {
	case nameNATS:
		known = []string{"queue"}
	case nameKafka:
		known = []string{"group"}
		if subscribe && q.Get("group") == "" {
			return nil, errors.New("?group=NAME is missing: the group of consumers that shares the topic")
		}
	case nameSQS:
		known = []string{"region", "endpoint"}
		if q.Get("region") == "" {
			return nil, errors.New("?region=NAME is missing")
		}
		if endpoint := q.Get("endpoint"); endpoint != "" && (b.TLS == nil) != strings.HasPrefix(endpoint, "http://") {
			return nil, errors.New("the endpoint is https://, or http:// with tls: Plaintext")
		}
	default:
		return nil, fmt.Errorf("%q is no broker that is spoken to: nats, kafka or awssqs", u.Scheme)
	}
	for _, name := range known {
		q.Del(name)
	}
	for name := range q {
		return nil, fmt.Errorf("%s has no parameter %q", u.Scheme, name)
	}
	return u, nil
}

// Subscribe opens a subscription. close ends it, and gives back what was taken
// and not acknowledged.
func (b *Broker) Subscribe(ctx context.Context) (s *pubsub.Subscription, close func(context.Context) error, err error) {
	u, err := b.parse(true)
	if err != nil {
		return nil, nil, err
	}
	name := strings.Trim(u.Path, "/")
	switch u.Scheme {
	case nameNATS:
		conn, err := b.nats(u)
		if err != nil {
			return nil, nil, err
		}
		if s, err = natspubsub.OpenSubscriptionV2(conn, name, &natspubsub.SubscriptionOptions{Queue: u.Query().Get("queue")}); err != nil {
			conn.Close()
			return nil, nil, err
		}
		return s, func(ctx context.Context) error { err := s.Shutdown(ctx); conn.Close(); return err }, nil
	case nameKafka:
		s, err = kafkapubsub.OpenSubscription([]string{u.Host}, b.kafka(), u.Query().Get("group"), []string{name}, nil)
	default:
		s, err = b.fromSQS(ctx, u)
	}
	if err != nil {
		return nil, nil, err
	}
	return s, s.Shutdown, nil
}

// Topic opens it for sending.
func (b *Broker) Topic(ctx context.Context) (*Topic, error) {
	u, err := b.parse(false)
	if err != nil {
		return nil, err
	}
	name := strings.Trim(u.Path, "/")
	switch u.Scheme {
	case nameNATS:
		conn, err := b.nats(u)
		if err != nil {
			return nil, err
		}
		t, err := natspubsub.OpenTopicV2(conn, name, nil)
		if err != nil {
			conn.Close()
			return nil, err
		}
		return &Topic{t, nameNATS, conn.Close}, nil
	case nameKafka:
		t, err := kafkapubsub.OpenTopic([]string{u.Host}, b.kafka(), name, nil)
		if err != nil {
			return nil, err
		}
		return &Topic{t, nameKafka, func() {}}, nil
	}
	t, err := b.toSQS(ctx, u)
	if err != nil {
		return nil, err
	}
	return &Topic{t, nameSQS, func() {}}, nil
}

// Keeps reports whether the broker delivers what was not acknowledged again, also
// where it takes nothing back.
func (b *Broker) Keeps() bool { return !strings.HasPrefix(b.URL, nameNATS+":") }

func (b *Broker) nats(u *url.URL) (*nats.Conn, error) {
	options := []nats.Option{nats.Timeout(connectWithin), nats.MaxReconnects(-1), nats.Name("apex")}
	scheme := nameNATS
	if b.TLS != nil {
		scheme = "tls"
		options = append(options, nats.Secure(b.TLS))
	}
	return nats.Connect(scheme+"://"+u.Host, options...)
}

func (b *Broker) kafka() *sarama.Config {
	c := kafkapubsub.MinimalConfig()
	c.ClientID = "apex"
	// Every broker from 2.0 to 4 speaks this; each request agrees on less with older ones.
	c.Version = sarama.V2_0_0_0
	// A group that has acknowledged nothing begins with what is there: otherwise an
	// event that could not be processed before the first was acknowledged is lost.
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	// What is sent is acknowledged to its sender only when every replica has it.
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Net.DialTimeout = connectWithin
	c.Net.TLS.Enable, c.Net.TLS.Config = b.TLS != nil, b.TLS
	return c
}
