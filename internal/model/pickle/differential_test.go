package pickle

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
)

// unpickle runs streams by both of CPython's unpicklers, with a find_class
// that notes the names and returns a class which takes everything.
const unpickle = `
import pickle, sys, struct, io, resource
resource.setrlimit(resource.RLIMIT_AS,(1<<29,1<<29)) # lengths are random too
class D:
    def __new__(c,*a,**k): return object.__new__(D)
    def __init__(s,*a,**k): pass
    def __call__(s,*a,**k): return D()
    def append(s,x): pass
    def extend(s,x): pass
    def add(s,x): pass
    def __setitem__(s,k,v): pass
    def __setstate__(s,x): pass
    def __hash__(s): return 1
def run(base,b):
    seen=[]
    class U(base):
        def find_class(self,m,n): seen.append(m+' '+n); return D
        def persistent_load(self,i): return D()
    f=io.BytesIO(b)
    try:
        while True: U(f,buffers=[b'x']*9).load()
    except BaseException: pass
    return seen
data=sys.stdin.buffer.read()
out=sys.stdout.buffer
while data:
    n,=struct.unpack('<I',data[:4]); b=data[4:4+n]; data=data[4+n:]
    seen='\n'.join(sorted(set(run(pickle.Unpickler,b)+run(pickle._Unpickler,b)))).encode('utf8','surrogatepass')
    out.write(struct.pack('<I',len(seen))+seen)
`

// stream writes opcodes at random: mostly what pushes, and names to import.
func stream(random *rand.Rand) []byte {
	one := func(of ...string) string { return of[random.IntN(len(of))] }
	index := func() string { return string([]byte{byte(random.IntN(4))}) }
	names := []string{"os", "system", "a.b", "é", "x y", ""}
	b := []byte(one("\x80\x02", "\x80\x04", "\x80\x05", "\x80\x00", ""))
	for range 4 + random.IntN(40) {
		name := one(names...)
		var op string
		switch random.IntN(24) {
		case 0, 1:
			op = "c" + name + "\n" + one(names...) + one("\n", "\n", "\n", "\r\n")
		case 2, 3, 4:
			op = "\x8c" + string([]byte{byte(len(name))}) + name
		case 5:
			op = "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(name)))) + name
		case 6:
			op = one("S'"+name+"'\n", "S\"\\x6f\\163\"\n", "V\\u006fs\n", "V"+name+"\n", "S'a\n", "S'o\\\ns'\n", "V\\\\u0041\n", "S'\\x4'\n")
		case 7:
			op = "\x93"
		case 8:
			op = one("(", "(", "1", "0", "2")
		case 9:
			op = one("t", "l", "d", "\x91")
		case 10:
			op = one(")", "]", "}", "\x8f", "\x85", "\x86", "\x87")
		case 11:
			op = one("R", "\x81", "\x92", "o", "b")
		case 12:
			op = one(")R", ")\x81", "}b", "}b", "N0")
		case 13:
			op = one("q"+index(), "h"+index(), "\x94", "\x94", "p1\n", "g1\n", "g 2\n", "p0_3\n", "p+2\n", "p-1\n", "g1\x00z\n", "r\x02\x00\x00\x00", "j\x03\x00\x00\x00")
		case 14:
			op = one("I1\n", "I01\n", "I 7\n", "I0x1f\n", "L5L\n", "L-5\n", "F1e5\n", "F nan\n", "Iz\n", "I1_0\n", "L\n")
		case 15:
			op = one("K\x01", "M\x01\x02", "J\x01\x02\x03\x04", "N", "\x88", "\x89", "G12345678", "\x8a\x02ab", "\x8b\x01\x00\x00\x00a", "\x8a\x00")
		case 16:
			op = one("a", "e", "s", "u", "\x90")
		case 17:
			op = one("]Na", "](NNe", "}NNs", "}(NNu", "\x8f(K\x01\x90")
		case 18:
			op = one("\x97", "\x98", "\x97\x98", "\x96\x02\x00\x00\x00\x00\x00\x00\x00ab")
		case 19:
			op = one("P1\n", "NQ", "P\xff\n", "(Q")
		case 20:
			op = "\x95" + string(binary.LittleEndian.AppendUint64(nil, uint64(random.IntN(60))))
		case 21:
			op = "(" + one("i", "Ni", "NNi") + name + "\n" + one(names...) + "\n"
		case 22:
			op = one("C\x02ab", "B\x02\x00\x00\x00ab", "T\x02\x00\x00\x00os", "U\x02os", "\x8e\x01\x00\x00\x00\x00\x00\x00\x00a", "\x8d\x02\x00\x00\x00\x00\x00\x00\x00os")
		case 23:
			op = one(".", "N.", "\x80\x03", "\x80\x09", "\xff")
			if random.IntN(4) > 0 {
				op = ""
			}
		}
		b = append(b, op...)
	}
	return append(b, "N."...)
}

func TestWhateverCPythonImportsIsSeen(t *testing.T) {
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed: what CPython imports from broken pickles was not compared")
	}
	random := rand.New(rand.NewPCG(7, 11))
	var stdin []byte
	streams := make([][]byte, 20_000)
	for i := range streams {
		streams[i] = stream(random)
		stdin = append(binary.LittleEndian.AppendUint32(stdin, uint32(len(streams[i]))), streams[i]...)
	}
	cmd := exec.CommandContext(t.Context(), path, "-c", unpickle)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	imports, reached := 0, 0
	for _, content := range streams {
		n := binary.LittleEndian.Uint32(out)
		seen := string(out[4 : 4+n])
		out = out[4+n:]
		ours, crossed := map[string]bool{}, false
		format := scan.Format{Name: "all", Claim: func(*scan.File) bool { return true }, Scan: func(p *scan.Place, f *scan.File) error {
			in := newInput(p, f)
			for {
				m := newMachine(p, in)
				end := m.run()
				for _, f := range m.found {
					crossed = crossed || f.rule == ruleCrossed
				}
				for key := range m.index {
					ours[strings.Replace(key, "\n", " ", 1)] = true
				}
				if !end.stopped {
					return nil
				}
				in.seek(end.at)
			}
		}}
		scan.NewFormats(scan.Limits{}, format).Scan(t.Context(), scan.Bytes(content), scan.Options{})
		for name := range strings.SplitSeq(seen, "\n") {
			if name == "" {
				continue
			}
			imports++
			if !ours[name] && !crossed {
				t.Fatalf("%q imports %q; seen are %v", content, name, ours)
			}
		}
		if seen != "" {
			reached++
		}
	}
	if imports < 5_000 || reached < 4_000 {
		t.Errorf("only %d imports in %d streams", imports, reached)
	}
}
