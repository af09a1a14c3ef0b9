package listformat

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestGuess(t *testing.T) {
	const none = Format("")
	geosite := "\x0a\x0d\x0a\x02CN\x12\x07\x08\x02\x12\x03a.b"
	tests := []struct {
		name, head string
		want       Format
	}{
		{"", "example.com\nads.example.com\n", Plain},
		{"", "# ! ;\n*.example.com\n=exact.example\n192.0.2.0/24\n192.0.2.1\nмосква.рф # why\n", Plain},
		{"x.yaml", "one.example", Plain},
		{"", "\xef\xbb\xbf# c\r\nexample.com\r\n", Plain},
		{"", "127.0.0.1 localhost\n::1 localhost\n0.0.0.0 ads.example\n", Hosts},
		{"", "### a heading ###\n0.0.0.0 ads.example # x\n", Hosts},
		{"", "server=/a.cn/114.114.114.114\nserver=/b.cn/114.114.114.114\n", Dnsmasq},
		{"", "no-resolv\ncache-size=5\nnftset=/a.b/4#inet#fw4#vpn\nipset=/a/b", Dnsmasq},
		{"", "! Title: x\n||ads.example^\n@@||ok.example^\n0.0.0.0 c.example\nd.example", Adblock},
		{"", "[Adblock Plus 2.0]\n", Adblock},
		{"", "! x\nexample.com##.ad\n||a^", Adblock},
		{"", "# x\ninclude:other @ads\nexample.com\n", V2fly},
		{"", "example.com\nfull:a.example.com @cn\n", V2fly},
		{"", "example.com @cn # only\nb.example", V2fly},
		{"", "regexp:^a\\d+\nkeyword:b", V2fly},
		{"geosite.dat", geosite, Geosite},
		{"dlc", geosite + geosite, Geosite},
		{"x.dat", "\n\nexample.com\n\n", Plain},
		{"", "\n\n\n\n\n\n\n\n\n\n\n\n\n\n", none},
		{"", "\n\x0b\n\x02CNexample.com", none},
		{"", "{\n \"version\": 3,\n \"rules\": [{\"domain\": \"a\"}]}", SingBox},
		{"", "{\"a\": 1}", none},
		{"", "payload:\n  - '+.example.com'\n  - 'a,b'\n", ClashDomain},
		{"", "# c\npayload: # x\n  # y\n  - DOMAIN-SUFFIX,example.com\n", ClashClassical},
		{"", "payload: [\"DOMAIN,a.b\"]", ClashClassical},
		{"", "payload: ['a.b', c]", ClashDomain},
		{"", "# x\nDOMAIN-SUFFIX,example.com\nIP-CIDR,192.0.2.0/24,no-resolve\n", ClashClassical},
		{"", "+.example.com\n.b.example\nc.example\n", ClashDomain},
		{"", "*.*.example.com\nc.example\n", ClashDomain},
		{"", ".example.com\na.example\n", none}, // each tool means something else
		{"clash-direct.txt", ".example.com\na.example\n", ClashDomain},
		{"", "", none},
		{"hosts", "# nothing yet\n", Hosts},
		{"x.txt", "# nothing yet\n", none},
		{"", "||a^\none two\nthree four\n", none},
		{"", "\x0a\x03\x0a\x02CN\x12\x07\x08", none},
		{"", "\x0a\x09\x0a\x02 \x7f\x12\x07\x08", none},
		{"", "\x0a\x20\x0a\x10CN", none},
		{"", "||a^\nserver=/b/1.1.1.1\n", none},
		{"", "<html><body>\n<h1>404 Not Found</h1>\nsorry\n</body>", none},
		{"", "one two\nthree four\nfive", none},
		{"", "a.b\nc\x00d", none},
		{"", "\xff\xfea\x00.\x00b\x00", none},
		{"list.srs", "a.b", none},
		{"list.MRS", "a.b", none},
		{"", "SRS\x01x\x9c", none},
		{"", "MRS\x01\x00\x00", none},
		{"", "srs.example\n", Plain},
		{"", "SRS.example\n", Plain},
		{"", "{\"rules", none},
	}
	for _, tt := range tests {
		got, ok := Guess(tt.name, []byte(tt.head))
		if !ok {
			got = none
		}
		if got != tt.want || ok != (tt.want != none) {
			t.Errorf("Guess(%q, %q) = %q, %v; want %q", tt.name, tt.head, got, ok, tt.want)
		}
	}
}

// A head that ends within a line says no more than its whole lines.
func TestGuessCutOff(t *testing.T) {
	lines := strings.Repeat("abc.example\n", 64<<10/12)
	head := []byte(lines + "server=/x/1.1.1.1 and so on")[:64<<10]
	copy(head[len(head)-4:], "||ab")
	if got, ok := Guess("", head); got != Plain || !ok {
		t.Errorf("got %q, %v, want plain", got, ok)
	}
}

// Whatever is written is guessed, for every format whose text says what it is.
func TestGuessWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for _, w := range writtenLines {
		for range 50 {
			var b bytes.Buffer
			report, err := Write(&b, w.o, slices.Values(randomPatterns(r, 30)))
			if err != nil || report.Items == 0 {
				continue
			}
			if got, ok := Guess("", b.Bytes()); got != w.o.Format || !ok {
				t.Fatalf("%q: got %q, %v, want %q", b.Bytes(), got, ok, w.o.Format)
			}
		}
	}
}

// Compiled rule sets are refused with the cure, whatever format they are said to have.
func TestCompiled(t *testing.T) {
	for in, cure := range map[string]string{"SRS\x03\x78\xda": "sing-box rule-set decompile", "MRS\x01\x00": "text or YAML",
		"\xfd7zXZ\x00\x00\x04": "xz -d", "BZh91AY&SY\xaa": "bzip2 -d", "PK\x03\x04\x14": "unzip", "7z\xbc\xaf\x27\x1c\x00": "7z x", "\x04\x22\x4d\x18\x64": "lz4 -d",
		"\xff\xfea\x00.\x00b\x00": "iconv -f UTF-16", "\xfe\xff\x00a": "iconv -f UTF-16"} {
		_, err := Read(strings.NewReader(in), Options{Format: Plain}, func(Item) error { return nil })
		if err == nil || !strings.Contains(err.Error(), cure) {
			t.Errorf("%q: %v, want %q in it", in, err, cure)
		}
		if f, ok := Guess("", []byte(in)); ok {
			t.Errorf("%q looks like %s", in, f.List())
		}
	}
	for name, bad := range map[string]bool{"a.srs": true, "b.MRS": true, "c.txt": false, "": false} {
		if err := Compiled(name, []byte("a.b\n")); (err != nil) != bad {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func FuzzGuess(f *testing.F) {
	for _, form := range lineFormats {
		for _, line := range form.lines {
			f.Add("x", []byte(line))
		}
	}
	f.Add("", []byte("\x0a\x0d\x0a\x02CN\x12\x07\x08\x02\x12\x03a.b"))
	f.Add("", []byte("payload:\n  - DOMAIN,a"))
	f.Fuzz(func(t *testing.T, name string, head []byte) {
		before := bytes.Clone(head)
		got, ok := Guess(name, head)
		if _, known := readers[got]; ok && !known {
			t.Errorf("Guess = %q", got)
		}
		if !bytes.Equal(before, head) {
			t.Error("the head was changed")
		}
	})
}
