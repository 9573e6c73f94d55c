package message

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
)

func TestWhatWasProcessedIsKnownAfterTheProcessDied(t *testing.T) {
	path, now := filepath.Join(t.TempDir(), "seen"), clock.At(epoch)
	open := func() *Journal {
		t.Helper()
		j, err := OpenJournal(path, now, 100)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { j.Close() })
		return j
	}
	begin := func(j *Journal, id string, digest byte, want State) {
		t.Helper()
		if got, err := j.Begin(t.Context(), Key{"p", "s", id}, [32]byte{digest}, epoch.Add(time.Minute)); err != nil || got != want {
			t.Errorf("%s: %v %v, want %v", id, got, err, want)
		}
	}
	first := open()
	begin(first, "done", 1, New)
	begin(first, "given back", 1, New)
	begin(first, "under way", 1, New)
	for id, done := range map[string]bool{"done": true, "given back": false} {
		if err := first.End(t.Context(), Key{"p", "s", id}, done); err != nil {
			t.Fatal(err)
		}
	}
	// The process dies here: nothing is closed, and a line is torn.
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"principal":"p","source":"s","id":"to`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	second := open()
	begin(second, "done", 1, Done)
	begin(second, "done", 2, Another)
	begin(second, "given back", 1, New)
	begin(second, "under way", 1, New)
	if err := second.End(t.Context(), Key{"p", "s", "under way"}, true); err != nil {
		t.Fatal(err)
	}
	begin(open(), "under way", 1, Done)
	now.Advance(2 * time.Minute)
	begin(open(), "done", 1, New)
}

// A disk that is full takes the half of a line, and has room again for the next one.
func TestAJournalIsReadAfterALineThatWasWrittenInPart(t *testing.T) {
	path, now := filepath.Join(t.TempDir(), "seen"), clock.At(epoch)
	j, err := OpenJournal(path, now, 100)
	if err != nil {
		t.Fatal(err)
	}
	process := func(id string) error {
		k := Key{"p", "s", id}
		if s, err := j.Begin(t.Context(), k, [32]byte{1}, epoch.Add(time.Minute)); err != nil || s != New {
			t.Fatal(s, err)
		}
		return j.End(t.Context(), k, true)
	}
	if err := process("before"); err != nil {
		t.Fatal(err)
	}
	if _, err := j.file.WriteString(`{"principal":"p","source":"s","id":"fu`); err != nil {
		t.Fatal(err)
	}
	whole := j.file
	defer whole.Close()
	if j.file, err = os.Open(path); err != nil { // which takes no more
		t.Fatal(err)
	}
	if err := process("full"); err == nil {
		t.Error("a message counts as processed that is not in the file")
	}
	j.file.Close()
	j.file = whole
	if err := process("after"); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := OpenJournal(path, now, 100)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for _, id := range []string{"before", "full", "after"} {
		if s, err := again.Begin(t.Context(), Key{"p", "s", id}, [32]byte{1}, epoch.Add(time.Minute)); err != nil || s != Done {
			t.Errorf("%s: %v %v", id, s, err)
		}
	}
}

func TestAJournalThatIsNoneIsNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seen")
	if err := os.WriteFile(path, []byte("something\nelse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenJournal(path, clock.At(epoch), 100); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("%v: messages would be processed twice", err)
	}
}

func TestAJournalStaysBounded(t *testing.T) {
	path, now := filepath.Join(t.TempDir(), "seen"), clock.At(epoch)
	j, err := OpenJournal(path, now, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	for i := range 40 {
		k := Key{"p", "s", string(rune('a' + i))}
		if s, err := j.Begin(t.Context(), k, [32]byte{}, now.Now().Add(time.Second)); err != nil || s != New {
			t.Fatal(s, err)
		}
		if err := j.End(t.Context(), k, true); err != nil {
			t.Fatal(err)
		}
		now.Advance(2 * time.Second)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(data), "\n"); n > 8 {
		t.Errorf("%d lines for at most 4 messages", n)
	}
}

func TestABrokerIsCheckedBeforeItIsAsked(t *testing.T) {
	for broker, want := range map[Broker]string{
		{URL: "nats://127.0.0.1:4222/photos"}:                                        "",
		{URL: "nats://127.0.0.1:4222/photos?queue=q"}:                                "",
		{URL: "kafka://127.0.0.1:9092/photos?group=g"}:                               "",
		{URL: "awssqs://sqs.eu-central-1.amazonaws.com/1/q?region=eu-central-1"}:     "",
		{URL: "awssqs://127.0.0.1:5000/1/q?region=r&endpoint=http://127.0.0.1:5000"}: "",
		{URL: "nats://127.0.0.1:4222/"}:                                              "not the URL",
		{URL: "nats://user:secret@127.0.0.1:4222/photos"}:                            "without a password",
		{URL: "nats://127.0.0.1:4222/photos?que=q"}:                                  "no parameter",
		{URL: "kafka://127.0.0.1:9092/photos"}:                                       "?group=",
		{URL: "awssqs://sqs.eu-central-1.amazonaws.com/1/q"}:                         "?region=",
		{URL: "awssqs://127.0.0.1/1/q?region=r&endpoint=https://127.0.0.1"}:          "the endpoint",
		{URL: "amqp://127.0.0.1/q"}:                                                  "no broker",
	} {
		switch err := broker.Check(true); {
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", broker.URL, err, want)
		case err != nil && strings.Contains(err.Error(), "secret"):
			t.Errorf("the password is told: %v", err)
		}
	}
}
