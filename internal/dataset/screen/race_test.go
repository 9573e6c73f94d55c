//go:build race

package screen

// raced says that the race detector is on. It makes arithmetic ten times
// slower, and the figures of the methods do not depend on it.
const raced = true
