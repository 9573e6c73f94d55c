package message

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/IBM/sarama"
	"github.com/aws/smithy-go"
	"github.com/nats-io/nats.go"
	"gocloud.dev/pubsub"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// What a dead letter says beside what came, each as metadata.
const (
	DeadCode     = "apex-code"     // why it was denied
	DeadMetadata = "apex-metadata" // its own metadata as a JSON object, where the broker has no room for all
	DeadLeftOut  = "apex-left-out" // so many bytes of content are not in it
)

// Topic sends to a broker. It is safe for concurrent use.
type Topic struct {
	topic *pubsub.Topic
	kind  string
	then  func() // closes what it rests on
}

// Send sends an event: in binary mode, and in structured mode to SQS, which has
// fewer attributes than events. A *media.Refusal says that the broker will never
// take it.
func (t *Topic) Send(ctx context.Context, e *Event) error {
	m := &pubsub.Message{Body: e.Data}
	switch t.kind {
	case nameSQS:
		m = sqsMessage(map[string]string{"content-type": structured}, e.Structured())
	case nameKafka:
		m.Metadata = e.Metadata("ce_")
	default:
		m.Metadata = e.Metadata("ce-")
	}
	err := t.topic.Send(ctx, m)
	if tooLarge(err) {
		return media.Refuse(verdict.MessageRefused, "", "the event is larger than the broker takes")
	}
	return err
}

// Bury sends a message as it came, and why it was denied. Of one that the broker
// finds too large the content is left out, and a message that cannot be sent at all
// is an error.
func (t *Topic) Bury(ctx context.Context, m *pubsub.Message, code verdict.Code) error {
	metadata := maps.Clone(m.Metadata)
	if metadata == nil {
		metadata = map[string]string{}
	}
	if t.kind == nameSQS {
		metadata = packSQS(metadata)
	}
	metadata[DeadCode] = string(code)
	if t.kind == nameSQS && len(m.Body) == 0 {
		return t.bare(ctx, metadata, 0)
	}
	err := t.topic.Send(ctx, t.letter(metadata, m.Body))
	if tooLarge(err) {
		return t.bare(ctx, metadata, len(m.Body))
	}
	return err
}

// bare sends a letter without its content, for which there is an end of line: SQS
// takes nothing empty.
func (t *Topic) bare(ctx context.Context, metadata map[string]string, size int) error {
	metadata[DeadLeftOut] = strconv.Itoa(size)
	return t.topic.Send(ctx, t.letter(metadata, []byte("\n")))
}

func (t *Topic) letter(metadata map[string]string, content []byte) *pubsub.Message {
	if t.kind == nameSQS {
		return sqsMessage(metadata, content)
	}
	return &pubsub.Message{Metadata: metadata, Body: content}
}

// Close sends what is under way, and closes the connection.
func (t *Topic) Close(ctx context.Context) error {
	err := t.topic.Shutdown(ctx)
	t.then()
	return err
}

// tooLarge reports whether a broker refused a message for its size. One that is
// refused in a batch of others says so for all, whom it does not name.
func tooLarge(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, sarama.ErrMessageSizeTooLarge) {
		return true
	}
	var all sarama.ProducerErrors
	if errors.As(err, &all) {
		return slices.ContainsFunc(all, func(e *sarama.ProducerError) bool {
			_, here := errors.AsType[sarama.ConfigurationError](e.Err) // found before it is sent
			return here || errors.Is(e.Err, sarama.ErrMessageSizeTooLarge)
		})
	}
	var aws smithy.APIError
	return errors.As(err, &aws) && (strings.HasSuffix(aws.ErrorCode(), "BatchRequestTooLong") || aws.ErrorCode() == "InvalidParameterValue")
}
