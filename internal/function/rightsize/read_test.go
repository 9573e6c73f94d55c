package rightsize

import (
	"bytes"
	"compress/gzip"
	"errors"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/bounded"
)

const assumed = `"userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::123456789012:assumed-role/app/s","sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::123456789012:role/app"}}}`

func trail(source, name, more string) string {
	s := `{"eventTime":"2026-11-01T10:00:00Z","eventSource":"` + source + `.amazonaws.com","eventName":"` + name + `","awsRegion":"eu-west-1","recipientAccountId":"123456789012",` + assumed
	if more != "" {
		s += "," + more
	}
	return s + "}"
}

func TestCloudTrailNamesTheActionAndTheResource(t *testing.T) {
	for _, tc := range []struct{ source, name, more, want string }{
		{"s3", "GetObject", `"eventCategory":"Data","requestParameters":{"bucketName":"b","key":"a/x"}`, "s3:GetObject arn:aws:s3:::b/a/x data"},
		{"s3", "HeadObject", `"requestParameters":{"bucketName":"b","key":"x","Key":"y"}`, "s3:GetObject arn:aws:s3:::b/x"},
		{"s3", "ListObjectsV2", `"requestParameters":{"bucketName":"b"}`, "s3:ListBucket arn:aws:s3:::b"},
		{"s3", "ListBuckets", ``, "s3:ListAllMyBuckets "},
		{"s3", "CompleteMultipartUpload", `"requestParameters":{"bucketName":"b","key":"x"}`, "s3:PutObject arn:aws:s3:::b/x"},
		{"s3", "CopyObject", `"requestParameters":{"bucketName":"b","key":"x"}`, "s3:PutObject arn:aws:s3:::b/x|s3:GetObject "},
		{"lambda", "Invoke", `"requestParameters":{"functionName":"f"}`, "lambda:InvokeFunction arn:aws:lambda:eu-west-1:123456789012:function:f"},
		{"lambda", "GetFunction20150331v2", `"requestParameters":{"functionName":"arn:aws:lambda:x"}`, "lambda:GetFunction arn:aws:lambda:x"},
		{"lambda", "CreateFunction20150331", `"requestParameters":{"functionName":"f","role":"arn:aws:iam::123456789012:role/run"}`, "lambda:CreateFunction arn:aws:lambda:eu-west-1:123456789012:function:f|iam:PassRole arn:aws:iam::123456789012:role/run"},
		{"ec2", "RunInstances", `"requestParameters":{"iamInstanceProfile":{"name":"p"}}`, "ec2:RunInstances |iam:PassRole "},
		{"sts", "AssumeRole", `"requestParameters":{"roleArn":"arn:aws:iam::123456789012:role/run"}`, "sts:AssumeRole arn:aws:iam::123456789012:role/run"},
		{"dynamodb", "PutItem", `"requestParameters":{"tableName":"t"}`, "dynamodb:PutItem arn:aws:dynamodb:eu-west-1:123456789012:table/t"},
		{"dynamodb", "Query", `"requestParameters":{"tableName":"t"}`, "dynamodb:Query "},
		{"sqs", "SendMessage", `"requestParameters":{"queueUrl":"https://sqs.eu-west-1.amazonaws.com/123456789012/jobs"}`, "sqs:SendMessage arn:aws:sqs:eu-west-1:123456789012:jobs"},
		{"monitoring", "PutMetricAlarm", ``, "cloudwatch:PutMetricAlarm "},
		{"kms", "Decrypt", `"resources":[{"ARN":"arn:aws:kms:eu-west-1:123456789012:key/1"}]`, "kms:Decrypt arn:aws:kms:eu-west-1:123456789012:key/1"},
		{"ec2", "DescribeInstances", `"requestParameters":["a"]`, "ec2:DescribeInstances "},
		{"s3", "GetObject", `"errorCode":"NoSuchKey","requestParameters":{"bucketName":"b","key":"x"}`, "s3:GetObject arn:aws:s3:::b/x"},
		{"s3", "GetObject", `"errorCode":"AccessDenied","requestParameters":{"bucketName":"b","key":"x"}`, ""},
		{"ec2", "RunInstances", `"errorCode":"Client.UnauthorizedOperation"`, ""},
	} {
		var got []string
		line := trail(tc.source, tc.name, tc.more)
		whole := `{"Records": [` + line + `]}`
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		if _, err := w.Write([]byte(line + "\n")); err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		for _, in := range []string{line, whole, z.String()} {
			got = nil
			if err := CloudTrail(strings.NewReader(in), func(e Event) {
				s := e.Action + " " + e.Resource
				if e.Data {
					s += " data"
				}
				if e.Principal != "arn:aws:iam::123456789012:role/app" || e.Time.IsZero() {
					t.Errorf("%s: %+v", tc.name, e)
				}
				got = append(got, s)
			}); err != nil {
				t.Errorf("%s: %v", tc.name, err)
			}
			if strings.Join(got, "|") != tc.want {
				t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
			}
		}
	}
}

func TestALogThatCannotBeReadIsAnError(t *testing.T) {
	fine := trail("s3", "ListBuckets", "")
	none := func(Event) {}
	for name, in := range map[string]string{
		"a broken line":            fine + "\n{\"eventName\":",
		"a line of something else": fine + "\n{\"a\":1}",
		"a file that is cut off":   `{"Records":[` + fine,
		"a key twice":              `{"eventName":"a","eventName":"b","eventSource":"c"}`,
		"gzip that is cut off":     "\x1f\x8b\x08",
	} {
		if err := CloudTrail(strings.NewReader(in), none); err == nil {
			t.Errorf("%s is read", name)
		}
	}
	if err := CloudTrail(strings.NewReader(fine+"\n\n"+fine), none); err != nil {
		t.Errorf("empty lines: %v", err)
	}
	long := `{"eventName":"` + strings.Repeat("x", maxRecord) + `"}`
	if err := CloudTrail(strings.NewReader(long), none); err == nil {
		t.Error("a line beyond the limit is read")
	}
	if err := Gateway(strings.NewReader(`{"principal":"p","action":"a:b","resource":"r","time":"2026-11-01T10:00:00Z"}`), func(e Event) {
		if e.Principal != "p" || e.Action != "a:b" || e.Resource != "r" || !e.Data || e.Time.IsZero() {
			t.Errorf("%+v", e)
		}
	}); err != nil {
		t.Error(err)
	}
	if err := Gateway(strings.NewReader(`{"principal":"p"}`), none); err == nil {
		t.Error("a record without an action is read")
	}
	deep := `{"principal":"p","action":"a","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}"
	if err := Gateway(strings.NewReader(deep), none); !errors.Is(err, bounded.ErrTooDeep) {
		t.Errorf("a deep record: %v", err)
	}
}

// FuzzRead holds that no log, however broken, yields an event without a
// principal or an action.
func FuzzRead(f *testing.F) {
	f.Add([]byte(trail("s3", "CopyObject", `"requestParameters":{"bucketName":"b","key":"*"}`)))
	f.Add([]byte(`{"Records":[` + trail("lambda", "Invoke2015", `"requestParameters":[1]`) + `]}`))
	f.Add([]byte(`{"principal":"p","action":"a:b"}`))
	f.Add([]byte(`{"stage":"ResponseComplete","verb":"get","user":{"username":"u"},"objectRef":{"resource":"pods","subresource":"log"}}`))
	f.Add([]byte("\x1f\x8b\x08\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		check := func(e Event) {
			if e.Principal == "" || e.Action == "" {
				t.Fatalf("%+v", e)
			}
		}
		_ = CloudTrail(bytes.NewReader(data), check)
		_ = Gateway(bytes.NewReader(data), check)
		seen := func(a Access) {
			if a.User == "" || a.Verb == "" {
				t.Fatalf("%+v", a)
			}
		}
		_ = Audit(bytes.NewReader(data), seen)
		if format, err := Read(bytes.NewReader(data), check, seen); format == "" && err == nil && len(bytes.TrimSpace(data)) > 0 && data[0] != 0x1f {
			t.Fatal("a log of no format is read")
		}
	})
}

func TestTheContentTellsTheFormat(t *testing.T) {
	audit := `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"1","stage":"ResponseComplete","verb":"get","user":{"username":"u"},"objectRef":{"resource":"pods"}}`
	for _, tc := range []struct {
		name, log string
		want      Format
		calls     int
		fails     bool
	}{
		{"records of CloudTrail", trail("s3", "ListBuckets", "") + "\n" + trail("s3", "ListBuckets", ""), FormatCloudTrail, 2, false},
		{"a file of CloudTrail", "{\n \"Records\": [\n" + trail("s3", "ListBuckets", "") + "]}", FormatCloudTrail, 1, false},
		{"an audit log", audit + "\n\n" + audit, FormatAudit, 2, false},
		{"records of the gateway", `{"time":"2026-11-01T10:00:00Z","principal":"p","action":"a:b"}`, FormatGateway, 1, false},
		{"nothing", "\n\n", "", 0, false},
		{"something else", `{"a":1}`, "", 0, true},
		{"no object", `[1]`, "", 0, true},
		{"a log that goes on as another", audit + "\n" + trail("s3", "ListBuckets", ""), FormatAudit, 1, true},
	} {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		if _, err := w.Write([]byte(tc.log)); err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		for _, in := range []string{tc.log, z.String()} {
			n := 0
			format, err := Read(strings.NewReader(in), func(Event) { n++ }, func(Access) { n++ })
			if format != tc.want || n != tc.calls || tc.fails != (err != nil) {
				t.Errorf("%s: %q, %d calls, %v", tc.name, format, n, err)
			}
		}
	}
}
