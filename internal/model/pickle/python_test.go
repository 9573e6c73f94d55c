package pickle_test

import (
	"bytes"
	"encoding/binary"
	"os/exec"
	"testing"

	"github.com/apexlogic/apex/internal/model/pickle"
	"github.com/apexlogic/apex/internal/model/scan"
)

func examine(t testing.TB, content []byte) scan.Result {
	t.Helper()
	return scan.NewFormats(scan.Limits{}, pickle.Formats()...).Scan(t.Context(), scan.Bytes(content), scan.Options{})
}

// honest is a Python program that writes pickles of values that honest people
// keep, by every protocol: name, length, content.
const honest = `
import pickle, sys, struct, collections, datetime, decimal, fractions, uuid, pathlib, argparse, types, array, zoneinfo, re, functools, operator, io, enum, random, ipaddress, http, time, itertools, logging
class Net:
    def __init__(self): self.layers=[1,2]; self.name='net'
class Slots:
    __slots__=('a','b')
    def __init__(self): self.a=1; self.b='x'
class Color(enum.Enum):
    RED=1
Point=collections.namedtuple('Point','x y')
deep=[]
for _ in range(200): deep=[deep]
loop=[]; loop.append(loop)
values={
 'none':None,'bools':[True,False],'ints':[0,1,-1,255,256,65535,65536,2**31,2**40,-2**70,2**3000],'floats':[0.0,1.5,float('inf'),float('nan')],
 'text':['','a','é','\u0416','\U0001f600','line\nfeed','quo\'te"','\\u0041','x'*300,'os','system','__setstate__'],
 'bytes':[b'',b'a',bytes(range(256)),b'x'*300],'bytearray':bytearray(b'abc\xff'),'tuples':[(),(1,),(1,2),(1,2,3),(1,2,3,4)],
 'dicts':{'a':1,'b':{'c':[1,2,{'__class__':'Foo'}]}},'many':{str(i):i for i in range(3000)},'sets':[set(),{1,2},frozenset(),frozenset({'a'})],
 'ordered':collections.OrderedDict(a=1,b=2),'default':collections.defaultdict(list,{'a':[1]}),'defaultnone':collections.defaultdict(None),
 'counter':collections.Counter('hello'),'deque':collections.deque([1,2],maxlen=5),'chain':collections.ChainMap({'a':1}),
 'userdict':collections.UserDict(a=1),'nested default':collections.defaultdict(functools.partial(collections.defaultdict,int)),
 'datetimes':[datetime.datetime(2024,1,2,3,4,5),datetime.date(2024,1,2),datetime.time(1,2),datetime.timedelta(3),datetime.datetime.now(datetime.timezone.utc),datetime.timezone(datetime.timedelta(hours=2))],
 'decimal':decimal.Decimal('1.5'),'fraction':fractions.Fraction(1,3),'uuid':[uuid.UUID(int=5),uuid.uuid4()],
 'paths':[pathlib.Path('/tmp/a'),pathlib.PurePosixPath('a/b'),pathlib.PureWindowsPath('c:/x')],
 'namespace':argparse.Namespace(lr=0.1,opt='adam',path=pathlib.Path('x')),'simple':types.SimpleNamespace(a=1),
 'array':[array.array('d',[1.0,2.0]),array.array('b',[1])],'zone':zoneinfo.ZoneInfo('UTC'),'regex':re.compile('a+b*',re.I),
 'partial':functools.partial(int,base=2),'itemgetter':operator.itemgetter(1,'a'),'bytesio':io.BytesIO(b'abc'),'stringio':io.StringIO('abc'),
 'complex':1+2j,'slice':[slice(1,2,3),range(5)],'types':[int,str,dict,type(None),type(Ellipsis),type(NotImplemented)],'ellipsis':[Ellipsis,NotImplemented],
 'exception':[ValueError('x',1),KeyError('a')],'builtin functions':[len,max,abs],'enum':http.HTTPStatus.OK,'safeuuid':uuid.SafeUUID.safe,'reflag':re.I|re.M,
 'random':random.Random(3),'ip':[ipaddress.ip_address('1.2.3.4'),ipaddress.ip_network('10.0.0.0/8')],'struct_time':time.gmtime(0),
 'net':Net(),'nets':[Net(),Net()],'slots':Slots(),'point':Point(1,'a'),'points':[Point(i,i) for i in range(3)],'deep':deep,'loop':loop,'logger':logging.getLogger('x'),
 'state dict':collections.OrderedDict([('layer.%d.weight'%i,[0.5]*20) for i in range(40)]),
}
out=sys.stdout.buffer
for name,v in values.items():
    for p in range(6):
        try: b=pickle.dumps(v,p)
        except Exception as e: continue
        for impl,b in (('c',b),('py',pickle._dumps(v,p))):
            n=('%s %d %s'%(name,p,impl)).encode()
            out.write(struct.pack('<II',len(n),len(b))+n+b)
`

// python runs a program with python3, or skips the test where there is none.
func python(t *testing.T, program string, stdin []byte, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed: what CPython itself writes and reads was not compared")
	}
	cmd := exec.CommandContext(t.Context(), path, append([]string{"-c", program}, args...)...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("python3: %v\n%s", err, stderr.Bytes())
	}
	return out
}

func TestWhatPythonPicklesOfHonestValuesIsClean(t *testing.T) {
	out := python(t, honest, nil)
	seen := 0
	for len(out) > 0 {
		name, size := binary.LittleEndian.Uint32(out), binary.LittleEndian.Uint32(out[4:])
		out = out[8:]
		label, content := string(out[:name]), out[name:name+size]
		out = out[name+size:]
		seen++
		if res := examine(t, content); res.Verdict != scan.Clean {
			t.Errorf("%s: %v %v", label, res.Verdict, res.Findings)
		}
	}
	if seen < 400 {
		t.Errorf("only %d pickles", seen)
	}
}
