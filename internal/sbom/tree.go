package sbom

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

const (
	// maxNodes is how many files, folders and links a file system may have: three
	// times the largest images of conda environments. Each costs about 150 bytes.
	maxNodes = 1_000_000
	// maxHops is how many links are followed for one path, as Linux does.
	maxHops = 40
	// maxPath is PATH_MAX: a longer name cannot be unpacked.
	maxPath = 4096
	// maxName is NAME_MAX.
	maxName = 255
	// maxText bounds what all names and targets of links take together.
	maxText = 128 << 20
)

var (
	errNodes = fmt.Errorf("the file system has more than %d files and folders", maxNodes)
	errText  = fmt.Errorf("the names in the file system take more than %d MiB", maxText>>20)
	errLoop  = errors.New("too many links")
	errName  = fmt.Errorf("the name is longer than a file system takes (%d bytes, %d for a part)", maxPath, maxName)
)

type kind uint8

const (
	isFolder kind = iota
	isFile
	isLink
	isOther // devices and pipes: they have a name and nothing to read
)

// node is one name in a file system.
type node struct {
	kids   map[string]*node // of a folder; nil while it is empty
	target string           // of a link
	data   *data            // of a file; hard links share it
	layer  int32            // that brought the name, or that last listed the folder
	kind   kind
}

// data is the content of a file.
type data struct {
	size  int64
	at    int64 // where it was spooled, see spool; notKept when it was not
	layer int32 // that holds the bytes, and the number of their entry in it
	entry int32
	mode  fs.FileMode
}

// tree is a file system in memory, without the files' contents. Links are
// followed within it, as a program in the container would see them.
type tree struct {
	root  *node
	nodes int
	text  int

	// The folder that was asked for last: entries of an archive come by folder.
	lastDir   string
	lastCanon string
	lastNode  *node
}

func newTree() *tree { return &tree{root: &node{kind: isFolder}} }

// inTree makes any name one below the root: absolute names, "." and ".." stay
// inside, as runtimes unpack them.
func inTree(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// walk follows name from the root. Links on the way are followed, and the last
// one when follow is set. With create, folders that are missing are made and
// belong to the layer. canon is the path without links.
func (t *tree) walk(name string, follow, create bool, layer int32) (canon string, n *node, err error) {
	// Nearly all paths are short and hold no links: they cost no memory.
	var nameRoom [16]string
	var nodeRoom [17]*node
	names, nodes := nameRoom[:0], append(nodeRoom[:0], t.root)
	hops, straight := 0, true
	for rest := name; rest != ""; {
		part, after, _ := strings.Cut(rest, "/")
		rest = after
		switch part {
		case "", ".":
			straight = false
			continue
		case "..":
			straight = false
			if len(names) > 0 {
				names, nodes = names[:len(names)-1], nodes[:len(nodes)-1]
			}
			continue
		}
		at := nodes[len(nodes)-1]
		if at.kind != isFolder {
			return "", nil, fmt.Errorf("%s is not a folder: %w", strings.Join(names, "/"), fs.ErrNotExist)
		}
		kid := at.kids[part]
		switch {
		case kid == nil && !create:
			return "", nil, fs.ErrNotExist
		case kid == nil:
			if kid, err = t.put(at, part, &node{kind: isFolder, layer: layer}); err != nil {
				return "", nil, err
			}
		case kid.kind == isLink && (follow || rest != ""):
			straight = false
			if hops++; hops > maxHops || len(kid.target)+len(rest) > 2*maxPath {
				return "", nil, errLoop
			}
			if strings.HasPrefix(kid.target, "/") {
				names, nodes = names[:0], nodes[:1]
			}
			rest = kid.target + "/" + rest
			continue
		}
		names, nodes = append(names, part), append(nodes, kid)
	}
	if straight && !strings.HasSuffix(name, "/") {
		return name, nodes[len(nodes)-1], nil
	}
	return strings.Join(names, "/"), nodes[len(nodes)-1], nil
}

// put gives the folder a name; one that it has is replaced.
func (t *tree) put(folder *node, name string, n *node) (*node, error) {
	if len(name) > maxName || len(n.target) > maxPath {
		return nil, errName
	}
	if t.nodes++; t.nodes > maxNodes {
		return nil, errNodes
	}
	if t.text += len(name) + len(n.target); t.text > maxText {
		return nil, errText
	}
	if old := folder.kids[name]; old != nil {
		t.forget(old)
	}
	if folder.kids == nil {
		folder.kids = make(map[string]*node, 1)
	}
	// The name may be part of a long path that would stay in memory with it.
	folder.kids[strings.Clone(name)] = n
	return n, nil
}

// forget takes the node, and what is in it, from the count.
func (t *tree) forget(n *node) {
	t.nodes--
	t.lastNode = nil
	for _, kid := range n.kids {
		t.forget(kid)
	}
}

// parent returns the folder that the entry's name lies in, made if need be.
func (t *tree) parent(name string, layer int32) (canon string, folder *node, base string, err error) {
	dir, base := path.Split(name)
	if t.lastNode != nil && dir == t.lastDir {
		return t.lastCanon, t.lastNode, base, nil
	}
	canon, folder, err = t.walk(dir, true, true, layer)
	switch {
	case err != nil:
		return "", nil, "", err
	case folder.kind != isFolder:
		return "", nil, "", fmt.Errorf("%s is not a folder", canon)
	case len(canon)+1+len(base) > maxPath:
		return "", nil, "", errName
	}
	t.lastDir, t.lastCanon, t.lastNode = strings.Clone(dir), canon, folder
	return canon, folder, base, nil
}

// lookup finds what a program would find under the name.
func (t *tree) lookup(name string, follow bool) (canon string, n *node, err error) {
	return t.walk(name, follow, false, 0)
}

// remove deletes a name of the folder as far as layers below brought it
// (OCI image-spec, layer, "Whiteouts": they only apply to lower layers).
func (t *tree) remove(folder *node, name string, layer int32) {
	n := folder.kids[name]
	if n == nil {
		return
	}
	if n.kind == isFolder {
		t.empty(n, layer)
		if len(n.kids) > 0 {
			return
		}
	}
	if n.layer < layer {
		delete(folder.kids, name)
		t.forget(n)
	}
}

// empty removes from the folder what layers below brought.
func (t *tree) empty(folder *node, layer int32) {
	for name := range folder.kids {
		t.remove(folder, name, layer)
	}
}

// list returns the names in a folder, sorted; folders, and links to folders,
// end in a slash.
func (t *tree) list(name string) ([]string, error) {
	canon, n, err := t.lookup(name, true)
	if err != nil {
		return nil, err
	}
	if n.kind != isFolder {
		return nil, fmt.Errorf("%s is not a folder", canon)
	}
	out := make([]string, 0, len(n.kids))
	for base, kid := range n.kids {
		if kid.kind == isLink {
			if _, to, err := t.lookup(path.Join(canon, base), true); err == nil {
				kid = to
			}
		}
		if kid.kind == isFolder {
			base += "/"
		}
		out = append(out, base)
	}
	slices.Sort(out)
	return out, nil
}
