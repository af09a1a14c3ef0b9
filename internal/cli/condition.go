package cli

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"

	"github.com/domain-route/domain-route/internal/ruleset"
)

// condition reads the words behind a rule's target.
func condition(words []string) (ruleset.Condition, error) {
	c, err := ruleset.ParseCondition(words, userNumber)
	if err != nil {
		return c, usageError{err}
	}
	return c, nil
}

// userNumber finds a user's number by name. Numbers pass, whether there is such a user or not.
func userNumber(name string) (uint32, error) {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n), nil
	}
	u, err := user.Lookup(name)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		return 0, fmt.Errorf("no user %.80s in /etc/passwd; for a user known elsewhere (LDAP) write the number that id -u %.80s prints", name, name)
	}
	if err != nil {
		return 0, fmt.Errorf("user %q: %w", name, err)
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	return uint32(n), err
}
