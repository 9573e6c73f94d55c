"""Reads bodies as servers in Python do: werkzeug's forms where it is installed,
else those of the standard library's cgi. In and out as peer.js has them."""
import base64, io, json, sys, warnings
warnings.simplefilter("ignore")

def b64(b):
    return base64.b64encode(b if isinstance(b, bytes) else b.encode()).decode()

def werkzeug_form(kind, data):
    from werkzeug.formparser import FormDataParser
    kind_only, params = __import__("werkzeug.http").http.parse_options_header(kind)
    _, form, files = FormDataParser(silent=False).parse(io.BytesIO(data), kind_only, len(data), params)
    out = [[k, None, b64(v)] for k, v in form.items(multi=True)]
    return out + [[k, f.filename, b64(f.stream.read())] for k, f in files.items(multi=True)]

def cgi_form(kind, data):
    import cgi
    fields = cgi.FieldStorage(fp=io.BytesIO(data), environ={"REQUEST_METHOD": "POST", "CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(data))}, keep_blank_values=True)
    return [[f.name, f.filename, b64(f.value)] for f in fields.list or []]

try:
    import werkzeug.formparser
    form = werkzeug_form
except ImportError:
    form = cgi_form
if sys.argv[1:] == ["cgi"]:
    form = cgi_form

def strings(value, at, out):
    if isinstance(value, str):
        out.append([at, None, b64(value)])
    elif isinstance(value, dict):
        for k, v in value.items():
            strings(v, at + "/" + k.replace("~", "~0").replace("/", "~1"), out)
    elif isinstance(value, list):
        for i, v in enumerate(value):
            strings(v, "%s/%d" % (at, i), out)
    return out

out = []
for c in json.load(sys.stdin):
    data = base64.b64decode(c["data"])
    try:
        out.append(strings(json.loads(data), "", []) if c["kind"].startswith("application/json") else form(c["kind"], data))
    except Exception:
        out.append(None)
print(json.dumps(out))
