package lambda_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/target/lambda/lambdatest"
)

// After a start nothing is remembered: what runs is compared with the archive.
func TestAnArchiveIsProvenAnewAfterAStart(t *testing.T) {
	for name, c := range map[string]struct {
		checksums string
		calls     []string // of S3
		fault     *lambdatest.Fault
		deploys   bool
	}{
		"by the checksum that S3 keeps":                       {"FULL_OBJECT", []string{"HeadObject"}, nil, false},
		"by its bytes where S3 keeps none":                    {"", []string{"HeadObject", "GetObject"}, nil, false},
		"by its bytes where it was uploaded in parts":         {"COMPOSITE", []string{"HeadObject", "GetObject"}, nil, false},
		"by deploying it once where it may not be read":       {"", []string{"HeadObject"}, &lambdatest.Fault{Status: http.StatusForbidden, Code: "AccessDenied"}, true},
		"by deploying it once where it is gone from S3":       {"", []string{"HeadObject"}, &lambdatest.Fault{Status: http.StatusNotFound, Code: "NoSuchVersion"}, true},
		"by deploying it once where the bucket is redirected": {"", []string{"HeadObject"}, &lambdatest.Fault{Status: http.StatusMovedPermanently, Code: "PermanentRedirect"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w, server := fake(t, nil)
			put(t, w.target, theRole(t))
			o := theFunction(t, spec())
			put(t, w.target, o)
			server.Checksums(c.checksums)
			server.Fail(func(op string) *lambdatest.Fault {
				if strings.HasSuffix(op, "Object") {
					return c.fault
				}
				return nil
			})
			server.Writes()
			before, _ := server.Calls()
			again := open(t, w.url, nil)
			asDesired(t, o, put(t, again, o))
			var want []string
			if c.deploys {
				want = []string{"UpdateFunctionCode"}
			}
			if wrote := server.Writes(); !slices.Equal(wrote, want) {
				t.Errorf("it wrote %v, want %v", wrote, want)
			}
			after, _ := server.Calls()
			for _, op := range []string{"HeadObject", "GetObject"} {
				if n := after[op] - before[op]; n != len(slices.DeleteFunc(slices.Clone(c.calls), func(s string) bool { return s != op })) {
					t.Errorf("%d calls of %s, want %v", n, op, c.calls)
				}
			}
			// It is remembered: the next look asks S3 no more.
			asDesired(t, o, get(t, again, o))
			if then, _ := server.Calls(); then["HeadObject"] != after["HeadObject"] || then["GetObject"] != after["GetObject"] {
				t.Error("S3 is asked again")
			}
		})
	}
}

func TestCodeThatIsNotTheArchiveIsFoundAfterAStart(t *testing.T) {
	evil := strings.Repeat("x", len("PK archive code/captioner.zip@v1")) // as long as the archive
	for name, zip := range map[string]string{"of another size": "PK evil", "of the same size": evil} {
		t.Run(name, func(t *testing.T) {
			w, server := fake(t, nil)
			put(t, w.target, theRole(t))
			o := theFunction(t, spec())
			put(t, w.target, o)
			if _, err := w.lambda.UpdateFunctionCode(t.Context(), &awslambda.UpdateFunctionCodeInput{FunctionName: fn, ZipFile: []byte(zip)}); err != nil {
				t.Fatal(err)
			}
			before, _ := server.Calls()
			again := open(t, w.url, nil)
			if live := get(t, again, o); contains(o.Body["spec"], live.Body["spec"]) {
				t.Error("other code passes for the archive")
			}
			after, _ := server.Calls()
			if read := after["GetObject"] - before["GetObject"]; (read == 0) != (zip != evil) {
				t.Errorf("the archive was read %d times", read)
			}
			server.Writes()
			asDesired(t, o, put(t, again, o))
			if wrote := server.Writes(); !slices.Equal(wrote, []string{"UpdateFunctionCode"}) {
				t.Errorf("it wrote %v", wrote)
			}
		})
	}
}

// The tag is a claim: who changes it with the code is believed nothing.
func TestATagThatNamesAnotherArchiveOrNoneIsNotBelieved(t *testing.T) {
	for name, tag := range map[string]string{
		"the archive of the other code": "code/evil.zip@v9",
		"an access point of others":     "arn:aws:s3:eu-central-1:999999999999:accesspoint:evil/evil.zip@v9",
		"no archive":                    "evil",
	} {
		t.Run(name, func(t *testing.T) {
			w, server := fake(t, nil)
			put(t, w.target, theRole(t))
			o := theFunction(t, spec())
			put(t, w.target, o)
			if _, err := w.lambda.UpdateFunctionCode(t.Context(), &awslambda.UpdateFunctionCodeInput{FunctionName: fn, S3Bucket: aws.String("code"), S3Key: aws.String("evil.zip"), S3ObjectVersion: aws.String("v9")}); err != nil {
				t.Fatal(err)
			}
			if err := tagged(map[string]string{"apexlogic.com/code": tag})(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			before, _ := server.Calls()
			again := open(t, w.url, nil)
			if live := get(t, again, o); contains(o.Body["spec"], live.Body["spec"]) {
				t.Error("other code passes for the archive")
			}
			after, _ := server.Calls()
			if n := after["HeadObject"] - before["HeadObject"]; n != 0 && !strings.HasPrefix(tag, "code/") {
				t.Errorf("S3 was asked %d times", n)
			}
			asDesired(t, o, put(t, again, o))
		})
	}
}

func TestAnArchiveWithoutAVersionIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		version string
		want    error
	}{
		"without one":                          {"", gitops.ErrInvalid},
		"from a bucket that keeps no versions": {"null", gitops.ErrInvalid},
		"with one":                             {"3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRCxf3vjVBH40Nr8X8gdRQBpUMLUo"[:40], nil},
	} {
		t.Run(name, func(t *testing.T) {
			w, server := fake(t, nil)
			put(t, w.target, theRole(t))
			server.Writes()
			s := spec()
			s.Code.Version = c.version
			_, err := w.target.Apply(t.Context(), theFunction(t, s), gitops.ApplyOptions{})
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if wrote := server.Writes(); (len(wrote) > 0) != (c.want == nil) {
				t.Errorf("it wrote %v", wrote)
			}
		})
	}
}
