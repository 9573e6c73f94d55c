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
)

// moto starts somebody else's stand-in for AWS (github.com/getmoto/moto), which
// was written without this target in mind. It ends with the test.
func moto(t *testing.T) string {
	path, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("moto_server is not installed: pip install 'moto[server]'")
	}
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
		t.Skipf("moto_server does not start: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	t.Cleanup(func() { _ = c.Process.Kill(); <-done })
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(time.Minute)
	for {
		if r, err := http.Get(url + "/moto-api/data.json"); err == nil {
			_ = r.Body.Close()
			return url
		}
		select {
		case err := <-done:
			done <- err
			t.Skipf("moto_server does not start: %v\n%s", err, log.String())
		case <-deadline:
			t.Skip("moto_server does not answer")
		case <-ticker.C:
		}
	}
}

func TestEveryTamperIsFoundAndPutBackInMoto(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts moto_server, which takes a while")
	}
	w := worldAt(t, moto(t), nil)
	w.real = true
	for _, object := range []string{"/code", "/code/captioner.zip", "/code/evil.zip"} {
		content := "PK " + object
		if object == "/code" {
			content = `<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>`
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, w.url+object, strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20261123/eu-central-1/s3/aws4_request, SignedHeaders=host, Signature=0")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("PUT %s: %s", object, answer.Status)
		}
	}
	if _, err := w.iam.CreatePolicy(t.Context(), &iam.CreatePolicyInput{PolicyName: aws.String("bound"), PolicyDocument: aws.String(reading)}); err != nil {
		t.Fatal(err)
	}
	testTampers(t, w)
}
