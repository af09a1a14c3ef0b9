package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

const (
	metricsTimer = "domain-route-metrics.timer"
	metricsUnit  = "domain-route-metrics.service"
	collector    = "/var/lib/prometheus/node-exporter"
	metricsFile  = collector + "/domain-route.prom"
	nobody       = 65534
)

// metrics: the timer has its unit write what node_exporter reads, in a directory of node_exporter's own, with nothing missing.
func (c *checks) metrics() error {
	if err := os.MkdirAll(collector, 0o755); err != nil {
		return err
	}
	if err := os.Chown(collector, nobody, nobody); err != nil {
		return err
	}
	if _, err := run("systemctl", "start", metricsTimer); err != nil {
		return err
	}
	text, err := os.ReadFile(metricsFile)
	for until := time.Now().Add(2 * patience); errors.Is(err, os.ErrNotExist) && time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		text, err = os.ReadFile(metricsFile)
	}
	_, stop := run("systemctl", "stop", metricsTimer)
	if err = errors.Join(err, stop); err == nil {
		err = complete(string(text))
	}
	if err != nil {
		said, _ := run("systemctl", "status", "--no-pager", metricsTimer, metricsUnit)
		err = fmt.Errorf("%w\n%s", err, said)
	}
	return err
}

// complete wants the metrics of a system that runs, without a warning: all that the unit may not look at is one.
func complete(text string) error {
	for _, line := range []string{"domain_route_up 1", "domain_route_warnings 0", `domain_route_state{state="started"} 1`} {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			return fmt.Errorf("no %q in\n%s", line, text)
		}
	}
	if !strings.Contains(text, `domain_route_rule_hits_total{condition="",pattern="ruled.example",target="vpn0"} `) {
		return fmt.Errorf("no connections by a rule in\n%s", text)
	}
	return nil
}
