package heal

import (
	"encoding/json"
	"time"

	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// copied returns a deep copy of a body.
func copied(body map[string]any) (map[string]any, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	return out, utiljson.Unmarshal(data, &out)
}

// unix returns the time that an entry keeps in eight bytes.
func unix(nanoseconds int64) time.Time { return time.Unix(0, nanoseconds).UTC() }
