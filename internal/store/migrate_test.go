package store_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/apexlogic/apex/internal/store"
	"github.com/apexlogic/apex/internal/store/storetest"
)

// helperEnv makes the test binary play another process of the same program.
const helperEnv = "APEX_STORE_TEST_HELPER"

func TestMain(m *testing.M) {
	if role, url, ok := strings.Cut(os.Getenv(helperEnv), " "); ok {
		if err := helper(role, url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	storetest.Main(m)
}

// steps would fail if any of them ran twice or out of order.
var steps = []store.Migration{
	{Number: 1, Name: "create things", SQL: "CREATE TABLE things (id TEXT PRIMARY KEY, body {{blob}}); CREATE INDEX things_id ON things (id);"},
	{Number: 2, Name: "add size", SQL: "ALTER TABLE things ADD COLUMN size BIGINT NOT NULL DEFAULT 0"},
	{Number: 3, Name: "fill", SQL: "INSERT INTO things (id, size) VALUES ('first', 1)"},
	{Number: 4, Name: "count on", SQL: "UPDATE things SET size = size + 1"},
}

func wantThings(t *testing.T, db *store.DB, want int) {
	t.Helper()
	var size int
	if err := db.QueryRow(t.Context(), "SELECT size FROM things WHERE id = 'first'").Scan(&size); err != nil {
		t.Fatal(err)
	}
	if size != want {
		t.Errorf("size = %d, want %d", size, want)
	}
}

func TestMigrateAppliesWhatIsMissing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, upTo := range []int{2, 4, 4} {
			if err := db.Migrate(t.Context(), "things", steps[:upTo]); err != nil {
				t.Fatal(err)
			}
		}
		wantThings(t, db, 2)
		other := []store.Migration{{Number: 1, Name: "other", SQL: "CREATE TABLE other (id TEXT)"}}
		if err := db.Migrate(t.Context(), "another room", other); err != nil {
			t.Fatalf("rooms are numbered on their own: %v", err)
		}
	})
}

func TestMigrateRefuses(t *testing.T) {
	edited := append([]store.Migration{}, steps...)
	edited[1].SQL += " "
	broken := append([]store.Migration{}, steps...)
	broken[3].SQL = "UPDATE things SET size = 100; UPDATE nothing SET a = 1"
	tests := []struct {
		name       string
		first      []store.Migration
		migrations []store.Migration
		is         error
		says       string
		size       int // what is there afterwards
	}{
		{"a migration that was edited after it was applied", steps, edited, store.ErrEdited, "migration 2 (add size)", 2},
		{"a database that is newer than the program", steps, steps[:3], store.ErrNewer, "it is at migration 4 (count on), this program knows 3", 2},
		{"a migration that fails, whole", steps[:3], broken, nil, "migration 4 (count on)", 1},
		{"numbers with a gap", steps, append(steps[:2:2], steps[3]), nil, "has number 4, expected 3", 2},
		{"a token that is not known", steps, append(steps[:4:4], store.Migration{Number: 5, SQL: "CREATE TABLE x (a {{clob}})"}), nil, "{{clob}}", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				if err := db.Migrate(t.Context(), "things", tt.first); err != nil {
					t.Fatal(err)
				}
				err := db.Migrate(t.Context(), "things", tt.migrations)
				if err == nil || !strings.Contains(err.Error(), tt.says) || (tt.is != nil && !errors.Is(err, tt.is)) {
					t.Fatalf("got %v, want %v saying %q", err, tt.is, tt.says)
				}
				wantThings(t, db, tt.size)
				if err := db.Migrate(t.Context(), "things", steps); err != nil { // the twin
					t.Fatal(err)
				}
				wantThings(t, db, 2)
			})
		})
	}
}

func TestMigrateRefusesAHoleInTheRecord(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		if err := db.Migrate(t.Context(), "things", steps); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(t.Context(), "DELETE FROM apex_migrations WHERE number = 2"); err != nil {
			t.Fatal(err)
		}
		if err := db.Migrate(t.Context(), "things", steps); err == nil || !strings.Contains(err.Error(), "migration 2 is missing") {
			t.Errorf("got %v", err)
		}
	})
}

func TestEightGoroutinesMigrateAtOnce(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		var wg sync.WaitGroup
		for range 8 {
			db := storetest.Open(t, url)
			wg.Go(func() {
				if err := db.Migrate(t.Context(), "things", steps); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		wantThings(t, storetest.Open(t, url), 2)
	})
}

func TestThreeProcessesMigrateAtOnce(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		var wg sync.WaitGroup
		start := make([]io.Closer, 3)
		for i := range start {
			cmd, stdin, stdout := process(t, "migrate", url)
			start[i] = stdin
			if line, err := stdout.ReadString('\n'); line != "ready\n" {
				t.Fatalf("process said %q, %v", line, err)
			}
			wg.Go(func() {
				if err := cmd.Wait(); err != nil {
					t.Error(err)
				}
			})
		}
		for _, s := range start { // all are up: let them go together
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		wg.Wait()
		wantThings(t, storetest.Open(t, url), 2)
	})
}

func TestAProcessThatIsKilledLeavesWholeTransactions(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url)
		if err := db.Migrate(t.Context(), "things", steps[:3]); err != nil {
			t.Fatal(err)
		}
		cmd, _, stdout := process(t, "hang", url)
		if line, err := stdout.ReadString('\n'); line != "inside\n" {
			t.Fatalf("process said %q, %v", line, err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if err := db.Migrate(t.Context(), "things", steps); err != nil {
			t.Fatal(err)
		}
		// 1 from step 3; 10 that the process committed; step 4; nothing of what it had begun.
		wantThings(t, db, 12)
	})
}

func process(t testing.TB, role, url string) (*exec.Cmd, io.WriteCloser, *bufio.Reader) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), helperEnv+"="+role+" "+url)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, stdin, bufio.NewReader(stdout)
}
