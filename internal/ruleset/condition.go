package ruleset

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Condition says for which tasks a rule holds; the zero value for all. Conditions are comparable: equal ones hold for
// the same tasks.
type Condition struct {
	User   bool   // only tasks of UID; otherwise UID is 0
	UID    uint32 // real, not effective, as the host's user namespace has it
	Cgroup string // only tasks in this cgroup or below it: a path from the root of cgroup v2, beginning with '/', as ParseCondition makes it; "": all
}

// Who is a task, as conditions see it.
type Who struct {
	UID    uint32
	Cgroup string // path of the cgroup it is in; "" not known, so that no condition on the cgroup holds
}

// ConditionError tells why words are no condition.
type ConditionError struct {
	Input  string // the word at fault
	Reason string
}

// Error quotes the input.
func (e *ConditionError) Error() string {
	return fmt.Sprintf("condition %.80q: %s", e.Input, e.Reason)
}

const (
	wordUser   = "user="
	wordCgroup = "cgroup="
)

// noUID is (uid_t)-1, which is no user.
const noUID = 1<<32 - 1

// Bounds of the path of a cgroup: what the kernel can have, in bytes, PATH_MAX and NAME_MAX; and how many names the programs
// there follow, MAX_DEPTH in bpf/abi.h.
const (
	maxCgroup    = 4095
	maxComponent = 255
	MaxDepth     = 32
)

// ParseCondition reads the words "user=UID", "user=NAME" and "cgroup=PATH", each at most once, in any order. Names are
// looked up with users; nil refuses them. Errors are *ConditionError.
func ParseCondition(words []string, users func(name string) (uint32, error)) (Condition, error) {
	var c Condition
	for _, word := range words {
		reason := ""
		user, isUser := strings.CutPrefix(word, wordUser)
		path, isCgroup := strings.CutPrefix(word, wordCgroup)
		switch {
		case isUser && c.User:
			reason = "a rule has one user= only; write one rule for each user"
		case isUser:
			c.User = true
			c.UID, reason = parseUser(user, users)
		case isCgroup && c.Cgroup != "":
			reason = "a rule has one cgroup= only; write one rule for each cgroup"
		case isCgroup:
			c.Cgroup, reason = parseCgroup(path)
		default:
			reason = wordCure(word)
		}
		if reason != "" {
			return Condition{}, &ConditionError{word, reason}
		}
	}
	return c, nil
}

// wordCure says what to write instead of a word that is no condition.
func wordCure(word string) string {
	name, value, isCondition := strings.Cut(word, "=")
	if !isCondition {
		return "a condition is user=UID or cgroup=PATH"
	}
	switch strings.ToLower(name) {
	case "user", "cgroup":
		return "write the word in lower case"
	case "uid", "euid", "username":
		return "the word is user, as in user=" + value
	case "unit", "slice", "service":
		return "the word is cgroup, as in cgroup=/system.slice/foo.service"
	}
	return fmt.Sprintf("no condition %.80q; there are user= and cgroup=", name)
}

func parseUser(s string, users func(name string) (uint32, error)) (uid uint32, reason string) {
	switch {
	case s == "":
		return 0, "the user is missing; write a name or a number, as in user=1000"
	case strings.Trim(s, "0123456789") != "" && users == nil:
		return 0, "write the user's number, as in user=1000"
	case strings.Trim(s, "0123456789") != "":
		uid, err := users(s)
		switch {
		case err != nil:
			return 0, fmt.Sprintf("unknown user: %v", err)
		case uid == noUID:
			return 0, "no user has this number"
		}
		return uid, ""
	case len(s) > 1 && s[0] == '0':
		return 0, "the number has a leading zero; write it without"
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == noUID {
		return 0, "no user has this number; the greatest is 4294967294"
	}
	return uint32(n), ""
}

// parseCgroup reads a path, which may begin with where cgroup v2 is mounted.
func parseCgroup(s string) (path, reason string) {
	if s == "" {
		return "", "the path is missing; write one as in cgroup=/system.slice/foo.service"
	}
	path = strings.TrimSuffix(s, "/")
	for _, mount := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		if rest, ok := strings.CutPrefix(path, mount); ok && (rest == "" || rest[0] == '/') {
			path = rest
			break
		}
	}
	path = "/" + strings.TrimPrefix(path, "/")
	if path == "/" {
		return "", "every task is below the root; leave the condition out"
	}
	return path, cgroupReason(path)
}

// cgroupReason says why path cannot be that of a cgroup, or could not stand in a rule file.
func cgroupReason(path string) string {
	switch {
	case len(path) > maxCgroup:
		return fmt.Sprintf("the path is longer than %d bytes", maxCgroup)
	case !utf8.ValidString(path):
		return "the path is not UTF-8"
	case strings.ContainsFunc(path, unicode.IsSpace):
		return "the path has whitespace"
	case strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "the path has a character that does not print"
	case strings.Count(path, "/") > MaxDepth:
		return fmt.Sprintf("the path has more than %d names", MaxDepth)
	}
	for name := range strings.SplitSeq(path[1:], "/") {
		switch {
		case name == "":
			return "the path has an empty name; write one '/' between names"
		case name == "." || name == "..":
			return fmt.Sprintf("the path has a %q; write it from the root of the cgroups", name)
		case len(name) > maxComponent:
			return fmt.Sprintf("the path has a name longer than %d bytes", maxComponent)
		}
	}
	return ""
}

// String returns the canonical text, which ParseCondition reads back word by word: "user=1000 cgroup=/x". It is "" when
// there is no condition.
func (c Condition) String() string { return strings.TrimPrefix(c.words(), " ") }

// words returns the text with a space before each word.
func (c Condition) words() string {
	var b []byte
	if c.User {
		b = strconv.AppendUint(append(b, " "+wordUser...), uint64(c.UID), 10)
	}
	if c.Cgroup != "" {
		b = append(append(b, " "+wordCgroup...), c.Cgroup...)
	}
	return string(b)
}

// Holds tells whether w is among the tasks c stands for.
func (c Condition) Holds(w Who) bool {
	return (!c.User || c.UID == w.UID) && (c.Cgroup == "" || within(w.Cgroup, c.Cgroup))
}

// within tells whether path is that of a cgroup or of one below it.
func within(path, cgroup string) bool {
	return strings.HasPrefix(path, cgroup) && (len(path) == len(cgroup) || path[len(cgroup)] == '/')
}

// implies tells whether other holds for all tasks that c holds for.
func (c Condition) implies(other Condition) bool {
	return (!other.User || c.User && c.UID == other.UID) && (other.Cgroup == "" || within(c.Cgroup, other.Cgroup))
}

// compare orders the conditions of one pattern: what comes first decides. Two that neither order by their kind nor by
// depth never hold both.
func (c Condition) compare(other Condition) int {
	if c == other {
		return 0
	}
	return cmp.Or(
		cmp.Compare(c.rank(), other.rank()),
		cmp.Compare(strings.Count(other.Cgroup, "/"), strings.Count(c.Cgroup, "/")),
		cmp.Compare(c.Cgroup, other.Cgroup),
		cmp.Compare(c.UID, other.UID),
	)
}

func (c Condition) rank() int {
	switch {
	case c.User && c.Cgroup != "":
		return 0
	case c.Cgroup != "":
		return 1
	case c.User:
		return 2
	}
	return 3
}
