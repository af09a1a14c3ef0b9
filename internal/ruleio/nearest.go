package ruleio

import "github.com/domain-route/domain-route/internal/spelling"

// nearest returns the word of words that s is most likely meant to be; "" when none is near.
func nearest(s string, words []string) string {
	const longest = 64
	if len(s) > longest {
		return ""
	}
	best, least := "", 1+max(1, len(s)/3)
	for _, w := range words {
		if d := spelling.Distance(s, w); d < least {
			best, least = w, d
		}
	}
	return best
}

// transposed returns the word of words that is s with two neighbours swapped, as vpn is of vnp; "" when there is none.
func transposed(s string, words []string) string {
	for _, w := range words {
		for i := range len(s) - 1 {
			if len(w) == len(s) && w != s && w == s[:i]+string([]byte{s[i+1], s[i]})+s[i+2:] {
				return w
			}
		}
	}
	return ""
}
