package store_test

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/apexlogic/apex/internal/store"
)

// helper is the other process of a test.
func helper(role, url string) error {
	ctx := context.Background()
	before := cpu()
	if role == "migrate" {
		fmt.Println("ready")
		if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
			return err
		}
	}
	db, err := store.Open(ctx, url)
	if err != nil {
		return err
	}
	defer db.Close()
	switch role {
	case "first": // says what the first question costs a new process
		opened := cpu()
		if _, err := db.Exec(ctx, "SELECT 1"); err != nil {
			return err
		}
		_, err := fmt.Println((opened - before).Microseconds(), (cpu() - before).Microseconds())
		return err
	case "migrate":
		return db.Migrate(ctx, "things", steps)
	case "hang": // commits one change, then is killed inside the next
		if _, err := db.Exec(ctx, "UPDATE things SET size = size + 10"); err != nil {
			return err
		}
		return db.Tx(ctx, func(tx *store.Tx) error {
			if _, err := tx.Exec(ctx, "UPDATE things SET size = size + 100"); err != nil {
				return err
			}
			fmt.Println("inside")
			_, err := io.Copy(io.Discard, os.Stdin)
			return err
		})
	}
	return fmt.Errorf("unknown role %s", role)
}
