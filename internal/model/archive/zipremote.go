package archive

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

// What reading one archive over a network may take. Claims and the directory
// take up to five requests, and the formats inside some of their own.
const (
	remoteList    = 5 << 20  // the longest directory
	remoteRuns    = 6        // requests for runs of small members
	remoteBytes   = 9 << 20  // in all of them
	remoteMember  = 8 << 20  // longest packed member that is fetched whole
	remoteBig     = 3        // big stored members that formats may look into
	remoteJoin    = 64 << 10 // gap between members that is fetched rather than skipped, at first
	remoteJoinMax = 4 << 20
)

// runs serves what was fetched from memory, and the rest from the network.
type runs struct {
	from *scan.File
	have []run // by offset
}

type run struct {
	at   int64
	data []byte
}

// ReadAt implements io.ReaderAt.
func (r *runs) ReadAt(b []byte, off int64) (int, error) {
	for _, one := range r.have {
		if off >= one.at && off+int64(len(b)) <= one.at+int64(len(one.data)) {
			return copy(b, one.data[off-one.at:]), nil
		}
	}
	return r.from.ReadAt(b, off)
}

func (r *runs) fetch(p *scan.Place, from, to int64) error {
	if _, err := p.Hold(to - from); err != nil {
		return err
	}
	b, err := r.from.Read(from, to-from)
	if err == nil {
		r.have = append(r.have, run{from, b})
	}
	return err
}

func (r *runs) covers(from, to int64) bool {
	return slices.ContainsFunc(r.have, func(one run) bool { return from >= one.at && to <= one.at+int64(len(one.data)) })
}

// remote reads an archive behind a network: the directory, and in a few runs
// the members that can hold code. Stored tensors of torch, which no loader
// takes for anything else, are left; whatever else was not read keeps the file
// from being called clean.
func (z *zipFile) remote(main end) error {
	network := &runs{from: z.f}
	z.f = scan.NewFile(network, z.f.Size()).Dear()
	if main.recordsEnd-main.start > remoteList {
		z.p.Report(ruleZipUnread, scan.At(main.start), fmt.Sprintf("its directory is longer than %d bytes", remoteList))
		return nil
	}
	if err := network.fetch(z.p.Place, min(max(z.f.Size()-zipTail, 0), main.start), z.f.Size()); err != nil {
		return err
	}
	found, strays, err := ends(z.f)
	if err != nil || len(found) == 0 {
		return cmp.Or(err, io.ErrUnexpectedEOF)
	}
	all, _, _, err := main.entries(z.p.Place, z.f)
	if err != nil && !isDirectoryError(err) {
		return err
	}
	order := make([]int, len(all))
	for i := range all {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(all[a].local, all[b].local) })
	ends := make([]int64, len(all)) // where each member's bytes end at the latest
	for i, at := range order {
		ends[at] = main.start
		if i+1 < len(order) {
			ends[at] = all[order[i+1]].local
		}
		if wide := all[at].local + localSize + 2*(1<<16) + all[at].packed; ends[at] > wide || ends[at] < all[at].local {
			ends[at] = wide
		}
		ends[at] = min(ends[at], z.f.Size())
	}
	if err := network.small(z.p.Place, all, order, ends); err != nil {
		return err
	}
	weights, unread, big := z.keep(network, all, ends)
	if weights > 0 {
		z.p.Report(ruleZipNotRead, scan.Nowhere, fmt.Sprintf("%d stored tensors were not read", weights))
	}
	if unread > 0 {
		z.p.Report(ruleZipUnread, scan.Nowhere, fmt.Sprintf("%d members that can hold code were not read", unread))
	}
	if err := z.listed(main, all, func(i int) bool {
		return network.covers(all[i].local, ends[i]) || slices.Contains(big, i)
	}); err != nil {
		return err
	}
	if err := z.others(found, strays); err != nil {
		return err
	}
	if len(order) > 0 && all[order[0]].local > 0 {
		z.p.Report(prefixRule(z.f, all[order[0]].local), scan.At(0), fmt.Sprintf("the first member begins at byte %d", all[order[0]].local))
	}
	z.backslashes()
	z.bomb()
	z.comment(main)
	if err := z.kind(); err != nil {
		return err
	}
	for _, r := range z.queue {
		if err := z.read(r); err != nil {
			return err
		}
	}
	return trailing(z.p.Place, z.f, main.after, ruleZipTrailing)
}

// listed checks what the directory says of all members, and those that are
// read against their own headers.
func (z *zipFile) listed(main end, all []entry, isRead func(int) bool) error {
	z.main, z.noCRC = all, withoutCRC(all)
	z.spans = append(z.spans, span{main.start, main.start + main.size}, span{main.recordsEnd, main.after})
	for i := range all {
		if isRead(i) {
			if err := z.member(&all[i], main.base); err != nil {
				return err
			}
			continue
		}
		if err := z.p.Spend(scan.CostMember); err != nil {
			return err
		}
		z.checkEntry(&all[i])
		z.spans = append(z.spans, span{all[i].local, all[i].local + all[i].packed})
	}
	z.through(all)
	return nil
}

// keep sorts out what was not fetched: tensors, members that are lost, and
// those stored ones that formats can look into by themselves.
func (z *zipFile) keep(network *runs, all []entry, ends []int64) (weights, unread int, big []int) {
	for i := range all {
		switch e := &all[i]; {
		case e.isDir() || network.covers(e.local, ends[i]):
		case isStorage(e):
			weights++
		case e.method == methodStored && e.packed > smallMember && len(big) < remoteBig:
			big = append(big, i)
		default:
			unread++
		}
	}
	return weights, unread, big
}

// isStorage says whether a member is the bytes of a tensor as torch names and
// stores them: "archive/data/17", or the weights of a torch.export package.
func isStorage(e *entry) bool {
	if e.method != methodStored || e.packed != e.size {
		return false
	}
	at := strings.LastIndex(e.name, "data/")
	if at < 1 || e.name[at-1] != '/' {
		return false
	}
	number := e.name[at+len("data/"):]
	return number != "" && strings.Trim(number, "0123456789") == ""
}

// small fetches the members that can hold code, near ones together, in as few
// requests as it takes.
func (r *runs) small(p *scan.Place, all []entry, order []int, ends []int64) error {
	var want []span
	for _, i := range order {
		e := &all[i]
		limit := int64(smallMember)
		if e.method != methodStored || strings.HasSuffix(e.name, ".pkl") {
			limit = remoteMember
		}
		if e.isDir() || isStorage(e) || e.packed > limit || e.local < 0 || ends[i] <= e.local || r.covers(e.local, ends[i]) {
			continue
		}
		want = append(want, span{e.local, ends[i]})
	}
	var joined []span
	for gap := int64(remoteJoin); ; gap *= 4 {
		joined = join(want, gap)
		if len(joined) <= remoteRuns || gap >= remoteJoinMax {
			break
		}
		if total(join(want, gap*4)) > remoteBytes {
			break
		}
	}
	const slack = 512 // headers are read in blocks
	var bytes int64
	for i, s := range joined {
		if bytes += s.end - s.start; i >= remoteRuns || bytes > remoteBytes {
			return nil // what was not fetched is reported
		}
		if err := r.fetch(p, s.start, min(s.end+slack, r.from.Size())); err != nil {
			return err
		}
	}
	return nil
}

// join joins spans, which are sorted, over gaps of at most so many bytes.
func join(spans []span, gap int64) (joined []span) {
	for _, s := range spans {
		if n := len(joined); n > 0 && s.start-joined[n-1].end <= gap {
			joined[n-1].end = max(joined[n-1].end, s.end)
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

func total(spans []span) (n int64) {
	for _, s := range spans {
		n += s.end - s.start
	}
	return n
}
