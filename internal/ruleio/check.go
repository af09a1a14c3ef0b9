package ruleio

import (
	"fmt"

	"golang.org/x/net/publicsuffix"

	"github.com/domain-route/domain-route/internal/pattern"
)

// publicSuffix notes a rule for everybody's names below a public suffix.
func (l *loader) publicSuffix(p pattern.Pattern, at func() Place) {
	if p.Kind != pattern.Suffix && p.Kind != pattern.Subdomains {
		return
	}
	name := p.Name.String()
	suffix, icann := publicsuffix.PublicSuffix(name)
	if len(suffix) != len(name) {
		return
	}
	if _, one := p.Name.Parent(); !icann && one {
		if up, _ := p.Name.Parent(); up == pattern.Root {
			return // not listed: somebody's own top-level domain
		}
	}
	l.notes.add(PublicSuffix, at(), Place{}, func() string {
		return fmt.Sprintf("%s is a public suffix: the rule is for everybody's names below it", p)
	})
}

// check looks at the rules as a whole.
func (l *loader) check() error { return nil }
