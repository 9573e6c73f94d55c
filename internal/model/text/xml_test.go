package text_test

import (
	"fmt"
	"strings"
	"testing"
)

const pmml = `<?xml version="1.0" encoding="UTF-8"?>%s<PMML version="4.4" xmlns="http://www.dmg.org/PMML-4_4"><Header/><DataDictionary>%s</DataDictionary></PMML>`

func TestExternalEntities(t *testing.T) {
	doc := func(doctype, inside string) string { return fmt.Sprintf(pmml, doctype, inside) }
	check(t, []sample{
		{"a model", doc("", `<DataField name="x"/><Extension name="note" value="y"/>`), "clean pmml"},
		{"a model in UTF-16", string(wide("\ufeff" + doc("", ""))), "clean pmml"},
		{"another document", `<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><graph/></graphml>`, "clean xml"},
		{"a known grammar", `<?xml version="1.0"?><!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd"><plist><dict/></plist>`, "clean xml"},
		{"entities of text", doc(`<!DOCTYPE PMML [<!ENTITY a "b"><!ELEMENT x ANY>]>`, "&a;"), "clean pmml"},
		{"other letters", "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>\xe9</a>", "clean xml"},
		{"a file", doc(`<!DOCTYPE PMML [<!ENTITY xxe SYSTEM "file:///etc/passwd">]>`, "&xxe;"), "malicious pmml pmml.xxe"},
		{"an address", doc(`<!DOCTYPE r [<!ENTITY x PUBLIC "id" "http://127.0.0.1/">]>`, "&x;"), "malicious pmml pmml.xxe"},
		{"a parameter entity", doc(`<!DOCTYPE r [<!ENTITY % x SYSTEM "http://127.0.0.1/x.dtd"> %x;]>`, ""), "malicious pmml pmml.xxe"},
		{"a grammar elsewhere", doc(`<!DOCTYPE r SYSTEM "http://127.0.0.1/x.dtd">`, ""), "malicious pmml pmml.xxe"},
		{"a public grammar elsewhere", doc(`<!DOCTYPE r PUBLIC "-//W3C//DTD X//EN" "http://127.0.0.1/x.dtd">`, ""), "malicious pmml pmml.xxe"},
		{"in apostrophes and lines", doc("<!DOCTYPE\nr\n[\n<!ENTITY\tx\nSYSTEM\n'file:///etc/passwd'\n>\n]\n>", "&x;"), "malicious pmml pmml.xxe"},
		{"in UTF-16", string(wide("\ufeff" + doc(`<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>`, "&x;"))), "malicious pmml pmml.xxe"},
		{"in UTF-7", `<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE r+AD4-<a/>`, "suspicious xml xml.encoding"},
		{"in four bytes", "\x00\x00\x00<\x00\x00\x00?\x00\x00\x00x\x00\x00\x00m\x00\x00\x00l", "suspicious xml xml.encoding"},
		{"parameter entities inside", doc(`<!DOCTYPE r [<!ENTITY % a "<!ENTITY b 'c'>"> %a;]>`, ""), "suspicious pmml xml.parameter-entity"},
		{"laughs", doc(`<!DOCTYPE r [<!ENTITY a "aaaaaaaaaaaaaaaaaaaa">`+entities()+`]>`, "&i;"), "suspicious pmml xml.bomb"},
		{"a few laughs", doc(`<!DOCTYPE r [<!ENTITY a "ho">`+entities()[:5*len(`<!ENTITY b "`+strings.Repeat("&a;", 10)+`">`)]+`]>`, "&f;"), "suspicious pmml xml.bomb"},
		{"laughs by references to characters", doc(`<!DOCTYPE r [<!ENTITY a "aaaaaaaaaaaaaaaaaaaa">`+strings.ReplaceAll(entities(), "&", "&#38;")+`]>`, "&i;"), "suspicious pmml xml.bomb"},
		{"one long entity again and again", doc(`<!DOCTYPE r [<!ENTITY a "`+strings.Repeat("long ", 10_000)+`">]>`, strings.Repeat("&a;", 20_000)), "suspicious pmml xml.bomb"},
		{"a long entity twice", doc(`<!DOCTYPE r [<!ENTITY a "`+strings.Repeat("long ", 10_000)+`">]>`, "&a; &a;"), "clean pmml"},
		{"entities of entities", doc(`<!DOCTYPE r [<!ENTITY name "Apex"><!ENTITY title "The &name; of &name;"><!ENTITY all "&title;, &title; &amp; &#38;c.">]>`, strings.Repeat("&all;", 200)), "clean pmml"},
		{"an entity in itself", doc(`<!DOCTYPE r [<!ENTITY a "&b;"><!ENTITY b "&a;">]>`, "&a;"), "suspicious pmml xml.bomb"},
		{"XInclude", doc("", `<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" parse="text" href="file:///etc/passwd"/>`), "malicious pmml pmml.xxe"},
		{"XInclude of a neighbour", doc("", `<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="part.xml"/>`), "suspicious pmml xml.include"},
		{"a script in an extension", doc("", `<Extension extender="x" name="script" value="1"/>`), "suspicious pmml pmml.extension"},
		{"a script element in an extension", doc("", `<Extension><script>x</script></Extension>`), "suspicious pmml pmml.extension"},
		{"Java in XSLT", `<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform" xmlns:rt="http://xml.apache.org/xalan/java/java.lang.Runtime"/>`, "malicious xml xml.script"},
		{"beans", `<java version="1.8" class="java.beans.XMLDecoder"><object class="java.lang.ProcessBuilder"/></java>`, "malicious xml xml.script"},
		{"an attack in what is broken", `<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><a><b>&x;`, "malicious xml pmml.xxe xml.syntax"},
		{"broken", `<?xml version="1.0"?><a><b>`, "unscannable xml xml.syntax"},
		{"HTML", "<!DOCTYPE html><html><body><br><p>x</body></html>", "clean text"},
		{"prose", "<b>Bold</b> and 1 < 2", "clean"},
	})
}

func entities() string {
	var b strings.Builder
	for c := 'b'; c < 'j'; c++ {
		fmt.Fprintf(&b, `<!ENTITY %c "%s">`, c, strings.Repeat(fmt.Sprintf("&%c;", c-1), 10))
	}
	return b.String()
}
