package release

import (
	"context"

	"github.com/apexlogic/apex/verdict"
)

// metricsGate is closed while a metric is outside of its bounds, or is not known.
func metricsGate(ctx context.Context, q *question) Result {
	for i := range q.gate.Metrics {
		m := &q.gate.Metrics[i]
		if code, why := q.r.judge(ctx, Sample{Metric: m}); code != verdict.OK {
			return closed(code, "metrics[%d]: %s", i, why)
		}
	}
	return open()
}
