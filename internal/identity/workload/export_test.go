package workload

import "time"

// LookEvery makes streams look at the clock as often as a test can wait for.
func (s *Server) LookEvery(d time.Duration) { s.tick = d }
