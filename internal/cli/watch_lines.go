package cli

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// mostKept is of how many names and rules the texts are kept: the same ones come again and again.
const mostKept = 4096

// eventLines makes lines of events. It is not for several goroutines.
type eventLines struct {
	json    bool
	columns []column     // on a terminal; empty: separated by tabs
	fitted  int          // the width that they fit
	width   atomic.Int64 // the terminal's now; may be set from anywhere
	names   map[pattern.Name]string
	rules   map[ruleset.Rule]ruleWords
	users   map[uint32]string
}

// ruleWords are the texts of a rule.
type ruleWords struct{ pattern, condition, target string }

// newEventLines makes those for a terminal of a width; 0 is none.
func newEventLines(json bool, width int) *eventLines {
	l := &eventLines{json: json, users: map[uint32]string{}}
	if width > 0 && !json {
		l.width.Store(int64(width))
		l.columns, l.fitted = fitColumns(width), width
	}
	return l
}

// refit follows the terminal to another width. It appends a heading where there are other columns now.
func (l *eventLines) refit(b []byte) []byte {
	width := int(l.width.Load())
	if width == l.fitted {
		return b
	}
	before := l.heading(nil)
	l.columns, l.fitted = fitColumns(width), width
	if now := l.heading(nil); !bytes.Equal(now, before) {
		return append(b, now...)
	}
	return b
}

// kept is f of a key, from what is kept if it is there.
func kept[K comparable, V any](in *map[K]V, key K, f func(K) V) V {
	if v, ok := (*in)[key]; ok {
		return v
	}
	if *in == nil || len(*in) >= mostKept {
		*in = make(map[K]V)
	}
	v := f(key)
	(*in)[key] = v
	return v
}

func (l *eventLines) name(n pattern.Name) string {
	if n == "" {
		return ""
	}
	return kept(&l.names, n, nameText)
}

func (l *eventLines) user(uid uint32) string { return kept(&l.users, uid, userName) }

func (l *eventLines) rule(e *dataplane.Event) ruleWords {
	if !e.Ruled {
		return ruleWords{}
	}
	return kept(&l.rules, e.Rule, func(r ruleset.Rule) ruleWords {
		return ruleWords{r.Pattern.String(), r.Condition.String(), r.Target.String()}
	})
}

func (l *eventLines) event(b []byte, e *dataplane.Event) []byte {
	switch {
	case l.json:
		return l.object(b, e)
	case l.columns != nil:
		return l.row(l.refit(b), e)
	}
	return l.tabs(b, e)
}

// tabs is an event for programs such as cut and awk; what is empty is "-". The observer of what is learnt stands last.
func (l *eventLines) tabs(b []byte, e *dataplane.Event) []byte {
	rule := l.rule(e)
	b = e.Time.AppendFormat(b, timeOfEvent)
	for _, field := range []string{string(e.Kind), e.Comm} {
		b = appendPrintable(append(b, '\t'), dash(field))
	}
	b = strconv.AppendUint(append(b, '\t'), uint64(e.PID), 10)
	for _, field := range []string{l.user(e.UID), l.name(e.Name)} {
		b = appendPrintable(append(b, '\t'), dash(field))
	}
	b = appendAddress(append(b, '\t'), e.Address)
	b = strconv.AppendUint(append(b, '\t'), uint64(e.Port), 10)
	for _, field := range []string{e.Protocol, withCondition(rule.pattern, rule.condition), place(e, rule), e.Why, e.Observer} {
		b = appendPrintable(append(b, '\t'), dash(field))
	}
	return append(b, '\n')
}

// appendPrintable appends what printable makes of a text, quickly where that is the text itself.
func appendPrintable(b []byte, s string) []byte {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return append(b, printable(s)...)
		}
	}
	return append(b, s...)
}

// timeOfEvent is how times are written where there is room.
const timeOfEvent = "2006-01-02T15:04:05.000000Z07:00"

func appendAddress(b []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return append(b, '-')
	}
	return a.AppendTo(b)
}

// place is where an event leads: an interface, a mark, for what is learnt the target of the rule.
func place(e *dataplane.Event, rule ruleWords) string {
	switch {
	case e.Interface != "":
		return e.Interface
	case e.Kind == dataplane.EventSteered:
		return fmt.Sprintf("%d (gone)", e.Ifindex)
	case e.Kind == dataplane.EventMarked:
		return fmt.Sprintf("mark:0x%x", e.Mark)
	case e.Kind == dataplane.EventLearnt:
		return rule.target
	}
	return ""
}

// object is an event in JSON. It is written by hand: there may be many thousand in a second.
func (l *eventLines) object(b []byte, e *dataplane.Event) []byte {
	rule := l.rule(e)
	b = append(b, `{"time":"`...)
	b = e.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	b = member(b, "kind", string(e.Kind))
	b = member(b, "why", e.Why)
	b = number(b, "pid", uint64(e.PID))
	b = member(b, "comm", e.Comm)
	b = number(b, "uid", uint64(e.UID))
	b = member(b, "user", l.user(e.UID))
	b = member(b, "name", l.name(e.Name))
	b = append(b, `,"address":"`...)
	if e.Address.IsValid() {
		b = e.Address.AppendTo(b)
	}
	b = append(b, '"')
	b = number(b, "port", uint64(e.Port))
	b = member(b, "protocol", e.Protocol)
	b = member(b, "rule", rule.pattern)
	if rule.condition != "" {
		b = member(b, "condition", rule.condition)
	}
	b = member(b, "target", rule.target)
	b = member(b, "interface", e.Interface)
	b = number(b, "ifindex", uint64(max(e.Ifindex, 0)))
	if e.Mark != 0 {
		b = number(b, "mark", uint64(e.Mark))
	}
	if e.Kind == dataplane.EventLearnt {
		b = number(b, "ttl", uint64(max(e.TTL, 0)/time.Second))
		b = member(b, "observer", e.Observer)
	}
	return append(b, '}', '\n')
}

// appendLost is the object that tells of events for which there was no room: how many since the last such, and in all.
func appendLost(b []byte, now time.Time, more, all uint64) []byte {
	b = append(b, `{"time":"`...)
	b = now.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","kind":"lost"`...)
	b = number(b, "events", more)
	b = number(b, "total", all)
	return append(b, '}', '\n')
}

func number(b []byte, name string, n uint64) []byte {
	b = append(append(append(b, ',', '"'), name...), '"', ':')
	return strconv.AppendUint(b, n, 10)
}

func member(b []byte, name, value string) []byte {
	b = append(append(append(b, ',', '"'), name...), '"', ':')
	return appendQuoted(b, value)
}

// appendQuoted is a string in JSON, with what a terminal may obey escaped, as printableJSON does it.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r >= ' ' && r < 0x7f:
			b = append(b, byte(r))
		case r == utf8.RuneError && s[i] != 0xef:
			b = append(b, `\ufffd`...)
		case unicode.IsPrint(r):
			b = utf8.AppendRune(b, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
	}
	return append(b, '"')
}
