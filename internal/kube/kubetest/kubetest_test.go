package kubetest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

func TestMain(m *testing.M) { Main(m) }

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

func configMap(name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name},
	}}
}

func TestTestsOfOneBinaryShareAServerAndHaveTheirOwnNamespaces(t *testing.T) {
	a, b := Start(t), Start(t)
	if a != b {
		t.Fatal("two servers")
	}
	x, y := a.Namespace(t), b.Namespace(t)
	for _, namespace := range []string{x, y} { // the same name in both
		if _, err := a.Dynamic(t).Resource(configMaps).Namespace(namespace).Create(t.Context(), configMap("a"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAUserWithoutRightsIsRefused(t *testing.T) {
	s := Start(t)
	config := s.As("nobody")
	if config.Impersonate.UserName != "nobody" || s.Config().Impersonate.UserName != "" {
		t.Fatal("a configuration is shared")
	}
	client := dynamicFor(t, config)
	if _, err := client.Resource(configMaps).Namespace("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Fatalf("nobody may list: %v", err)
	}
	if _, err := s.Dynamic(t).Resource(configMaps).Namespace("default").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Fatalf("the administrator may not list: %v", err)
	}
}

func TestARestartKeepsWhatIsStoredAndACompactionEndsOldWatches(t *testing.T) {
	s := Start(t, Own())
	client := s.Dynamic(t).Resource(configMaps).Namespace("default")
	first, err := client.Create(t.Context(), configMap("first"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Create(t.Context(), configMap("second"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.Compact(t)
	s.Restart(t)
	if _, err := client.Get(t.Context(), "first", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	w, err := client.Watch(t.Context(), metav1.ListOptions{ResourceVersion: first.GetResourceVersion()})
	if err == nil {
		defer w.Stop()
		select {
		case e := <-w.ResultChan():
			err = apierrors.FromObject(e.Object)
		case <-time.After(time.Minute):
			t.Fatal("the watch says nothing")
		}
	}
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		t.Fatalf("a watch from a forgotten revision: %v", err)
	}
}

func TestKnativeAndKServeKindsAreServedWithTheirSchemas(t *testing.T) {
	s := Start(t)
	s.InstallCRDs(t, KServe())
	namespace := s.Namespace(t)
	service := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": map[string]any{"name": "m"},
		"spec": map[string]any{"predictor": map[string]any{"canaryTrafficPercent": int64(110)}},
	}}
	client := s.Dynamic(t).Resource(schema.GroupVersionResource{Group: "serving.kserve.io", Version: "v1beta1", Resource: "inferenceservices"}).Namespace(namespace)
	if _, err := client.Create(t.Context(), service, metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Fatalf("110 percent: %v", err)
	}
	_ = unstructured.SetNestedField(service.Object, int64(10), "spec", "predictor", "canaryTrafficPercent")
	if _, err := client.Create(t.Context(), service, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}

	s.InstallCRDs(t, Knative(t)...)
	s.InstallCRDs(t, KServe()) // again: that is no error
	knativeService := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": map[string]any{"name": "f"},
		"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"image": "example.com/f"}}}}},
	}}
	_, err := s.Dynamic(t).Resource(schema.GroupVersionResource{Group: "serving.knative.dev", Version: "v1", Resource: "services"}).
		Namespace(namespace).Create(t.Context(), knativeService, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// The test starts itself again as a process that starts a server, says where,
// and is killed: nothing can be tidied up by then.
func TestTheServerDiesWithTheTestBinary(t *testing.T) {
	if os.Getenv(assets) == "" {
		t.Skipf("%s is not set", assets)
	}
	if report := os.Getenv("KUBETEST_REPORT"); report != "" {
		s := Start(t, Own())
		pipe := os.NewFile(3, "report")
		_, _ = pipe.WriteString(s.dir + "\n")
		select {} // killed here
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestTheServerDiesWithTheTestBinary$")
	cmd.Env = append(os.Environ(), "KUBETEST_REPORT=1")
	cmd.ExtraFiles = []*os.File{write}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	line := make([]byte, 4096)
	n, err := read.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	dir := strings.TrimSpace(string(line[:n]))
	defer os.RemoveAll(dir)
	pids := children(t, cmd.Process.Pid)
	if len(pids) != 2 {
		t.Fatalf("children %v, want etcd and kube-apiserver", pids)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for _, pid := range pids {
		for ctx.Err() == nil && running(pid, dir) {
			<-time.After(10 * time.Millisecond)
		}
	}
	if ctx.Err() != nil {
		t.Fatal("a child lives on")
	}
}

func children(t *testing.T, parent int) []string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		t.Skip("no /proc to look at")
	}
	var found []string
	for _, file := range stats {
		data, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) || err != nil {
			continue
		}
		fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			found = append(found, filepath.Base(filepath.Dir(file)))
		}
	}
	return found
}

// running says whether the process is there and was started for the folder.
func running(pid, dir string) bool {
	data, err := os.ReadFile("/proc/" + pid + "/cmdline")
	return err == nil && strings.Contains(string(data), dir)
}

func dynamicFor(t *testing.T, config *rest.Config) dynamic.Interface {
	t.Helper()
	c, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
