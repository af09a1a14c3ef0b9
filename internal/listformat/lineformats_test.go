package listformat

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// lineFormats are the formats of one entry a line: how to read them naively, and what their lines look like, with NAME
// for names. The lines are the seeds of fuzzing, too.
var lineFormats = map[Format]struct {
	read  naive
	lines []string
}{
	Plain: {naivePlain, []string{
		"NAME", "NAME", "=NAME", "*.NAME", ".NAME", "NAME # why", "NAME\t; why", "NAME ! why", "NAME NAME", "# NAME", "! NAME",
		"; NAME", "default", "DEFAULT", ".", "default.", "192.0.2.7", "192.0.2.0/24", "192.0.2.1/24", "2001:db8::/32", "::1", "=1.2.3.4", "*.*.NAME", "*NAME", "10.0",
		"NAME#x", `a\.b.NAME`, "..", "#",
	}},
	Hosts: {naiveHosts, []string{
		"0.0.0.0 NAME", "127.0.0.1\tNAME NAME  NAME", "::1 NAME # NAME", "fe80::1%lo0 NAME", "127.0.0.1 localhost",
		"::1 ip6-localhost ip6-loopback LocalHost.", "0.0.0.0 0.0.0.0", "255.255.255.255 broadcasthost", "NAME", "NAME 0.0.0.0",
		"0.0.0.0", "0.0.0.0 # NAME", "# 0.0.0.0 NAME", "0.0.0.0 .NAME", "0.0.0.0 *.NAME", "0.0.0.0 1.2.3.4", "0.0.0.0#NAME",
		"127.0.0.1 localhost.localdomain local NAME", "300.0.0.1 NAME", "abc NAME", `0.0.0.0 a\.NAME`,
	}},
	Dnsmasq: {naiveDnsmasq, []string{
		"server=/NAME/114.114.114.114", "local=/NAME/", "address=/NAME/NAME/0.0.0.0", "ipset=/NAME/NAME/NAME/vpn,vpn6",
		"nftset=/NAME/4#inet#fw4#vpn,6#inet#fw4#vpn6", "server=/.NAME/192.0.2.1#53", "server=/*.NAME/192.0.2.1", "server=/*NAME/192.0.2.1",
		"server=//192.0.2.1", "server=/#/192.0.2.1", "server=/NAME/#", "local = /NAME/ #", "local=/NAME/#", "--server=/NAME/192.0.2.1", "address=/NAME/#",
		"server=/NAME//NAME/192.0.2.1", "# server=/NAME/192.0.2.1", "server=/NAME/192.0.2.1 # NAME", "server=192.0.2.1", "no-resolv",
		"cache-size=1000", "server=/NAME", "server=/", "Server=/NAME/1.1.1.1", "server=/..NAME/1.1.1.1", "server=/NAME/1.1.1.1@eth0#53",
		"conf-file=/etc/NAME/x", "server=/ NAME/1.1.1.1", "server=/*/1.1.1.1", "server=/./1.1.1.1", "=", "--", "server=/NAME/#5",
	}},
	Adblock: {naiveAdblock, []string{
		"||NAME^", "||NAME^", "@@||NAME^", "||NAME^$important", "@@||NAME^$important", "||NAME^$third-party", "||NAME^$important,client=x",
		"||NAME^$badfilter", "@@||NAME^$badfilter,important", "||NAME^$badfilter,client=x", "||NAME^$denyallow=NAME", "|NAME^", "NAME|", "|NAME|", "||NAME", "||NAME^|", "||NAME/ads^", "||*.NAME^",
		"||NAME^*", "/^ad[0-9]+\\.NAME$/", "/ads/$important", "/ads/", "! NAME", "# NAME", "NAME##.ad", "NAME#@#.ad", "NAME#$#x", "##.ad", "###ad", "#@#.ad", "## NAME", "#####", "!#include NAME", "!#if (NAME)", "!#iffy", "!#endif", "[Adblock Plus 2.0]",
		"0.0.0.0 NAME NAME", "127.0.0.1 localhost", "NAME", "NAME # x", "NAME ## x", "||NAME^ # x", "@@NAME", "NAME$important", "-ad-NAME^", "-ad-NAME.", "NAME-", ".NAME", "-ad.", "NAME NAME",
		"@@||192.0.2.1^", "||192.0.2.1^$badfilter", "||2001:db8::1^", "@@||2001:DB8::1^$important", "||fe80::1%NAME^",
		"||^", "@@", "$", "||NAME^$", "@@||NAME^$important,important", "::1 NAME", "||NAME:8080^", "||192.0.2.1^", "@@@@||NAME^", "|||NAME^", "||NAME^$dnsrewrite=a$b",
	}},
}

// names fill the lines; not all are good.
var names = []string{
	"example.com", "Ads.Example.COM", "xn--mnchen-3ya.de", "münchen.de", "президент.рф", "例え。テスト", "_dmarc.example.com", "com", "a-b.c",
	"r3---sn-x.y", "example.com.", "a..b", ".", "x y", "-", "_", strings.Repeat("a", 63) + ".x", strings.Repeat("a", 64) + ".x",
	strings.Repeat("ab.", 84) + "c", strings.Repeat("ab.", 85) + "c", "ex*mple.com", "1.2.3.4", "１９２.0.2.１", "a\xffb.c", "bücher\u00ad.de", "fe.ed", "\u00a0nbsp.x",
	"ip6-x", "default", "a\vb", "=x", "a:b", "a@b", "0", "0.0.0.0",
}

// randomList makes up a list of these lines with some junk in it.
func randomList(r *rand.Rand, lines []string) string {
	var b strings.Builder
	if r.IntN(8) == 0 {
		b.WriteString("\xef\xbb\xbf")
	}
	end := []string{"\n", "\r\n"}[r.IntN(2)]
	for range r.IntN(40) {
		line := lines[r.IntN(len(lines))]
		for strings.Contains(line, "NAME") {
			name := names[r.IntN(len(names))]
			if r.IntN(2) == 0 {
				name = fmt.Sprintf("n%d.example", r.IntN(1000))
			}
			line = strings.Replace(line, "NAME", name, 1)
		}
		if r.IntN(10) == 0 {
			line = mangle(r, line)
		}
		b.WriteString(strings.Repeat(" ", r.IntN(20)/19) + line + strings.Repeat("\t", r.IntN(20)/19))
		b.WriteString(end)
	}
	if r.IntN(30) == 0 {
		b.WriteString(strings.Repeat("x", 65534+r.IntN(5)))
	}
	return b.String()
}

// mangle puts some other byte into s.
func mangle(r *rand.Rand, s string) string {
	const bytes = "\x00\r\n\v\t #!;/.*=|@^$[]:\\\"'-_09az\x7f\x80\xc3\xff"
	c := bytes[r.IntN(len(bytes))]
	if c == 0 && r.IntN(10) > 0 {
		c = '~'
	}
	at := r.IntN(len(s) + 1)
	return s[:at] + string([]byte{c}) + s[min(len(s), at+r.IntN(2)):]
}

func TestLineFormatsAgainstNaive(t *testing.T) {
	for format, f := range lineFormats {
		t.Run(string(format), func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, uint64(len(format))))
			for range 2000 {
				differ(t, randomList(r, f.lines), Options{Format: format, Exact: r.IntN(2) == 0}, f.read)
				if t.Failed() {
					return
				}
			}
		})
	}
}

// fuzzLines compares the reader with the naive reading, starting from the format's lines.
func fuzzLines(f *testing.F, format Format) {
	form := lineFormats[format]
	for i, line := range form.lines {
		f.Add([]byte(strings.ReplaceAll(line, "NAME", names[i%len(names)])+"\r\n"), i%2 == 0)
	}
	r := rand.New(rand.NewPCG(2, 3))
	for range 20 {
		if list := randomList(r, form.lines); len(list) < 4096 { // others make fuzzing slow
			f.Add([]byte(list), false)
		}
	}
	f.Fuzz(func(t *testing.T, list []byte, exact bool) {
		differ(t, string(list), Options{Format: format, Exact: exact}, form.read)
	})
}

func FuzzPlain(f *testing.F)   { fuzzLines(f, Plain) }
func FuzzHosts(f *testing.F)   { fuzzLines(f, Hosts) }
func FuzzDnsmasq(f *testing.F) { fuzzLines(f, Dnsmasq) }
func FuzzAdblock(f *testing.F) { fuzzLines(f, Adblock) }
