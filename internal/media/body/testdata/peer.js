// Reads bodies as servers in Node do. In: a list of {kind, data in base64}; out: for
// each the fields [name, file name or null, value in base64] of a form, or the
// strings [pointer, null, value] of a document; null for what is refused.
const fs = require('fs')
const base64 = (s) => Buffer.from(s).toString('base64')

async function form({ kind, data }) {
  const read = await new Response(Buffer.from(data, 'base64'), { headers: { 'content-type': kind } }).formData()
  const out = []
  for (const [name, value] of read) {
    if (typeof value === 'string') out.push([name, null, base64(value)])
    else out.push([name, value.name, base64(Buffer.from(await value.arrayBuffer()))])
  }
  return out
}

function strings(value, at, out) {
  if (typeof value === 'string') out.push([at, null, base64(value)])
  else if (value && typeof value === 'object') for (const key of Object.keys(value)) strings(value[key], at + '/' + key.replaceAll('~', '~0').replaceAll('/', '~1'), out)
  return out
}

async function main() {
  const out = []
  for (const c of JSON.parse(fs.readFileSync(0))) {
    try {
      if (c.kind.startsWith('application/json')) out.push(strings(JSON.parse(Buffer.from(c.data, 'base64').toString()), '', []))
      else out.push(await form(c))
    } catch { out.push(null) }
  }
  console.log(JSON.stringify(out))
}
main()
