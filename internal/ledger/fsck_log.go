package ledger

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	checkpointFile = logName + "/" + layout.CheckpointPath
	// The version of Tessera's layout.
	stateVersionFile = logName + "/.state/version"
	stateVersion     = "1"
)

// checkLog compares the log with the leaves that the segments give.
func (c *checker) checkLog() {
	if !c.present[checkpointFile] {
		// A crash while the log was made leaves it with an empty state at most.
		if len(c.tileFiles) > 0 || (c.present[treeStateFile] && c.checkState() > 0) {
			c.problem(checkpointFile, 0, "the file is missing")
		}
		return
	}
	data, ok := c.read(checkpointFile, maxCheckpoint)
	if !ok {
		return
	}
	signed, err := openCheckpoint(data, c.vkey)
	if err != nil {
		c.problem(checkpointFile, 0, "%v", err)
	} else {
		c.update(func(r *Report) { r.LogSize = signed.size })
		c.checkRoot(checkpointFile, signed.size, signed.root)
	}
	integrated := c.checkState()
	if err == nil && integrated < signed.size {
		c.problem(treeStateFile, 0, "the log's state has %d leaves, its checkpoint %d", integrated, signed.size)
	}
	expected := c.levels()
	for _, rel := range c.tileFiles {
		if c.ctx.Err() != nil {
			return
		}
		c.checkTile(rel, expected)
	}
	for _, t := range tlog.NewTiles(layout.TileHeight, 0, int64(min(max(signed.size, integrated), uint64(len(c.leaves))))) {
		c.wantTile(layout.TilePath(uint64(t.L), uint64(t.N), partial(t.W)), layout.TilePath(uint64(t.L), uint64(t.N), 0))
		if t.L == 0 {
			c.wantTile(layout.EntriesPath(uint64(t.N), partial(t.W)), layout.EntriesPath(uint64(t.N), 0))
		}
	}
}

func partial(width int) uint8 { return uint8(width % layout.TileWidth) }

// wantTile reports a tile that the log must serve; a full one serves for the
// partial one.
func (c *checker) wantTile(name, full string) {
	if !c.present[logName+"/"+name] && !c.present[logName+"/"+full] {
		c.problem(logName+"/"+name, 0, "the file is missing")
	}
}

func (c *checker) checkRoot(rel string, size uint64, root tlog.Hash) {
	if size > uint64(len(c.leaves)) {
		c.problem(rel, 0, "it covers %d segments, but only %d are here sealed", size, len(c.leaves))
		return
	}
	if treeRoot(c.leaves[:size]) != root {
		c.problem(rel, 0, "its root over %d segments is not the one that their records give", size)
	}
}

// checkState checks Tessera's state files and returns the size that they say.
func (c *checker) checkState() uint64 {
	if !c.present[stateVersionFile] {
		c.problem(stateVersionFile, 0, "the file is missing")
	} else if data, ok := c.read(stateVersionFile, 16); ok && string(data) != stateVersion {
		c.problem(stateVersionFile, 0, "it does not say version %s", stateVersion)
	}
	if !c.present[treeStateFile] {
		c.problem(treeStateFile, 0, "the file is missing")
		return 0
	}
	data, ok := c.read(treeStateFile, maxTreeState)
	if !ok {
		return 0
	}
	size, root, err := decodeTreeState(data)
	if err != nil {
		c.problem(treeStateFile, 0, "%v", err)
		return 0
	}
	c.checkRoot(treeStateFile, size, root)
	return size
}

// levels returns the hashes of all tile levels over all leaves; level n+1 has
// the roots of the full tiles of level n.
func (c *checker) levels() [][]tlog.Hash {
	all := [][]tlog.Hash{c.leaves}
	for below := c.leaves; len(below) >= layout.TileWidth; {
		level := make([]tlog.Hash, len(below)/layout.TileWidth)
		for i := range level {
			level[i] = treeRoot(below[i*layout.TileWidth : (i+1)*layout.TileWidth])
		}
		all = append(all, level)
		below = level
	}
	return all
}

// checkTile compares one file below log/tile with what it has to be. Leaves
// never change, so a superseded partial tile is a prefix of the full one, and a
// tile that was written and not yet signed for is that of a seal that exists.
func (c *checker) checkTile(rel string, expected [][]tlog.Hash) {
	level, rest, _ := strings.Cut(strings.TrimPrefix(rel, logName+"/tile/"), "/")
	if level == "entries" {
		n, width, err := layout.ParseTileIndexPartial(rest)
		if err != nil || logName+"/"+layout.EntriesPath(n, width) != rel {
			c.problem(rel, 0, "a file that is not part of a ledger")
			return
		}
		c.checkBundle(rel, n, width)
		return
	}
	l, n, width, err := layout.ParseTileLevelIndexPartial(level, rest)
	if err != nil || logName+"/"+layout.TilePath(l, n, width) != rel {
		c.problem(rel, 0, "a file that is not part of a ledger")
		return
	}
	data, ok := c.read(rel, layout.TileWidth*hashSize)
	if !ok {
		return
	}
	var have []tlog.Hash
	if l < uint64(len(expected)) {
		have = expected[l]
	}
	lo, hi, ok := span(n, width, len(have))
	if !ok {
		c.problem(rel, 0, "it holds hashes of segments that are not sealed")
		return
	}
	var want []byte
	for _, h := range have[lo:hi] {
		want = append(want, h[:]...)
	}
	c.compare(rel, data, want)
}

func (c *checker) checkBundle(rel string, n uint64, width uint8) {
	data, ok := c.read(rel, maxBundle)
	if !ok {
		return
	}
	lo, hi, ok := span(n, width, len(c.leafBytes))
	if !ok {
		c.problem(rel, 0, "it holds entries of segments that are not sealed")
		return
	}
	var want []byte
	for _, leaf := range c.leafBytes[lo:hi] {
		want = binary.BigEndian.AppendUint16(want, uint16(len(leaf)))
		want = append(want, leaf...)
	}
	c.compare(rel, data, want)
}

// span returns the leaves or hashes that tile n of a width (0: full) holds.
func span(n uint64, width uint8, have int) (lo, hi int, ok bool) {
	if n > uint64(have)/layout.TileWidth {
		return 0, 0, false
	}
	lo = int(n) * layout.TileWidth
	hi = lo + int(width)
	if width == 0 {
		hi = lo + layout.TileWidth
	}
	return lo, hi, hi <= have
}

func (c *checker) compare(rel string, data, want []byte) {
	if !bytes.Equal(data, want) {
		c.problem(rel, int64(mismatch(data, want)), "it differs from what the records give")
	}
}
