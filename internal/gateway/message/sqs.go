package message

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"gocloud.dev/pubsub"
	"gocloud.dev/pubsub/awssnssqs"
)

// sqs returns a client of SQS, and the URL of the queue. Credentials are those of
// the process, and so may be an endpoint; it has to be https unless the broker is
// plain text.
func (b *Broker) sqs(ctx context.Context, u *url.URL) (*sqs.Client, string, error) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	q := u.Query()
	c, err := config.LoadDefaultConfig(ctx, config.WithRegion(q.Get("region")))
	if err != nil {
		return nil, "", err
	}
	// For requests to SQS only: credentials may come from an address of the machine.
	transport := http.RoundTripper(&http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: b.TLS, TLSHandshakeTimeout: connectWithin, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: DefaultConcurrent,
	})
	if b.TLS != nil {
		transport = encrypted{transport}
	}
	client := sqs.NewFromConfig(c, func(o *sqs.Options) {
		o.HTTPClient = &http.Client{Transport: transport}
		if endpoint := q.Get("endpoint"); endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
	})
	return client, "https://" + path.Join(u.Host, u.Path), nil
}

func (b *Broker) fromSQS(ctx context.Context, u *url.URL) (*pubsub.Subscription, error) {
	client, queue, err := b.sqs(ctx, u)
	if err != nil {
		return nil, err
	}
	// Raw: nothing proves that SNS delivered what looks so.
	return awssnssqs.OpenSubscription(ctx, client, queue, &awssnssqs.SubscriptionOptions{Raw: true}), nil
}

func (b *Broker) toSQS(ctx context.Context, u *url.URL) (*pubsub.Topic, error) {
	client, queue, err := b.sqs(ctx, u)
	if err != nil {
		return nil, err
	}
	return awssnssqs.OpenSQSTopic(ctx, client, queue, nil), nil
}

// maxSQSAttributes is how many attributes of its own a dead letter may have: ten,
// without the code, what is left out, and that the content is in base64.
const maxSQSAttributes = 7

// inBase64 is the attribute by which gocloud.dev says that content is in base64.
const inBase64 = "base64encoded"

// sqsMessage is a message whose attributes are written as they are: gocloud.dev
// would percent-encode them, which other readers do not expect. Content that SQS
// does not take as text is in base64.
func sqsMessage(metadata map[string]string, content []byte) *pubsub.Message {
	encoded := !isSQSText(string(content))
	return &pubsub.Message{Body: content, BeforeSend: func(as func(any) bool) error {
		var entry *types.SendMessageBatchRequestEntry
		if !as(&entry) {
			return errors.New("the message is not one of SQS")
		}
		entry.MessageAttributes = map[string]types.MessageAttributeValue{}
		set := func(name, value string) {
			entry.MessageAttributes[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
		}
		for name, value := range metadata {
			set(name, value)
		}
		if encoded {
			set(inBase64, "true")
			entry.MessageBody = aws.String(base64.StdEncoding.EncodeToString(content))
		}
		return nil
	}}
}

// isSQSText reports whether SQS takes a string as it is: the characters of XML 1.0.
func isSQSText(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
			return false
		}
	}
	return true
}

// packSQS returns metadata that a dead letter of SQS can have: as it is, or all of
// it as a JSON object under [DeadMetadata], in ASCII.
func packSQS(metadata map[string]string) map[string]string {
	fits := len(metadata) <= maxSQSAttributes
	for name, value := range metadata {
		plain := strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
		fits = fits && plain && name != "" && len(name) <= 64 && name != inBase64 && value != "" && isSQSText(value)
	}
	if fits {
		return metadata
	}
	b, err := json.Marshal(metadata)
	if err != nil {
		panic("message: strings are always JSON: " + err.Error())
	}
	var ascii strings.Builder
	for _, r := range string(b) {
		switch {
		case r < 0x7f:
			ascii.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&ascii, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&ascii, `\u%04x\u%04x`, high, low)
		}
	}
	return map[string]string{DeadMetadata: ascii.String()}
}

// encrypted refuses requests in plain text, which an endpoint of the environment
// could ask for.
type encrypted struct{ http.RoundTripper }

func (e encrypted) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, errors.New("the endpoint of SQS that the environment names is not https: name another, or say tls: Plaintext")
	}
	return e.RoundTripper.RoundTrip(r)
}
