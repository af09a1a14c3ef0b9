package ruleio

// document is what a configuration file can say. The tags are read by the decoder, which is strict, and by Schema:
// yaml is the key, doc its description, need marks keys that must be there.
type document struct {
	Observe []observer             `yaml:"observe" doc:"Sources of names: sockets, libc, tc (every interface) or tc:IF,IF. Default: sockets and libc." least:"1"`
	Cgroup  directory              `yaml:"cgroup" doc:"Directory of the cgroup v2 whose programs are steered. Default: the root, so all."`
	History yesNo                  `yaml:"history" doc:"Keep names without a rule, for rules added later. Default: yes."`
	Audit   yesNo                  `yaml:"audit" doc:"Look for connections that were not steered although the name in their TLS ClientHello has a rule. Default: no."`
	Flush   yesNo                  `yaml:"flush" doc:"Empty the caches of the host's resolvers when the system starts, so that names are asked for again."`
	Targets map[targetName]outcome `yaml:"targets" doc:"Targets with a name, for use in rules and lists of every file."`
	Rules   []ruleItem             `yaml:"rules" doc:"Rules. They come before those of lists; those of a later file come before those of an earlier one."`
	Remove  []removal              `yaml:"remove" doc:"Rules of earlier files and of their lists that are not to be."`
	Lists   []listItem             `yaml:"lists" doc:"Files with lists of names. A later list comes before an earlier one."`
}

// condition is what rules and lists can ask of the program that connects.
type condition struct {
	User   userWord   `yaml:"user" doc:"Only for programs of this user: a name or a number."`
	Cgroup cgroupPath `yaml:"cgroup" doc:"Only for programs in this cgroup or below it: its path, as /system.slice/foo.service."`
}

type ruleItem struct {
	at     pos
	Match  patterns `yaml:"match" need:"yes" doc:"A pattern or a list of them: example.com (it and all below), \"*.example.com\" (all below), \"=example.com\" (only it), 192.0.2.0/24, default."`
	Target outcome  `yaml:"target" need:"yes" doc:"Where connections go: a name of targets, or a target."`
	condition
}

// removal is a pattern, or a mapping that names a condition, too.
type removal struct {
	at    pos
	Match patterns `yaml:"match" need:"yes" doc:"A pattern or a list of them, as the rule has it."`
	condition
}

type listItem struct {
	at         pos
	File       filePath      `yaml:"file" need:"yes" doc:"The list's file, relative to this one. It may be compressed with gzip or zstd."`
	Format     formatWord    `yaml:"format" doc:"How the list is written. Default: told from the file."`
	Match      matchWord     `yaml:"match" doc:"What a bare name means in a plain list: suffix, it and all below, or exact, only it. Plain lists need it, others do not have it."`
	Target     outcome       `yaml:"target" need:"yes" doc:"Where connections go: a name of targets, or a target."`
	Category   categoryWord  `yaml:"category" doc:"Which list of a geosite.dat."`
	Attributes []attribute   `yaml:"attributes" doc:"Only entries with each of these attributes, without those that follow a '!' (v2fly and geosite)."`
	Without    []patternItem `yaml:"without" doc:"Leave out what lies within these patterns."`
	condition
}

// targetForm is the long form of a target: a chain, or a mark.
type targetForm struct {
	Chain []interfaceName `yaml:"chain" doc:"Interfaces by name; the first that exists is taken." least:"1" most:"4"`
	Else  elseWord        `yaml:"else" doc:"What happens when none of the chain exists: block (default) or direct."`
	Mark  markNumber      `yaml:"mark" doc:"The mark to set on the socket, for your own routing rules."`
}

func (r *ruleItem) setPos(p pos) { r.at = p }
func (r *removal) setPos(p pos)  { r.at = p }
func (l *listItem) setPos(p pos) { l.at = p }
