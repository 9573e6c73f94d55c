package rightsize

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
)

// The limits on what is read.
const (
	// MaxLog is how many bytes a log may have once it is unpacked: CloudTrail
	// delivers files of some MiB, a day's export is below a GiB.
	MaxLog = 1 << 30
	// maxRecord bounds one line: CloudTrail's records have 256 KiB at most.
	maxRecord = 1 << 20
	// maxFile bounds a file that is one document ({"Records": […]}).
	maxFile   = 64 << 20
	maxDepth  = 64
	maxEvents = 50_000_000
)

// unpacked reads gzip where it is, and the bytes as they are otherwise.
func unpacked(r io.Reader) (*bufio.Reader, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := b.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(head) < 2 || head[0] != 0x1f || head[1] != 0x8b {
		return b, nil
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	return bufio.NewReaderSize(z, 64<<10), nil
}

// lines calls f for every line that is not empty. A line that cannot be read is
// an error: a log with gaps does not show what is unused.
func lines(r io.Reader, f func(line []byte) error) error {
	b, err := unpacked(r)
	if err != nil {
		return err
	}
	limited := &io.LimitedReader{R: b, N: MaxLog + 1}
	s := bufio.NewScanner(limited)
	s.Buffer(make([]byte, 0, 64<<10), maxRecord)
	n := 0
	for s.Scan() {
		n++
		if n > maxEvents {
			return fmt.Errorf("%w of %d lines", bounded.ErrTooMany, maxEvents)
		}
		line := s.Bytes()
		if len(strings.TrimSpace(string(line))) == 0 {
			continue
		}
		if err := f(line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("line %d: %w", n+1, err)
	}
	if limited.N <= 0 {
		return fmt.Errorf("%w of %d bytes", bounded.ErrTooLarge, MaxLog)
	}
	return nil
}

type record struct {
	EventTime     time.Time `json:"eventTime"`
	EventSource   string    `json:"eventSource"`
	EventName     string    `json:"eventName"`
	EventCategory string    `json:"eventCategory"`
	ErrorCode     string    `json:"errorCode"`
	Account       string    `json:"recipientAccountId"`
	Region        string    `json:"awsRegion"`
	UserIdentity  struct {
		Type           string `json:"type"`
		ARN            string `json:"arn"`
		SessionContext struct {
			SessionIssuer struct {
				ARN string `json:"arn"`
			} `json:"sessionIssuer"`
		} `json:"sessionContext"`
	} `json:"userIdentity"`
	Resources []struct {
		ARN string `json:"ARN"`
	} `json:"resources"`
	RequestParameters json.RawMessage `json:"requestParameters"`
}

// CloudTrail reads events as CloudTrail delivers them, {"Records": […]}, or one
// record a line; gzip is unpacked. Calls that were refused, and those that a
// service made for itself, are left out.
func CloudTrail(r io.Reader, each func(Event)) error {
	b, err := unpacked(r)
	if err != nil {
		return fmt.Errorf("read CloudTrail: %w", err)
	}
	head, _ := b.Peek(256)
	if trimmed := strings.Join(strings.Fields(string(head)), ""); strings.HasPrefix(trimmed, `{"Records":`) {
		data, err := bounded.ReadAll(b, maxFile)
		if err != nil {
			return fmt.Errorf("read CloudTrail: %w", err)
		}
		var file struct{ Records []record }
		if err := strict.Unmarshal(data, &file); err != nil {
			return fmt.Errorf("read CloudTrail: %w", err)
		}
		for i := range file.Records {
			file.Records[i].events(each)
		}
		return nil
	}
	if err := lines(b, func(line []byte) error {
		var one record
		if err := strict.Unmarshal(line, &one); err != nil {
			return err
		}
		if one.EventName == "" || one.EventSource == "" {
			return errors.New("no eventName or eventSource: it is no record of CloudTrail")
		}
		one.events(each)
		return nil
	}); err != nil {
		return fmt.Errorf("read CloudTrail: %w", err)
	}
	return nil
}

// strict refuses documents with a key twice; what callers wrote as parameters
// may differ in case alone.
var strict = bounded.Rules{Depth: maxDepth, FreeMaps: []string{"requestParameters", "responseElements", "additionalEventData"}}

func (r *record) events(each func(Event)) {
	refused := strings.ToLower(r.ErrorCode)
	if strings.Contains(refused, "denied") || strings.Contains(refused, "unauthorized") || strings.Contains(refused, "forbidden") || strings.Contains(refused, "notauthorized") {
		return
	}
	principal := r.UserIdentity.ARN
	if r.UserIdentity.Type == "AssumedRole" {
		principal = r.UserIdentity.SessionContext.SessionIssuer.ARN
	}
	if principal == "" || r.UserIdentity.Type == "AWSService" {
		return
	}
	e := Event{Time: r.EventTime, Principal: principal, Action: action(r.EventSource, r.EventName), Data: r.EventCategory == "Data"}
	var arns []string
	for _, x := range r.Resources {
		if strings.HasPrefix(x.ARN, "arn:") {
			arns = append(arns, x.ARN)
		}
	}
	if arn := r.resource(e.Action); arn != "" {
		arns = []string{arn} // more exact: records of S3 name the bucket beside the object
	}
	if len(arns) == 0 {
		arns = []string{""}
	}
	for _, arn := range arns {
		e.Resource = arn
		each(e)
	}
	for _, role := range r.passed(e.Action) {
		e.Action, e.Resource, e.Data = passRole, role, false
		each(e)
	}
	if strings.HasSuffix(r.EventName, "CopyObject") || r.EventName == "UploadPartCopy" {
		e.Action, e.Resource = "s3:GetObject", "" // its source; the parameters name it in many ways
		each(e)
	}
}

// passRole is asked for when a call hands a role to a service. CloudTrail has no
// record of it: the parameters of the call name the role.
const passRole = "iam:PassRole"

// passed are the ARNs of roles that a call hands over, "" for one that is named
// in another way.
func (r *record) passed(action string) []string {
	service, _, _ := strings.Cut(action, ":")
	if service == "iam" || service == "sts" || service == "s3" || len(r.RequestParameters) == 0 {
		return nil
	}
	text := string(r.RequestParameters)
	var out []string
	if strings.Contains(text, "nstanceProfile") {
		out = append(out, "")
	}
	if !strings.Contains(text, ":role") {
		return out
	}
	var parameters any
	if json.Unmarshal(r.RequestParameters, &parameters) != nil {
		return out
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			if strings.HasPrefix(v, "arn:") && strings.Contains(v, ":iam::") && strings.Contains(v, ":role/") && len(out) < maxPassed && !slices.Contains(out, v) {
				out = append(out, v)
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				walk(v[k])
			}
		}
	}
	walk(parameters)
	return out
}

// maxPassed bounds the roles that one call hands over: a task has two.
const maxPassed = 16

// resource makes the ARN that IAM is asked about, from the parameters of the
// calls that are made most; "" for others.
func (r *record) resource(action string) string {
	// By exact names: what callers wrote may hold the same ones in other case.
	var raw map[string]json.RawMessage
	if json.Unmarshal(r.RequestParameters, &raw) != nil {
		return "" // some services log a list: nothing is known of the resource then
	}
	get := func(name string) string {
		var s string
		_ = json.Unmarshal(raw[name], &s) // another type is another service's parameter
		return s
	}
	bucket, key, table, function, queue := get("bucketName"), get("key"), get("tableName"), get("functionName"), get("queueUrl")
	group, stream := get("logGroupName"), get("logStreamName")
	service, name, _ := strings.Cut(action, ":")
	at := func(kind string) string { return "arn:aws:" + service + ":" + r.Region + ":" + r.Account + ":" + kind }
	arn := func(s string) bool { return strings.HasPrefix(s, "arn:") }
	switch {
	case service == "s3" && bucket != "" && key != "":
		return "arn:aws:s3:::" + bucket + "/" + key
	case service == "s3" && bucket != "" && name != "ListAllMyBuckets" && !strings.Contains(name, "Object"):
		return "arn:aws:s3:::" + bucket
	case service == "dynamodb" && arn(table):
		return table
	case service == "dynamodb" && table != "" && name != "Query" && name != "Scan": // which may be of an index
		return at("table/" + table)
	case service == "lambda" && arn(function):
		return function
	case service == "lambda" && function != "":
		return at("function:" + function)
	case service == "sqs" && strings.Count(queue, "/") == 4:
		parts := strings.Split(queue, "/")
		return "arn:aws:sqs:" + r.Region + ":" + parts[3] + ":" + parts[4]
	case service == "sns" && arn(get("topicArn")):
		return get("topicArn")
	case service == "secretsmanager" && arn(get("secretId")):
		return get("secretId")
	case service == "kinesis" && get("streamName") != "":
		return at("stream/" + get("streamName"))
	case service == "logs" && group != "" && stream != "":
		return at("log-group:" + group + ":log-stream:" + stream)
	case service == "logs" && group != "":
		return at("log-group:" + group)
	case action == "sts:AssumeRole" && arn(get("roleArn")):
		return get("roleArn")
	}
	return ""
}

// Gateway reads the gateway's own records, one a line:
// {"principal", "action", "resource", "time"}. They are of everything that was
// called, data included.
func Gateway(r io.Reader, each func(Event)) error {
	err := lines(r, func(line []byte) error {
		var one struct {
			Principal, Action, Resource string
			Time                        time.Time
		}
		if err := bounded.JSON(line, maxDepth, &one); err != nil {
			return err
		}
		if one.Principal == "" || one.Action == "" {
			return errors.New("no principal or action")
		}
		each(Event{Time: one.Time, Principal: one.Principal, Action: one.Action, Resource: one.Resource, Data: true})
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the gateway's records: %w", err)
	}
	return nil
}
