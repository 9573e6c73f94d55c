package message

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"gocloud.dev/pubsub"

	"github.com/apexlogic/apex/verdict"
)

// queues is moto, somebody else's stand-in for AWS, with a client of its own.
type queues struct {
	url    string
	client *sqs.Client
}

// moto starts it; it ends with the test.
func moto(t *testing.T) *queues {
	t.Helper()
	if testing.Short() {
		t.Skip("it starts moto_server, which takes a while")
	}
	path, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("moto_server is not installed: SQS is not tested")
	}
	c := exec.Command(path, "-H", "127.0.0.1", "-p", "0")
	said, w := io.Pipe()
	c.Stdout, c.Stderr = w, w
	if err := c.Start(); err != nil {
		t.Skipf("moto_server does not start: %v", err)
	}
	address, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		lines := bufio.NewScanner(said)
		for lines.Scan() {
			if m := regexp.MustCompile(`Running on (http://[0-9.:]+)`).FindStringSubmatch(lines.Text()); m != nil {
				select {
				case address <- m[1]:
				default:
				}
			}
		}
	}()
	go func() { err := c.Wait(); w.Close(); ended <- err }()
	t.Cleanup(func() { c.Process.Kill(); <-ended })
	// What the process has, as Broker finds it.
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": t.TempDir() + "/none", "AWS_SHARED_CREDENTIALS_FILE": t.TempDir() + "/none",
	} {
		t.Setenv(name, value)
	}
	select {
	case url := <-address:
		return &queues{url, sqs.New(sqs.Options{Region: "eu-central-1", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("testing", "testing", "")})}
	case err := <-ended:
		ended <- err
		t.Skipf("moto_server does not start: %v", err)
	}
	return nil
}

// queue makes one.
func (q *queues) queue(t *testing.T, name string, attributes map[string]string) (url string) {
	t.Helper()
	made, err := q.client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		t.Fatal(err)
	}
	return *made.QueueUrl
}

// broker is a queue as a route names it.
func (q *queues) broker(name string) *Broker {
	return &Broker{URL: "awssqs://sqs.example/123456789012/" + name + "?region=eu-central-1&endpoint=" + q.url}
}

func (q *queues) subscribe(t *testing.T, name string) *pubsub.Subscription {
	t.Helper()
	s, end, err := q.broker(name).Subscribe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(context.WithoutCancel(t.Context())) })
	return s
}

func (q *queues) topic(t *testing.T, name string) *Topic {
	t.Helper()
	topic, err := q.broker(name).Topic(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { topic.Close(context.WithoutCancel(t.Context())) })
	return topic
}

// put sends as a sender does that knows nothing of us.
func (q *queues) put(t *testing.T, queue string, attributes map[string]string, body string) {
	t.Helper()
	in := &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: &body, MessageAttributes: map[string]types.MessageAttributeValue{}}
	for name, value := range attributes {
		in.MessageAttributes[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
	}
	if _, err := q.client.SendMessage(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

// take waits for one message of a queue, and takes it.
func (q *queues) take(t *testing.T, queue string) (attributes map[string]string, body string) {
	t.Helper()
	until(t, "a message is in "+queue, func() bool {
		got, err := q.client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &queue, MessageAttributeNames: []string{"All"}})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Messages) == 0 {
			return false
		}
		m := got.Messages[0]
		attributes, body = map[string]string{}, *m.Body
		for name, value := range m.MessageAttributes {
			attributes[name] = *value.StringValue
		}
		if _, err := q.client.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &queue, ReceiptHandle: m.ReceiptHandle}); err != nil {
			t.Fatal(err)
		}
		return true
	})
	return attributes, body
}

func TestMessagesArriveThroughSQSAndDeadLettersFitIntoIt(t *testing.T) {
	q := moto(t)
	p := newPost(t, nil)
	claims, graves := q.queue(t, "claims", nil), q.queue(t, "graves", nil)
	p.consume(t, q.subscribe(t, "claims"), Dead{Topic: q.topic(t, "graves"), Kept: true})

	// Ten attributes are all that SQS has, and a signed event in binary mode has them.
	ten := p.signed(t, "1", nil)
	if n := len(ten.Metadata("ce-")); n != 10 {
		t.Fatal(n)
	}
	q.put(t, claims, ten.Metadata("ce-"), string(ten.Data))
	until(t, "it is passed on", func() bool { _, passed := p.counts(); return passed == 1 })
	q.put(t, claims, map[string]string{"content-type": structured}, string(p.signed(t, "2", func(e *Event) { e.Attributes["more"], e.Attributes["evenmore"] = "x", "y" }).Structured()))
	until(t, "structured mode is passed on", func() bool { _, passed := p.counts(); return passed == 2 })
	binary := p.signed(t, "3", func(e *Event) {
		e.Data, e.Attributes["datacontenttype"] = []byte("\x00\xff\xfe"), "application/octet-stream"
	})
	if err := q.topic(t, "claims").Send(t.Context(), binary); err != nil {
		t.Fatal(err)
	}
	until(t, "bytes are passed on", func() bool { _, passed := p.counts(); return passed == 3 })
	p.mu.Lock()
	if got := p.passed[2].Event.Data; !bytes.Equal(got, binary.Data) {
		t.Errorf("%q", got)
	}
	p.mu.Unlock()

	for name, spoil := range map[string]func(map[string]string) string{
		"not signed": func(a map[string]string) string {
			delete(a, "ce-apexchain")
			return string(ten.Data)
		},
		"changed": func(map[string]string) string { return "changed" },
	} {
		attributes := p.signed(t, name, nil).Metadata("ce-")
		q.put(t, claims, attributes, spoil(attributes))
		got, body := q.take(t, graves)
		var own map[string]string
		if err := json.Unmarshal([]byte(got[DeadMetadata]), &own); err != nil && got["ce-id"] == "" {
			t.Errorf("%s: %v %v", name, err, got)
		}
		if got[DeadCode] != string(verdict.MessageSignature) || body == "" {
			t.Errorf("%s: %v %q", name, got, body)
		}
	}
	q.put(t, claims, map[string]string{"content-type": "text/plain"}, "no event")
	if got, body := q.take(t, graves); got[DeadCode] != string(verdict.MessageMalformed) || got["content-type"] != "text/plain" || body != "no event" {
		t.Errorf("%v %q", got, body)
	}
}

func TestWhatSQSDeliveredAndNobodyCouldProcessComesAgain(t *testing.T) {
	q := moto(t)
	p := newPost(t, nil)
	graves := q.queue(t, "graves", nil)
	claims := q.queue(t, "claims", map[string]string{
		"VisibilityTimeout": "1",
		"RedrivePolicy":     `{"deadLetterTargetArn":"arn:aws:sqs:eu-central-1:123456789012:graves","maxReceiveCount":"4"}`,
	})
	// Another gateway took it, and died.
	one := p.signed(t, "1", nil)
	q.put(t, claims, one.Metadata("ce-"), string(one.Data))
	if got, err := q.client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &claims}); err != nil || len(got.Messages) != 1 {
		t.Fatal(got, err)
	}
	p.unpassed = errors.New("down")
	p.consume(t, q.subscribe(t, "claims"), Dead{Kept: true})
	until(t, "it was tried twice", func() bool { records, _ := p.counts(); return records >= 2 })
	p.mu.Lock()
	p.unpassed = nil
	p.mu.Unlock()
	until(t, "it is passed on", func() bool { _, passed := p.counts(); return passed == 1 })

	// What fails for ever is the broker's, by its own limit of deliveries.
	two := p.signed(t, "2", func(e *Event) { e.Attributes["type"] = "broken" })
	q.put(t, claims, two.Metadata("ce-"), string(two.Data))
	if got, _ := q.take(t, graves); got["ce-id"] != "2" {
		t.Errorf("%v", got)
	}
}

func TestWhatIsSentToSQSIsInStructuredModeAndWhatIsTooLargeIsRefused(t *testing.T) {
	q := moto(t)
	p := newPost(t, nil)
	judged := q.queue(t, "judged", nil)
	topic := q.topic(t, "judged")
	e := p.signed(t, "1", func(e *Event) { e.Attributes["subject"], e.Attributes["more"] = "x", "y" })
	if err := topic.Send(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	attributes, body := q.take(t, judged)
	if got, err := ReadStructured([]byte(body)); err != nil || got.Attributes["more"] != "y" || len(attributes) != 1 || attributes["content-type"] != structured {
		t.Errorf("%v %v", err, attributes)
	}
	e.Data = []byte(`"` + strings.Repeat("x", 1<<20) + `"`)
	if err := topic.Send(t.Context(), e); refused(err) != verdict.MessageRefused {
		t.Error(err)
	}
	if err := topic.Bury(t.Context(), &pubsub.Message{Body: e.Data, Metadata: e.Metadata("ce-")}, verdict.MessageSignature); err != nil {
		t.Fatal(err)
	}
	if got, body := q.take(t, judged); got[DeadLeftOut] != "1048578" || got[DeadCode] == "" || body != "\n" {
		t.Errorf("%v %q", got, body)
	}
	// Nothing that another broker carries is lost on the way into SQS.
	odd := map[string]string{"ce-id": "", "DeduplicationId": "x", "a name": "\x00\ufffeé😀"}
	for _, content := range []string{"", "\x01 no text of XML", "\xff\xfe"} {
		if err := topic.Bury(t.Context(), &pubsub.Message{Metadata: odd, Body: []byte(content)}, verdict.MessageMalformed); err != nil {
			t.Fatal(err)
		}
		got, body := q.take(t, judged)
		var own map[string]string
		if err := json.Unmarshal([]byte(got[DeadMetadata]), &own); err != nil || !maps.Equal(own, odd) {
			t.Errorf("%v %v", err, own)
		}
		switch data, err := base64.StdEncoding.DecodeString(body); {
		case content == "" && (got[DeadLeftOut] != "0" || body != "\n"):
			t.Errorf("%v %q", got, body)
		case content != "" && (err != nil || string(data) != content || got[inBase64] != "true"):
			t.Errorf("%v %q", got, body)
		}
	}
}

func TestSQSIsNotSpokenToInPlainTextUnlessTheRouteSaysSo(t *testing.T) {
	q := moto(t)
	q.queue(t, "judged", nil)
	t.Setenv("AWS_ENDPOINT_URL_SQS", q.url)
	e := newPost(t, nil).signed(t, "1", nil)
	for secure, works := range map[bool]bool{true: false, false: true} {
		b := &Broker{URL: "awssqs://sqs.example/123456789012/judged?region=eu-central-1"}
		if secure {
			b.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
		}
		topic, err := b.Topic(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := topic.Send(t.Context(), e); (err == nil) != works {
			t.Errorf("tls %t: %v", secure, err)
		}
		topic.Close(t.Context())
	}
}
