package sbom

import (
	"archive/tar"
	"os"
	"strings"
	"testing"
)

func TestLayersAreWalkedAsRuntimesUnpackThem(t *testing.T) {
	for _, tc := range []struct {
		name   string
		layers [][]entry
		want   string
	}{
		{"a file of the lowest layer is there",
			[][]entry{{file("app/NOTE", "a")}},
			"app/NOTE a 0"},
		{"a file that nobody touches keeps its layer",
			[][]entry{{file("app/NOTE", "a")}, {file("other", "x")}},
			"app/NOTE a 0"},
		{"a file that a whiteout hides is removed and listed",
			[][]entry{{file("app/NOTE", "a")}, {file("app/.wh.NOTE", "")}},
			"app/NOTE a 0 removed"},
		{"a whiteout of a folder hides what is in it",
			[][]entry{{file("app/x/NOTE", "a")}, {file(".wh.app", "")}},
			"app/x/NOTE a 0 removed"},
		{"a whiteout does not hide what its own layer brings",
			[][]entry{{file("app/old/NOTE", "a")}, {file("app/new/NOTE", "b"), file(".wh.app", "")}},
			"app/new/NOTE b 1\napp/old/NOTE a 0 removed"},
		{"an opaque folder hides what lies below",
			[][]entry{{file("app/x/NOTE", "a")}, {dir("app"), file("app/.wh..wh..opq", ""), file("app/y/NOTE", "b")}},
			"app/x/NOTE a 0 removed\napp/y/NOTE b 1"},
		{"an opaque mark behind its folder's files hides none of them",
			[][]entry{{file("app/x/NOTE", "a")}, {file("app/y/NOTE", "b"), file("app/.wh..wh..opq", "")}},
			"app/x/NOTE a 0 removed\napp/y/NOTE b 1"},
		{"what AUFS keeps for itself hides nothing",
			[][]entry{{file("app/NOTE", "a")}, {file(".wh..wh.plnk", ""), file(".wh.", ""), file("app/.wh..", "")}},
			"app/NOTE a 0"},
		{"a replaced file is both",
			[][]entry{{file("app/NOTE", "a")}, {file("app/NOTE", "b")}},
			"app/NOTE a 0 removed\napp/NOTE b 1"},
		{"a file that is written anew keeps the layer of what it names",
			[][]entry{{file("app/NOTE", "a\nb")}, {file("app/NOTE", "b\nc")}},
			"app/NOTE a 0 removed\napp/NOTE b 0\napp/NOTE c 1"},
		{"a file that comes back is there again",
			[][]entry{{file("NOTE", "a")}, {file(".wh.NOTE", "")}, {file("NOTE", "a")}},
			"NOTE a 0 removed\nNOTE a 2"},
		{"of two entries with one name the later counts",
			[][]entry{{file("NOTE", "a"), file("NOTE", "b")}},
			"NOTE b 0"},
		{"a folder in a file's place hides the file",
			[][]entry{{file("NOTE", "a")}, {dir("NOTE"), file("NOTE/NOTE", "b")}},
			"NOTE a 0 removed\nNOTE/NOTE b 1"},
		{"a file in a folder's place hides what was in it",
			[][]entry{{file("app/NOTE", "a")}, {file("app", "text")}},
			"app/NOTE a 0 removed"},
		{"a link in a folder's place hides what was in it",
			[][]entry{{file("lib/NOTE", "a")}, {symlink("lib", "usr/lib")}},
			"lib/NOTE a 0 removed"},
		{"names are followed through linked folders",
			[][]entry{{symlink("lib", "usr/lib"), dir("usr/lib")}, {file("lib/NOTE", "a")}},
			"usr/lib/NOTE a 1"},
		{"a whiteout is followed through linked folders",
			[][]entry{{symlink("lib", "usr/lib"), file("usr/lib/NOTE", "a")}, {file("lib/.wh.NOTE", "")}},
			"usr/lib/NOTE a 0 removed"},
		{"a linked folder that is not there is made",
			[][]entry{{symlink("lib", "/usr/lib")}, {file("lib/NOTE", "a")}},
			"usr/lib/NOTE a 1"},
		{"names stay within the tree",
			[][]entry{{file("../../etc/NOTE", "a"), file("/abs/NOTE", "b"), file("./x/./../y/NOTE", "c")}},
			"abs/NOTE b 0\netc/NOTE a 0\ny/NOTE c 0"},
		{"links stay within the tree",
			[][]entry{{symlink("up", "../../../.."), file("up/NOTE", "a")}},
			"NOTE a 0"},
		{"a hard link is a second file",
			[][]entry{{file("a/NOTE", "x"), hardlink("b/NOTE", "a/NOTE")}},
			"a/NOTE x 0\nb/NOTE x 0"},
		{"a hard link to a name that nobody wanted is read",
			[][]entry{{file("store/1234", "x"), hardlink("app/NOTE", "store/1234")}},
			"app/NOTE x 0"},
		{"a hard link into a layer below is read",
			[][]entry{{file("store/1234", "x")}, {hardlink("app/NOTE", "/store/1234")}},
			"app/NOTE x 1"},
		{"a hard link to what was deleted keeps the content",
			[][]entry{{file("store/1234", "x"), hardlink("app/NOTE", "store/1234")}, {file("store/.wh.1234", "")}},
			"app/NOTE x 0"},
		{"a link to a name that nobody wanted is read",
			[][]entry{{file("store/1234", "x"), symlink("app/NOTE", "../store/1234")}},
			"app/NOTE x 0"},
		{"a link to a file that is known from its own place adds nothing",
			[][]entry{{file("a/NOTE", "x"), symlink("b/NOTE", "../a/NOTE")}},
			"a/NOTE x 0"},
		{"a link's package goes when its target does",
			[][]entry{{file("store/1234", "x"), symlink("NOTE", "store/1234")}, {file("store/.wh.1234", "")}},
			"NOTE x 0 removed"},
		{"an extractor may ask for a file that nobody kept",
			[][]entry{{file("deep/secret", "found")}, {file("NOTE", "read deep/secret")}},
			"NOTE found 1"},
		{"an extractor sees the layer as if it were the last",
			[][]entry{{file("v", "one"), file("NOTE", "read v")}, {file("v", "two")}},
			"NOTE one 0"},
		{"an extractor that asks for what is not there leaves a gap",
			[][]entry{{file("NOTE", "read nowhere")}},
			"gap NOTE: note: read nowhere: file does not exist"},
		{"a hard link to nothing is a gap",
			[][]entry{{hardlink("NOTE", "nothing"), file("x/NOTE", "a")}},
			"x/NOTE a 0\ngap NOTE: the entry cannot be unpacked: it is a hard link to \"nothing\", which is not there"},
		{"a file below a file is a gap",
			[][]entry{{file("a", ""), file("a/NOTE", "x")}},
			"gap a/NOTE: the entry cannot be unpacked: a is not a folder"},
		{"links that lead in circles are a gap",
			[][]entry{{symlink("a", "b"), symlink("b", "a"), file("a/NOTE", "x")}},
			"gap a/NOTE: the entry cannot be unpacked: too many links"},
		{"a name that no file system takes is a gap",
			[][]entry{{file(strings.Repeat("n", 300)+"/NOTE", "x")}},
			"gap " + strings.Repeat("n", 300) + "/NOTE: the entry cannot be unpacked: " + errName.Error()},
		{"devices and pipes are no files",
			[][]entry{{entry{name: "NOTE", kind: tar.TypeFifo}, entry{name: "dev/NOTE", kind: tar.TypeChar}}},
			""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := short(takes(t, open(t, layout(t, tc.layers...)), notes())); got != tc.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tc.want)
			}
		})
	}
}

func TestNothingStaysInTheScratchFolder(t *testing.T) {
	scratch := t.TempDir()
	src := open(t, layout(t, []entry{file("NOTE", "a"), file("big/NOTE", strings.Repeat("a", smallFile+1))}))
	if _, err := Collect(t.Context(), src, Options{Scratch: scratch}); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(scratch)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestALargeFileIsReadAndItsLayersSpoolIsReused(t *testing.T) {
	big := strings.Repeat("x", smallFile) + "\n"
	inv := takes(t, open(t, layout(t, []entry{file("NOTE", big+"a")}, []entry{file("two/NOTE", big+"b")})), notes())
	if len(inv.Packages) != 4 {
		t.Errorf("%d packages instead of 4", len(inv.Packages))
	}
}

func TestALayerThatIsNoArchiveIsAnError(t *testing.T) {
	src := open(t, layoutOf(t, []byte(strings.Repeat("no archive ", 100))))
	if _, err := Collect(t.Context(), src, Options{}); err == nil || !strings.Contains(err.Error(), "layer 0 is no tar archive") {
		t.Errorf("error %v", err)
	}
	if _, err := Collect(t.Context(), open(t, layoutOf(t, archive(t, file("a", "b")))), Options{}); err != nil {
		t.Errorf("the twin fails: %v", err)
	}
}
