package distro

import (
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/fact"
)

func TestEcosystemsAreNamedAsOSVNamesThem(t *testing.T) {
	for _, tc := range []struct{ release, kind, want string }{
		{"ID=debian\nVERSION_ID=\"12\"", "deb", "Debian:12"},
		{"ID=debian\nVERSION_ID=\"9.13\"", "deb", "Debian:9"},
		{"ID=debian\nVERSION_CODENAME=trixie", "deb", "Debian:13"},
		{"ID=debian\nVERSION_CODENAME=sid", "deb", "Debian"},
		{"ID=ubuntu\nVERSION_ID=\"22.04\"", "deb", "Ubuntu:22.04:LTS"},
		{"ID=ubuntu\nVERSION_ID=\"24.10\"", "deb", "Ubuntu:24.10"},
		{"ID=ubuntu\nVERSION_ID=\"23.04\"", "deb", "Ubuntu:23.04"},
		{"ID=alpine\nVERSION_ID=3.20.3", "apk", "Alpine:v3.20"},
		{"ID=alpine\nVERSION_ID=3.22_alpha20250108", "apk", "Alpine:edge"},
		{"ID=wolfi\nVERSION_ID=20230201", "apk", "Wolfi"},
		{"ID=chainguard\nVERSION_ID=20230214", "apk", "Chainguard"},
		{"ID=\"rocky\"\nVERSION_ID=\"9.4\"", "rpm", "Rocky Linux:9"},
		{"ID=almalinux\nVERSION_ID=8.10", "rpm", "AlmaLinux:8"},
		{"ID=rhel\nVERSION_ID=9.3", "rpm", "Red Hat:enterprise_linux:9"},
		{"ID=rhel", "rpm", "Red Hat"},
		{"ID=\"opensuse-leap\"\nVERSION_ID=\"15.6\"", "rpm", "openSUSE:Leap 15.6"},
		{"ID=\"opensuse-tumbleweed\"\nVERSION_ID=20240101", "rpm", "openSUSE:Tumbleweed"},
		{"ID=sles\nVERSION_ID=15.5", "rpm", "SUSE:Linux Enterprise Server 15 SP5"},
		{"ID=openEuler\nVERSION_ID=24.03\nPRETTY_NAME=\"openEuler 24.03 (LTS)\"", "rpm", "openEuler:24.03-LTS"},
		{"ID=amzn\nVERSION_ID=2023", "rpm", "Amazon Linux:2023"},
		{"ID=azurelinux\nVERSION_ID=3.0", "rpm", "Azure Linux:3"},
		{"ID=kali\nVERSION_ID=2024.1", "deb", "kali:2024.1"},
		{"", "deb", "Debian"},
		{"", "apk", "Alpine"},
		{"", "rpm", "generic"},
		{"# a comment\nID='debian'\r\nVERSION_ID='12'\r\n", "deb", "Debian:12"},
		{"ID=\"Debian\"\nVERSION_ID=\"12\"", "deb", "Debian:12"},
		{"ID=a/../b\nVERSION_ID=12", "deb", "Debian"},
		{"ID=debian\nVERSION_ID=" + strings.Repeat("1", 300), "deb", "Debian"},
	} {
		if got := Ecosystem(ParseRelease(tc.release), tc.kind); got != tc.want {
			t.Errorf("%q: %s; want %s", tc.release, got, tc.want)
		}
	}
}

func TestPackageURLsEncodeWhatVersionsHold(t *testing.T) {
	debian := fact.Distribution{ID: "debian", Version: "12"}
	got := purl("deb", debian, "libstdc++6", "1:12.2.0-14+deb12u1~bpo", "amd64", "")
	if want := "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1~bpo?arch=amd64&distro=debian-12"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
}

func FuzzParseRelease(f *testing.F) {
	f.Add("ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n")
	f.Add("ID=\x01ebian\nVERSION_ID=\"1")
	f.Add("ID='x\\'\n=\n")
	f.Fuzz(func(t *testing.T, text string) {
		d := ParseRelease(text)
		if d.ID == "" && d != (fact.Distribution{}) {
			t.Errorf("%+v has no ID", d)
		}
		for _, kind := range []string{"deb", "apk", "rpm"} {
			if e := Ecosystem(d, kind); e == "" || strings.ContainsAny(e, "\n\x00") {
				t.Errorf("%+v: ecosystem %q", d, e)
			}
		}
	})
}
