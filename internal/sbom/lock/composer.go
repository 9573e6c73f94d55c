package lock

import (
	"encoding/json"
	"fmt"

	"github.com/apexlogic/apex/internal/fact"
)

// parseComposer reads composer.lock.
func parseComposer(l *list, data []byte) error {
	var doc object
	if err := json.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("invalid JSON: %w", err)
	}
	for _, group := range []string{"packages", "packages-dev"} {
		all, err := doc.objects(group)
		if err != nil {
			return fmt.Errorf("invalid JSON: %q: %w", group, err)
		}
		for _, e := range all {
			p := composer.at(e.text("name"), e.text("version"))
			p.State = fact.Locked
			dist := e.object("dist")
			if sum := dist.text("shasum"); sum != "" {
				p.Hashes = checksum("sha1:" + sum)
			}
			for _, license := range e.texts("license") {
				if len(p.Licenses) < 16 && len(license) <= 200 {
					p.Licenses = append(p.Licenses, license)
				}
			}
			p.Attributes = attributes(attribute{"dev", group == "packages-dev"}, attribute{"local", dist.text("type") == "path"})
			if err := l.put(p); err != nil {
				return err
			}
		}
	}
	return nil
}
