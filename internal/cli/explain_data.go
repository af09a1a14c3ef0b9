package cli

import (
	"net/netip"
	"time"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/netdev"
)

// explainResult is what `explain` prints as JSON, and what its text is made of.
type explainResult struct {
	Subject string `json:"subject"` // the name as DNS has it, or the address
	Kind    string `json:"kind"`    // name, address
	Given   string `json:"given"`
	Port    string `json:"port,omitempty"` // that was given; rules do not look at it
	Started bool   `json:"started"`

	Answer  string       `json:"answer"`  // the first line of the text
	Steered bool         `json:"steered"` // exit 0: connections leave by the rule's interface, or are marked
	Verdict explainPlace `json:"verdict"` // of all addresses; verdict is "differs" where they do, "off" where nothing runs
	Asks    bool         `json:"asks"`    // all this is for a program that has just asked for the name: no process was named
	Unasked string       `json:"unasked"` // Asks: what one gets that connects without asking; empty: the same

	For        explainFor         `json:"for"`
	Rules      []explainRule      `json:"rules"` // all that are for it, in order of precedence
	Addresses  []explainAddress   `json:"addresses"`
	Elsewhere  []explainElsewhere `json:"elsewhere"` // learnt by others, for whom alone it counts
	Interfaces []explainInterface `json:"interfaces"`
	Leak       *explainLeak       `json:"leak"` // the latest connection to the name that the audit saw go unsteered
	Generation uint32             `json:"generation"`

	Disagreements []string `json:"disagreements"` // between the rules and the maps in the kernel; there should be none
	Notes         []string `json:"notes"`

	unread bool // the configuration cannot be read
}

// explainPlace is what becomes of a connection.
type explainPlace struct {
	Verdict   string `json:"verdict"` // steered, marked, direct, blocked, no_interface
	Interface string `json:"interface"`
	Ifindex   int    `json:"ifindex"`
	Mark      uint32 `json:"mark"`
}

func placeOf(p dataplane.Place) explainPlace {
	return explainPlace{string(p.Outcome), p.Interface, p.Ifindex, p.Mark}
}

// steered tells whether that is by a rule's interface or mark.
func (p explainPlace) steered() bool {
	return p.Verdict == string(dataplane.Steered) || p.Verdict == string(dataplane.Marked)
}

// explainFor is for whom it is explained.
type explainFor struct {
	PID     uint32          `json:"pid"` // 0: no process in particular
	Comm    string          `json:"comm"`
	UID     uint32          `json:"uid"`
	User    string          `json:"user"`
	Cgroup  string          `json:"cgroup"`  // as conditions have it; empty: not known
	Parents []explainParent `json:"parents"` // whose questions count for it, too
	Reach   dataplane.Reach `json:"reach"`   // why its connections are not seen: namespace, cgroup, gone
	Within  string          `json:"within"`  // the cgroup that is steered, where it is not all of them, and no process was named
	Default bool            `json:"default"` // nobody was named: the caller
}

type explainParent struct {
	PID  uint32 `json:"pid"`
	Comm string `json:"comm"`
}

// explainRule is a rule whose pattern is for what was asked.
type explainRule struct {
	Pattern    string   `json:"pattern"`
	Condition  string   `json:"condition"`
	Target     string   `json:"target"`
	Place      string   `json:"place"`      // FILE:LINE of the configuration or of a list; empty: it is in neither
	Configured string   `json:"configured"` // the target that stands there, if it is another one
	Holds      bool     `json:"holds"`
	Unmet      []string `json:"unmet"`   // why not
	Decides    bool     `json:"decides"` // for one of the addresses at least
	Reason     string   `json:"reason"`  // why the one that decides comes before it
}

// explainAddress is what a connect to an address would come to.
type explainAddress struct {
	Address netip.Addr      `json:"address"`
	Place   explainPlace    `json:"place"`
	Alone   dataplane.Alone `json:"alone"` // left alone whatever the rules: local, own
	By      dataplane.By    `json:"by"`    // name, address, default; empty: no rule
	Name    string          `json:"name"`  // that decides, with a rule
	Rule    string          `json:"rule"`
	// The rule's condition and target.
	Condition string          `json:"condition"`
	Target    string          `json:"target"`
	Level     dataplane.Level `json:"level"`  // that decides
	Counts    bool            `json:"counts"` // the name asked about was learnt for it by somebody whose word counts
	Hinted    bool            `json:"hinted"`
	Kernel    string          `json:"kernel"` // the target by the maps in the kernel; empty: none
	Names     []explainName   `json:"names"`
	Route     *explainRoute   `json:"route"`   // steered or marked: how it would get there
	Unasked   *explainUnasked `json:"unasked"` // for who asks: what one gets that connects without asking; null: the same
	explained dataplane.Explanation
}

// explainUnasked is what a connect of a program comes to that did not ask for the name.
type explainUnasked struct {
	Place  explainPlace    `json:"place"`
	By     dataplane.By    `json:"by"`
	Name   string          `json:"name"` // that decides, with a rule
	Rule   string          `json:"rule"`
	Target string          `json:"target"`
	Level  dataplane.Level `json:"level"` // that decides
	PID    uint32          `json:"pid"`
	UID    uint32          `json:"uid"`
}

// explainName is a name learnt for an address by one of those whose word counts.
type explainName struct {
	Name     string          `json:"name"` // empty: its text was evicted
	Level    dataplane.Level `json:"level"`
	PID      uint32          `json:"pid"`
	UID      uint32          `json:"uid"`
	Age      int             `json:"age"` // seconds since the latest answer
	TTL      int             `json:"ttl"` // seconds left; negative once it is over
	Live     bool            `json:"live"`
	Rule     string          `json:"rule"`
	Target   string          `json:"target"`
	Decides  bool            `json:"decides"` // of all that were learnt; for who asks for a name, that one
	Conflict bool            `json:"conflict"`
	Asked    bool            `json:"asked"` // connect gets to this level, if the program has not asked itself

	age, ttl time.Duration
}

type explainElsewhere struct {
	Address netip.Addr      `json:"address"`
	Level   dataplane.Level `json:"level"`
	PID     uint32          `json:"pid"`
	UID     uint32          `json:"uid"`
}

// explainRoute is how a connection that is bound or marked gets to its address.
type explainRoute struct {
	OK        bool       `json:"ok"` // false: connect fails at once
	Interface string     `json:"interface"`
	Gateway   netip.Addr `json:"gateway"`
	Source    netip.Addr `json:"source"`
	Lost      bool       `json:"lost"`    // there is no route: it is taken for a neighbour, which it is not
	Foreign   bool       `json:"foreign"` // the source is no address of the interface: answers do not come back by it
}

type explainInterface struct {
	Name     string           `json:"name"`
	Exists   bool             `json:"exists"`
	Ifindex  int              `json:"ifindex"`
	Up       bool             `json:"up"`
	Carrier  bool             `json:"carrier"`
	Addrs    []netip.Prefix   `json:"addresses"`
	Default4 []explainDefault `json:"default4"`
	Default6 []explainDefault `json:"default6"`
	RPFilter int              `json:"rp_filter"`
	Ethernet bool             `json:"ethernet"`
	Drops    bool             `json:"drops"` // the kernel drops IPv4 answers by it (rp_filter)

	facts netdev.Facts
}

type explainDefault struct {
	Gateway netip.Addr `json:"gateway"`
	Metric  int        `json:"metric"`
}

type explainLeak struct {
	When    time.Time  `json:"when"`
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"`
	Port    uint16     `json:"port"`
	PID     uint32     `json:"pid"`
	UID     uint32     `json:"uid"`
	Comm    string     `json:"comm"`
}
