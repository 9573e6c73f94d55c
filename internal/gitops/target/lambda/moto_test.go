package lambda_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/apexlogic/apex/internal/gitops/target/lambda/lambdatest"
)

// moto starts somebody else's stand-in for AWS (github.com/getmoto/moto), which
// was written without this target in mind. It ends with the test.
func moto(t *testing.T) string {
	path, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("moto_server is not installed: pip install 'moto[server]'")
	}
	why := ""
	for range 5 { // somebody else may have taken the port meanwhile
		url, failed := motoAt(t, path)
		if failed == "" {
			return url
		}
		why = failed
	}
	t.Skipf("moto_server does not start: %s", why)
	return ""
}

// motoAt starts it on a port that was free a moment ago, and returns its address or
// why there is none.
func motoAt(t *testing.T, path string) (url, failed string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	c := exec.CommandContext(t.Context(), path, "-H", "127.0.0.1", "-p", fmt.Sprint(port))
	c.Env = append(os.Environ(), "MOTO_IAM_LOAD_MANAGED_POLICIES=true")
	c.Stdout, c.Stderr = &log, &log
	if err := c.Start(); err != nil {
		return "", err.Error()
	}
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	t.Cleanup(func() { _ = c.Process.Kill(); <-done })
	url = fmt.Sprintf("http://127.0.0.1:%d", port)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(2 * time.Minute)
	for {
		if r, err := http.Get(url + "/moto-api/data.json"); err == nil {
			_ = r.Body.Close()
			if r.StatusCode == http.StatusOK { // whoever else is there does not know the page
				return url, ""
			}
		}
		select {
		case err := <-done:
			done <- err
			return "", fmt.Sprintf("%v\n%s", err, log.String())
		case <-deadline:
			return "", "it does not answer"
		case <-ticker.C:
		}
	}
}

func TestEveryTamperIsFoundAndPutBackInMoto(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts moto_server, which takes a while")
	}
	w := inMoto(t)
	testTampers(t, w)
	// Whoever remembers nothing finds out what runs.
	o := victims(t, w)[onFunction]
	asDesired(t, o, get(t, open(t, w.url, nil), o))
}

// inMoto is a world in moto, with archives and a boundary.
func inMoto(t *testing.T) *world {
	t.Helper()
	w := worldAt(t, moto(t), nil)
	w.real = true
	archives(t, w)
	if _, err := w.iam.CreatePolicy(t.Context(), &iam.CreatePolicyInput{PolicyName: aws.String("bound"), PolicyDocument: aws.String(reading)}); err != nil {
		t.Fatal(err)
	}
	return w
}

// archives uploads them to a bucket that keeps versions.
func archives(t *testing.T, w *world) {
	t.Helper()
	c := w.s3()
	bucket := aws.String("code")
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket, CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: lambdatest.Region}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: bucket, VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled}}); err != nil {
		t.Fatal(err)
	}
	for key, version := range map[string]*string{"captioner.zip": &w.good, "evil.zip": &w.evil} {
		out, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: aws.String(key), Body: strings.NewReader("PK " + key)})
		if err != nil {
			t.Fatal(err)
		}
		*version = aws.ToString(out.VersionId)
	}
}
